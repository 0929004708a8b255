"""The licences of all that scripts/setup.sh installs, from the packages' own metadata: docs/more/licences.md.

.venv/bin/python scripts/licences.py            write the page
.venv/bin/python scripts/licences.py --check    exit 1 where the page is old, or a licence is unknown or not allowed
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "more" / "licences.md"

ALLOWED = {
    *(
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
    ),
    *("CC0-1.0", "ISC", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib"),
}
"""SPDX names, and "BSD" where a package does not say which of them it means. MPL-2.0 is of the files alone."""

SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""What packages without an SPDX expression say, in their licence field or their classifiers."""


@dataclass(frozen=True)
class Package:
    """One line of the page. `use`: running, developing, docs or installing, the first of these that needs it."""

    name: str
    version: str
    licence: str
    use: str
    direct: bool


def licence_of(expression: str | None, field: str | None, classifiers: Iterable[str]) -> str:
    """An SPDX expression: the package's own, or from its classifiers or a licence field of one line; "" if it says none."""
    if expression:
        return expression
    named = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License ::")]
    short = (field or "").strip()
    if short and "\n" not in short and len(short) < 40 and short != "UNKNOWN":
        named = [short]  # it says BSD-3-Clause where the classifier says BSD
    return " AND ".join(sorted({SPDX.get(one, one) for one in named}))


def allowed(expression: str) -> bool:
    """Every part that AND joins has an alternative on the list; an expression with brackets needs all of its names there."""
    if "(" in expression:
        return all(name.strip("() ") in ALLOWED for name in re.split(r" AND | OR ", expression))
    return all(
        any(one.strip() in ALLOWED for one in part.split(" OR ")) for part in expression.split(" AND ")
    )


def wanted() -> dict[str, list[str]]:
    """What is asked for by name, by use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]
    lines = (ROOT / "scripts" / "lock.in").read_text().splitlines()
    installing = [line for line in lines if line and not line.startswith("#")]
    return {
        "running": project["dependencies"],
        "developing": extra["dev"],
        "docs": extra["docs"],
        "installing": [*installing, "torch"],
    }


def reached(asked: Mapping[str, list[str]]) -> list[Package]:
    """Everything that the lines lead to in this environment, by use, direct ones known as such."""
    found: dict[str, Package] = {}
    for use, lines in asked.items():
        direct = {canonicalize_name(Requirement(line).name) for line in lines}
        waiting = [Requirement(line) for line in lines]
        while waiting:
            one = waiting.pop()
            name = canonicalize_name(one.name)
            if name in found and not one.extras:
                continue
            here = distribution(name)
            about = here.metadata
            licence = licence_of(
                about["License-Expression"], about["License"], about.get_all("Classifier") or []
            )
            version = here.version.partition("+")[0]
            found.setdefault(name, Package(name, version, licence, use, name in direct))
            waiting += [
                need
                for need in map(Requirement, here.requires or [])
                if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in one.extras or {""})
            ]
    return sorted(found.values(), key=lambda package: package.name)


def page(packages: Iterable[Package]) -> str:
    """The page in Markdown."""
    rows = [
        f"| {one.name} | {one.version} | {one.licence or 'unknown'} | {one.use} | {'yes' if one.direct else ''} |"
        for one in packages
    ]
    return "\n".join(
        [
            "# Licences of the dependencies",
            "",
            "jensen is under the MIT licence. This is what `make demo` and `make test` install beside it, with the licence that each",
            "package states in its metadata. `pip install jensen` brings those for running, the extra `bench` others. Written by `scripts/licences.py`; a",
            "licence that is not on its list fails the tests. `BSD`: the package does not say which BSD licence. A CUDA build of",
            "torch brings NVIDIA's libraries under NVIDIA's own licence as well.",
            "",
            "| package | version | licence | for | asked for by name |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Write the page, or check it."""
    try:
        packages = reached(wanted())
    except PackageNotFoundError as missing:
        sys.exit(
            f"{missing.name} is not installed here: run make test first, then .venv/bin/python scripts/licences.py"
        )
    wrong = [
        f"{one.name}: {one.licence or 'says no licence'}" for one in packages if not allowed(one.licence)
    ]
    if "--check" not in sys.argv:
        PAGE.write_text(page(packages), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page(packages):
        wrong.append(f"{PAGE.relative_to(ROOT)} is old: run python scripts/licences.py")
    print(f"{len(packages)} packages, {len(wrong)} findings")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
