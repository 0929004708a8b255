"""What is installed: every file of the lock by its hash, every licence known, and an audit that did not ask says so."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    """A script of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def advisories() -> ModuleType:
    return script("advisories")


@pytest.fixture(scope="module")
def audit(advisories: ModuleType) -> ModuleType:
    return script("audit_deps")


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    return script("licences")


def locked() -> dict[str, list[str]]:
    """Pin with its marker -> hashes."""
    text = (ROOT / "requirements-lock.txt").read_text().replace("\\\n", " ")
    lines = [line.split("--hash=") for line in text.splitlines() if not line.lstrip().startswith("#")]
    return {head.strip(): [one.strip() for one in hashes] for head, *hashes in lines if head.strip()}


def pinned() -> dict[str, Requirement]:
    """The lines of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {line: Requirement(line) for line in lines if line and not line.startswith("#")}


def test_every_package_of_the_lock_has_sha256_hashes() -> None:
    for pin, hashes in locked().items():
        assert hashes, f"{pin} has no hash"
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes)


def test_the_lock_holds_the_pins_of_the_constraints_but_torch_which_is_installed_by_version() -> None:
    def key(one: Requirement) -> tuple[str, str]:
        return canonicalize_name(one.name), str(one.specifier)

    pins = {key(one) for one in pinned().values() if one.name != "torch"}
    assert {key(Requirement(pin)) for pin in locked()} == pins
    assert any(one.name == "torch" for one in pinned().values())
    names = {canonicalize_name(Requirement(pin).name) for pin in locked()}
    assert not [name for name in names if name.startswith(("torch", "nvidia", "triton", "cuda"))]


def test_the_lock_satisfies_what_the_project_asks_for_and_names_no_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pins = {canonicalize_name(one.name): one for one in map(Requirement, [*locked(), *pinned()])}
    for line in [*project["dependencies"], *extra["dev"], *extra["docs"], *build]:
        asked = Requirement(line)
        (version,) = (one.version for one in pins[canonicalize_name(asked.name)].specifier)
        assert asked.specifier.contains(version), f"{line}, and the lock has {version}"
    text = (ROOT / "requirements-lock.txt").read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def table() -> dict[str, tuple[str, str]]:
    """Package -> (version, licence) of the page."""
    page = (ROOT / "docs" / "more" / "licences.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page if line.startswith("| ")]
    return {name: (version, licence) for name, version, licence, *_ in rows[1:]}


def test_the_page_lists_every_package_of_the_lock_with_a_licence_that_is_allowed(
    licences: ModuleType,
) -> None:
    versions: dict[str, set[str]] = {}
    for one in pinned().values():
        versions.setdefault(canonicalize_name(one.name), set()).update(x.version for x in one.specifier)
    assert table().keys() == versions.keys()
    for name, (version, licence) in table().items():
        assert version in versions[name]
        assert licences.allowed(licence), f"{name}: {licence}"


def test_the_page_says_what_the_installed_packages_say(licences: ModuleType) -> None:
    compared = 0
    for name, (version, licence) in table().items():
        try:
            here = distribution(name)
        except PackageNotFoundError:
            continue
        if here.version.partition("+")[0] == version:
            about = here.metadata
            fields = (about["License-Expression"], about["License"], about.get_all("Classifier") or [])
            assert licences.licence_of(*fields) == licence, name
            compared += 1
    assert compared or not (ROOT / ".venv" / ".ready").exists()


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only OR AGPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND MIT", False),
        ("(MIT OR ISC) AND 0BSD", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("LicenseRef-Proprietary", False),
        ("", False),
    ],
)
def test_a_licence_is_allowed_when_every_part_of_it_is(
    licences: ModuleType, expression: str, holds: bool
) -> None:
    assert licences.allowed(expression) is holds


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        (("MIT", "BSD", ["License :: OSI Approved :: BSD License"]), "MIT"),
        ((None, "BSD-3-Clause", ["License :: OSI Approved :: BSD License"]), "BSD-3-Clause"),
        ((None, "Copyright 2020\nand so on", ["License :: OSI Approved :: BSD License"]), "BSD"),
        ((None, None, ["License :: A", "License :: B", "Topic :: C"]), "A AND B"),
        ((None, "UNKNOWN", []), ""),
        ((None, None, []), ""),
    ],
)
def test_a_licence_is_read_from_the_most_exact_field(
    licences: ModuleType, fields: tuple[str | None, str | None, list[str]], licence: str
) -> None:
    assert licences.licence_of(*fields) == licence


def printed(*packages: dict[str, object]) -> str:
    """What pip-audit prints."""
    return json.dumps({"dependencies": list(packages), "fixes": []})


GOOD = {"name": "jinja2", "version": "3.1.6", "vulns": []}
BAD = {"name": "Pillow", "version": "9.0.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.0.1"]}]}
SKIPPED = {"name": "pillow", "skip_reason": "not found"}


def test_an_audit_is_clean_only_where_every_package_was_asked_about(audit: ModuleType) -> None:
    pins = ["jinja2==3.1.6", "pillow==9.0.0"]
    clean = audit.answer(["jinja2==3.1.6"], printed(GOOD), "")
    assert clean.status() == audit.CLEAN and clean.words().startswith("clean: 1 packages")
    for output in (printed(GOOD, SKIPPED), printed(GOOD), printed(SKIPPED, SKIPPED), "", "no JSON"):
        found = audit.answer(pins, output, "no route to the service")
        assert found.status() == audit.UNASKED
        assert "could not ask" in found.words() and "clean" not in found.words()
    bad = audit.answer(pins, printed(BAD), "")
    assert bad.status() == audit.VULNERABLE and bad.unasked == ["jinja2==3.1.6"]
    assert "pillow==9.0.0: PYSEC-1, mended in 9.0.1" in bad.words()


def test_an_audit_asks_about_both_versions_of_a_name_and_about_torch(audit: ModuleType) -> None:
    lock = (
        "a-b==1.0 ; python_version < '3' \\\n    --hash=sha256:00\na-b==2.0 \\\n    --hash=sha256:11\nc==3\n"
    )
    found = audit.pins(lock, "# no==1\ntorch==2.13.0\nc==3\n")
    assert found == ["a-b==1.0", "a-b==2.0", "c==3", "torch==2.13.0"]
    assert audit.rounds(found) == [["a-b==1.0", "c==3", "torch==2.13.0"], ["a-b==2.0"]]


ADVISORY = """id: {id}
affected:
- package: {{name: a-b, ecosystem: PyPI}}
  ranges:
  - {{type: GIT, events: [introduced: "0"]}}
  - {{type: ECOSYSTEM, events: {events}}}
  versions: {versions}
modified: "{day}T01:02:03Z"
"""
FLAWS = {
    "OLD": ("[introduced: '0', fixed: 1.2.0]", "[]", ""),
    "TWICE": ("[introduced: '3.0', fixed: 3.0.4, introduced: '2.0', fixed: '2.1']", "[]", ""),
    "LAST": ("[introduced: '1.5', last_affected: '1.6']", "[]", ""),
    "OPEN": ("[introduced: 9.0rc1]", "[]", ""),
    "LISTED": ("[]", "[0.3.2d, '2.5']", ""),
    "GONE": ("[introduced: '0']", "[]", "withdrawn: 2024-01-01T00:00:00Z\n"),
}


def database(place: Path, flaws: dict[str, tuple[str, str, str]]) -> Path:
    """A folder like the advisory database, with these flaws of the package a-b."""
    folder = place / "vulns" / "a-b"
    folder.mkdir(parents=True)
    for i, (name, (events, versions, more)) in enumerate(flaws.items()):
        text = ADVISORY.format(id=name, events=events, versions=versions, day=f"2024-02-0{i + 1}")
        (folder / f"{name}.yaml").write_text(text + more)
    return place


@pytest.mark.parametrize(
    ("version", "flaws"),
    [
        ("1.1.9", ["OLD, mended in 1.2.0"]),
        ("1.2", []),
        ("1.5", ["LAST, mended in no release yet"]),
        ("1.6", ["LAST, mended in no release yet"]),
        ("1.6.1", []),
        ("2.0.5", ["TWICE, mended in 3.0.4, 2.1"]),
        ("2.1", []),
        ("2.5.0", ["LISTED, mended in no release yet"]),
        ("3.0.3", ["TWICE, mended in 3.0.4, 2.1"]),
        ("3.0.4", []),
        ("9.0", ["OPEN, mended in no release yet"]),
    ],
)
def test_advisories_of_a_folder_cover_what_they_say(
    advisories: ModuleType, tmp_path: Path, version: str, flaws: list[str]
) -> None:
    found = advisories.vulnerable(["other==1.0", f"A_b=={version}"], database(tmp_path, FLAWS))
    assert found == [f"A_b=={version}: {one}" for one in flaws]
    assert advisories.newest(tmp_path) == "2024-02-06"


def test_a_range_whose_ends_are_no_versions_is_not_taken_for_harmless(
    advisories: ModuleType, tmp_path: Path
) -> None:
    folder = database(tmp_path, {"ODD": ("[introduced: r17, fixed: '1.0']", "[]", "")})
    assert len(advisories.vulnerable(["a-b==2.0"], folder)) == 1


def test_a_folder_answers_for_every_pin_and_says_its_day(audit: ModuleType, tmp_path: Path) -> None:
    folder = database(tmp_path, FLAWS)
    clean = audit.looked_up(["a-b==2.1", "c==1"], folder)
    assert clean.status() == audit.CLEAN
    assert (
        clean.words()
        == f"clean: 2 packages, no known vulnerability by the advisories in {folder} up to 2024-02-06"
    )
    assert audit.looked_up(["a-b==1.0"], folder).status() == audit.VULNERABLE
    with pytest.raises(SystemExit, match="is it a clone of the advisory database"):
        audit.looked_up(["a-b==1.0"], tmp_path / "vulns")
