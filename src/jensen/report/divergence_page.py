"""The page of a divergence: the numbers and what they mean, the critics, and where two sets of rows differ."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jensen._version import __version__
from jensen.report.divergence_view import divergence_view
from jensen.report.shell import fill
from jensen.report.written import check_free, write_whole
from jensen.sides import Sides


def write_divergence(
    found: dict[str, Any],
    sides: Sides | None,
    path: str | Path,
    *,
    titles: tuple[str, str] = ("a", "b"),
    command: str = "",
    overwrite: bool = False,
) -> Path:
    """Write the page of `Divergence.to_dict()` and its rows to `path` and return it.

    `sides` is None where no critic was needed. The file fetches nothing and holds the numbers as JSON, which `read_record` gives back.
    Raises OutputError when `path` exists and `overwrite` is not given, or cannot be written: then no part of a file is left.
    """
    target = Path(path)
    check_free(target, overwrite)
    text = render_divergence(found, sides, titles, command)
    write_whole(target, text.encode("utf-8", errors="xmlcharrefreplace"))
    return target


def render_divergence(
    found: dict[str, Any], sides: Sides | None, titles: tuple[str, str] = ("a", "b"), command: str = ""
) -> str:
    """The page as text."""
    record = {
        "jensen": __version__,
        "a": titles[0],
        "b": titles[1],
        "command": command,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **found,
    }
    return fill("divergence.html", record, lambda: divergence_view(record, sides))
