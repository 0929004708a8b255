"""Arguments of the public functions, checked once at the door: whatever is passed there is taken, or refused in three parts."""

from __future__ import annotations

import math
import numbers
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from jensen.errors import UsageError

MOST = 2**63 - 1


def said(value: Any) -> str:
    """What was given, in a line that fits a message, of whatever it is.

    >>> said("x" * 500)[-9:], said(None)
    ('xxxxxx...', 'None')
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = repr(value)
    except Exception:  # a stranger's class
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    do: str = "correct it",
    *,
    inside: bool = False,
) -> float:
    """A finite real number from `low` to `high`, or strictly `inside` them. Raises UsageError for anything else.

    >>> number("level", 2, 0, 1)
    Traceback (most recent call last):
    ...
    jensen.errors.UsageError: level is a number from 0 to 1; got 2: correct it
    """
    real = as_float(value)
    found = math.nan if real is None else real
    fits = low < found < high if inside else low <= found <= high
    if not (math.isfinite(found) and fits):
        if math.isinf(high):
            span = "" if math.isinf(low) else f" above {low:g}" if inside else f", {low:g} or more"
        else:
            span = f" between {low:g} and {high:g}" if inside else f" from {low:g} to {high:g}"
        raise UsageError(f"{name} is a number{span}", f"got {said(value)}", do)
    return found


def as_float(value: Any) -> float | None:
    """A real number of any library's type as Python has it, nan and inf too; None for what is none, and no flag is one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError, TypeError):
        return None


def whole(name: str, value: Any, low: int, high: int = MOST, do: str = "correct it") -> int:
    """A whole number from `low` to `high`, of any library's type. Raises UsageError for anything else.

    >>> whole("seed", 1.5, 0)
    Traceback (most recent call last):
    ...
    jensen.errors.UsageError: seed is a whole number, 0 or more; got 1.5: correct it
    """
    if not is_whole(value, low, high):
        upper = f" to {high}" if high < MOST else " or more"
        raise UsageError(f"{name} is a whole number, {low}{upper}", f"got {said(value)}", do)
    return int(value)


def is_whole(value: Any, low: int, high: float = math.inf) -> TypeGuard[int]:
    """Whether a value is a whole number from `low` to `high`, of any library's type; no flag is a number."""
    plain = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return plain and low <= int(value) <= high


def sizes(name: str, value: Any, low: int = 1, do: str = "pass (1, 8, 8), say") -> tuple[int, ...]:
    """Some whole numbers of `low` or more, as of a shape. Raises UsageError for anything else.

    >>> sizes("input_shape", [3, 2.0])
    Traceback (most recent call last):
    ...
    jensen.errors.UsageError: input_shape is a sequence of whole numbers, 1 or more each; got [3, 2.0]: pass (1, 8, 8), say
    """
    wrong = f"{name} is a sequence of whole numbers, {low} or more each"
    if isinstance(value, (str, bytes, Mapping, set, frozenset)) or not isinstance(value, Iterable):
        raise UsageError(wrong, f"got {said(value)}", do)
    try:
        return tuple(whole(name, size, low) for size in value)
    except (UsageError, TypeError):
        raise UsageError(wrong, f"got {said(value)}", do) from None


def texts(name: str, value: Any, do: str = "pass names, such as ['a', 'b']") -> list[str]:
    """One text, or several, as a list. Raises UsageError for anything else.

    >>> texts("drop", "a"), texts("drop", ("a", "b"))
    (['a'], ['a', 'b'])
    """
    if isinstance(value, str):
        return [value]
    plain = isinstance(value, (list, tuple, set, frozenset))
    if not plain or not all(isinstance(one, str) for one in value):
        raise UsageError(f"{name} is a name or a sequence of names", f"got {said(value)}", do)
    return list(value)


def path(name: str, value: Any, do: str = "pass a text or a Path") -> Path:
    """A path. Raises UsageError for what cannot be one."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in str(value) or not str(value):
        raise UsageError(f"{name} is a path", f"got {said(value)}", do)
    return Path(value)


def settings(name: str, value: Any, do: str = "pass a dict, such as {'batch': 64}") -> dict[str, Any]:
    """Settings by name; None is none of them. Raises UsageError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{name} maps names to values", f"got {said(value)}", do)
    return dict(value)


def one_of(name: str, value: Any, kind: type | tuple[type, ...], what: str, do: str) -> Any:
    """The value, which is of a kind that is called `what`. Raises UsageError for anything else."""
    if not isinstance(value, kind):
        raise UsageError(f"{name} is {what}", f"got {said(value)}", do)
    return value
