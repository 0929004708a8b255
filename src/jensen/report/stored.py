"""The record inside the page: written so that no text in it can end the script block, read back equal."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from jensen.errors import DataError, UsageError

OPEN = '<script type="application/json" id="jensen-record">'
_BLOCK = re.compile(re.escape(OPEN) + r"(.*?)</script>", re.DOTALL)
# inside JSON these only ever stand in strings, where the escape means the same
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def embed(record: dict[str, Any]) -> str:
    """The script block that holds `record`. A number that is not finite becomes null, as in Quantity.to_dict.

    >>> embed({"title": "</script>"})
    '<script type="application/json" id="jensen-record">{"title":"\\\\u003c/script\\\\u003e"}</script>'
    """
    try:
        text = json.dumps(_finite(record), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise UsageError(
            "a report's record holds JSON types only", str(error), "pass Comparison.to_dict()"
        ) from error
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return f"{OPEN}{text}</script>"


def read_record(path: str | Path) -> dict[str, Any]:
    """The record a report was written from. Raises DataError when the file is no report of jensen."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "the report cannot be read", f"{path}: {error}", "pass a file that jensen compare wrote"
        ) from error
    found = _BLOCK.search(text)
    if found is None:
        raise DataError(
            "the file holds no record of jensen", f"got {path}", "pass a file that jensen compare wrote"
        )
    try:
        return json.loads(found.group(1))
    except (ValueError, RecursionError) as error:
        raise DataError(
            "the record in the report is damaged", f"{path}: {error}", "write it again"
        ) from error


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
