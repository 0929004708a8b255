"""The page of the course: every claim with its verdict, its evidence and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jensen._version import __version__
from jensen.course import CHAPTERS
from jensen.report.course_view import course_view
from jensen.report.shell import fill
from jensen.report.written import check_free, write_whole


def write_course(
    path: str | Path, command: str, claims: Sequence[Mapping[str, Any]], *, overwrite: bool = False
) -> Path:
    """Write the page of executed claims, as `Claim.to_dict` gives them, to `path` and return it.

    The file fetches nothing, follows the reader's light or dark theme, and holds the claims as JSON. Raises OutputError
    when `path` exists and `overwrite` is not given, or cannot be written: then no part of a file is left.
    """
    target = Path(path)
    check_free(target, overwrite)
    write_whole(target, render_course(command, claims).encode("utf-8", errors="xmlcharrefreplace"))
    return target


def render_course(command: str, claims: Sequence[Mapping[str, Any]]) -> str:
    """The page as text."""
    record = {
        "jensen": __version__,
        "title": "The course",
        "command": command,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "claims": [dict(claim) for claim in claims],
    }
    return fill("course.html", record, lambda: course_view(record, CHAPTERS))
