"""Ask the advisory service about every package of the lock, and torch: known vulnerabilities, none, or could not ask.

    .venv/bin/python scripts/audit_deps.py        PIP_AUDIT names another pip-audit than uv's, which has its own environment
    .venv/bin/python scripts/audit_deps.py --database FOLDER      looks into a clone of the advisory database (advisories.py)

Exit status 0: every package was asked about and none has a known vulnerability. 1: some have. 3: the service did not
answer for some, which is not the same as none. pip-audit itself exits with 0 where it skipped every package.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from advisories import newest, vulnerable
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CLEAN, VULNERABLE, UNASKED = 0, 1, 3


def pins(lock: str, constraints: str) -> list[str]:
    """name==version of everything in the lock, without markers (both of two versions), and of torch."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*==[^\s;\\]+)", lock, re.MULTILINE)
    return found + re.findall(r"^(torch==\S+)", constraints, re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """What was found of which package, and which were not answered for."""

    asked: int
    vulnerable: Sequence[str]
    unasked: Sequence[str]
    why: str = ""
    as_of: str = ""

    def status(self) -> int:
        """Could not ask is never clean, and a known vulnerability is news even where others were not asked."""
        return VULNERABLE if self.vulnerable else UNASKED if self.unasked else CLEAN

    def words(self) -> str:
        """What to print, the verdict last."""
        lines = [f"vulnerable: {one}" for one in self.vulnerable]
        if self.unasked:
            lines.append(f"could not ask about {len(self.unasked)} of {self.asked} packages: {self.why}")
        verdict = {
            CLEAN: f"clean: {self.asked} packages, no known vulnerability{self.as_of}",
            VULNERABLE: f"{len(self.vulnerable)} known vulnerabilities: raise the pins in constraints.txt, then make lock",
            UNASKED: "not known: the advisory service did not answer; this says nothing about the packages",
        }
        return "\n".join([*lines, verdict[self.status()]])


def answer(wanted: Sequence[str], printed: str, error: str) -> Answer:
    """Of pip-audit's JSON. A package that it skipped, or that it does not mention, was not asked about."""
    last = error.strip().splitlines()[-1] if error.strip() else "no answer"
    try:
        found = json.loads(printed)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Answer(len(wanted), [], list(wanted), last)
    known = {(canonicalize_name(one["name"]), one["version"]): one for one in found if "version" in one}
    skipped = [one["skip_reason"] for one in found if "skip_reason" in one]
    names = [(pin, *pin.split("==")) for pin in wanted]
    pairs = [(pin, known.get((canonicalize_name(name), version))) for pin, name, version in names]
    unasked = [pin for pin, one in pairs if one is None]
    vulnerable = [
        f"{pin}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no release yet'}"
        for pin, one in pairs
        if one is not None
        for flaw in one["vulns"]
    ]
    return Answer(len(wanted), vulnerable, unasked, skipped[0] if skipped else last)


def ask(wanted: Sequence[str], command: Sequence[str]) -> tuple[str, str]:
    """pip-audit's two outputs about these pins, one file of distinct names a call: it takes one version of a name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pins.txt"
        path.write_text("\n".join(wanted) + "\n")
        words = [*command, "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        done = subprocess.run(
            [*words, "--requirement", str(path)], capture_output=True, text=True, timeout=600
        )
    return done.stdout, done.stderr


def rounds(wanted: Sequence[str]) -> list[list[str]]:
    """The pins in as few groups as hold every name once."""
    groups: list[list[str]] = []
    for pin in wanted:
        name = pin.split("==")[0]
        group = next((g for g in groups if all(one.split("==")[0] != name for one in g)), None)
        if group is None:
            groups.append(group := [])
        group.append(pin)
    return groups


def asked_online(wanted: Sequence[str]) -> Answer:
    """What pip-audit says of all of them."""
    uv = [str(ROOT / ".venv" / "bin" / "uv"), "tool", "run", "--quiet", "pip-audit"]
    command = shlex.split(os.environ.get("PIP_AUDIT", "")) or uv
    if shutil.which(command[0]) is None:
        sys.exit(
            f"there is no {command[0]}: run make test first, which makes .venv, or name a pip-audit in PIP_AUDIT"
        )
    answers = [answer(group, *ask(group, command)) for group in rounds(wanted)]
    return Answer(
        len(wanted),
        [one for part in answers for one in part.vulnerable],
        [one for part in answers for one in part.unasked],
        next((part.why for part in answers if part.unasked), ""),
    )


def looked_up(wanted: Sequence[str], database: Path) -> Answer:
    """What a clone of the advisory database says of all of them."""
    try:
        day = newest(database)
    except ValueError as error:
        sys.exit(str(error))
    return Answer(
        len(wanted), vulnerable(wanted, database), [], as_of=f" by the advisories in {database} up to {day}"
    )


def main() -> None:
    """Ask or look up, print, exit."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--database", type=Path, help="a clone of the advisory database")
    database = parser.parse_args().database
    wanted = pins((ROOT / "requirements-lock.txt").read_text(), (ROOT / "constraints.txt").read_text())
    found = asked_online(wanted) if database is None else looked_up(wanted, database)
    print(found.words())
    sys.exit(found.status())


if __name__ == "__main__":
    main()
