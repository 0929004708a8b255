"""The report: one HTML file with everything in it, that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jensen.errors import UsageError
from jensen.report.pictures import Pictures
from jensen.report.shell import fill
from jensen.report.view import page_view
from jensen.report.written import check_free, write_whole


def write_report(
    record: dict[str, Any], pictures: Pictures, path: str | Path, *, overwrite: bool = False
) -> Path:
    """Write the report of a comparison to `path` and return it.

    `record` is `Comparison.to_dict()`; it is embedded whole, and `read_record` gives it back. The file fetches
    nothing, follows the reader's light or dark theme and prints. A browser is told to run the page's own script
    and nothing else. Raises OutputError when `path` exists and `overwrite` is not given, or cannot be written:
    then no part of a file is left.
    """
    target = Path(path)
    check_free(target, overwrite)
    unknown = sorted(set(pictures.samples) - {model["name"] for model in record["models"]})
    if unknown:
        raise UsageError(
            "samples of a model that is not in the record",
            f"got {', '.join(unknown)}",
            "pass one record's rows",
        )
    write_whole(target, render(record, pictures).encode("utf-8", errors="xmlcharrefreplace"))
    return target


def render(record: dict[str, Any], pictures: Pictures) -> str:
    """The page as text."""
    return fill("page.html", record, lambda: page_view(record, pictures))
