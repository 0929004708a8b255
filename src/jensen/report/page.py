"""The report: one HTML file with everything in it, that opens offline."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.errors import UsageError
from jensen.report.pictures import Pictures
from jensen.report.stored import embed
from jensen.report.view import page_view
from jensen.report.written import check_free, write_whole

if TYPE_CHECKING:
    from jinja2 import Environment


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
    from markupsafe import Markup

    embedded = Markup(embed(record))  # first, for it refuses what is no JSON
    script = asset("sort.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            **page_view(record, pictures),
            style=Markup(asset("style.css")),
            script=Markup(script),
            script_hash=_hash(script),
            embedded=embedded,
        )
    )


@cache
def asset(name: str) -> str:
    """A file of the report that comes with the package."""
    return resources.files("jensen.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(asset),
        autoescape=True,  # names, notes and labels are the user's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
