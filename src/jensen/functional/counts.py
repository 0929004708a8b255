"""Whole numbers that the user gives: draws, rows, levels."""

from __future__ import annotations

from typing import Any

from jensen.arguments import MOST, is_whole
from jensen.errors import UsageError

DRAWS = "expected k >= 1 importance samples, a whole number"


def check_draws(k: Any) -> None:
    """Raise UsageError unless k is a whole number from 1 on.

    >>> check_draws(5)
    >>> check_draws(2.5)
    Traceback (most recent call last):
    jensen.errors.UsageError: expected k >= 1 importance samples, a whole number; got k=2.5: k=64 is usual
    """
    check_whole("k", k, 1, DRAWS, "k=64 is usual")


def check_whole(name: str, value: Any, least: int, wrong: str, do: str) -> None:
    """Raise UsageError(wrong, what was given, do) unless the value is an integer of `least` or more, in 64 bits; no flag is
    a number."""
    if not is_whole(value, least):
        raise UsageError(wrong, f"got {name}={value!r}", do)
    if int(value) > MOST:
        raise UsageError(wrong, f"got {name}={value!r}, more than 64 bits hold", do)


def read_draws(text: str) -> int:
    """The number of draws that a text says. Raises UsageError as `check_draws` does.

    >>> read_draws("5000")
    5000
    """
    try:
        k: Any = int(text)
    except ValueError:
        k = text
    check_draws(k)
    return int(k)
