"""Known vulnerabilities from a folder: the advisory database of the Python Packaging Authority, cloned from
github.com/pypa/advisory-database. For machines that cannot ask the service; it knows what it knew when it was cloned.

Source: the Open Source Vulnerability format, its `affected`, `ranges`, `events` and `withdrawn`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


def vulnerable(pins: Sequence[str], folder: Path) -> list[str]:
    """A line for each advisory of `folder` that covers one of `pins`, name==version."""
    return [
        f"{pin}: {advisory['id']}, mended in {', '.join(mended(advisory)) or 'no release yet'}"
        for pin in pins
        for advisory in of_package(pin.split("==")[0], folder)
        if covers(advisory, Version(pin.split("==")[1]))
    ]


def newest(folder: Path) -> str:
    """The day of the latest change. Raises ValueError for a folder that is no such database."""
    texts = (path.read_text(encoding="utf-8") for path in (folder / "vulns").glob("*/*.yaml"))
    days = re.findall(r'^modified: ["\']?(\d{4}-\d\d-\d\d)', "\n".join(texts), re.MULTILINE)
    if not days:
        raise ValueError(
            f"{folder} holds no vulns/PACKAGE/ADVISORY.yaml: is it a clone of the advisory database?"
        )
    return max(days)


def of_package(name: str, folder: Path) -> list[dict[str, Any]]:
    """The advisories about a package that were not withdrawn."""
    paths = sorted((folder / "vulns" / canonicalize_name(name)).glob("*.yaml"))
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths]
    return [advisory for advisory in found if not advisory.get("withdrawn")]


def covers(advisory: Mapping[str, Any], version: Version) -> bool:
    """Whether a version is listed, or lies in a range of releases; in one whose ends are no versions it is said to lie."""
    return any(
        any(_same(one, version) for one in affected.get("versions", ()))
        or any(_within(one["events"], version) for one in _ranges(affected))
        for affected in advisory["affected"]
    )


def mended(advisory: Mapping[str, Any]) -> list[str]:
    """The releases that are said to mend it."""
    events = [
        event for affected in advisory["affected"] for one in _ranges(affected) for event in one["events"]
    ]
    return [event["fixed"] for event in events if "fixed" in event]


def _ranges(affected: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of releases; others are of commits."""
    return [one for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM"]


def _same(text: str, version: Version) -> bool:
    """Old releases have names that are no versions now."""
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


def _within(events: Sequence[Mapping[str, str]], version: Version) -> bool:
    """The last event up to this version says whether it is inside."""
    try:
        events = sorted(events, key=lambda one: Version(next(iter(one.values()))))
    except InvalidVersion:
        return True
    inside = False
    for event in events:
        if "introduced" in event and Version(event["introduced"]) <= version:
            inside = True
        if ("fixed" in event and Version(event["fixed"]) <= version) or (
            "last_affected" in event and Version(event["last_affected"]) < version
        ):
            inside = False
    return inside
