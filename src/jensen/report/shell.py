"""What all pages share: one file with everything in it, that opens offline and runs its own script only."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jensen.printable import printable
from jensen.report.stored import embed

if TYPE_CHECKING:
    from jinja2 import Environment


def fill(template: str, record: dict[str, Any], view: Callable[[], Mapping[str, Any]]) -> str:
    """The page as text: a template of the shell with its view, and the record embedded whole."""
    from markupsafe import Markup

    embedded = Markup(embed(record))  # first, for it refuses what is no JSON
    script = asset("sort.js") + asset("zoom.js")
    page = (
        _environment()
        .get_template(template)
        .render(
            **view(),
            record=record,
            style=Markup(asset("style.css")),
            script=Markup(script),
            script_hash=_hash(script),
            embedded=embedded,
        )
    )
    return printable(
        page, keep="\n\t"
    )  # escapes keep names from being code, not from turning the writing round


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
