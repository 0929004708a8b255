"""Errors in three parts: what was wrong, what was given, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class JensenError(Exception):
    """An error a user can act on.

    `wrong` says what was expected and not met, `given` what was there instead, `do` what to do now.

    >>> print(JensenError("expected at least 2 rows", "got 1", "add rows or lower the held-out share"))
    expected at least 2 rows; got 1: add rows or lower the held-out share
    """

    def __init__(self, wrong: str, given: str = "", do: str = "") -> None:
        self.wrong, self.given, self.do = wrong, given, do
        text = wrong
        if given:
            text += f"; {given}"
        if do:
            text += f": {do}"
        super().__init__(text)

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.wrong, self.given, self.do)


class Cannot(JensenError):
    """The model lacks the ability that was asked of it."""


class Incomparable(JensenError):
    """Two numbers of another unit, measure or set of rows were put together."""


class SpaceError(JensenError, ValueError):
    """Rows, a model and a space do not fit each other."""


class DataError(JensenError, ValueError):
    """The data cannot be read, or cannot be modelled as they are."""


class Unusable(DataError):
    """Columns that can only be left out; `columns` names them, and the rest can be looked at without them."""

    columns: tuple[str, ...] = ()


class UsageError(JensenError, ValueError):
    """An argument is out of its range."""


class OutputError(JensenError, OSError):
    """A result cannot be written where it was asked for."""


class Diverged(JensenError, ArithmeticError):
    """Training met a loss or a gradient that is not finite; the last good weights are in `fitted`, what happened in `run`."""

    fitted: Any = None
    run: Any = None


class ProcessLost(JensenError, RuntimeError):
    """Another process of a training on several devices ended before its time; the last checkpoint, if any, is in `folder`."""

    folder: Any = None


class OutOfMemory(JensenError, MemoryError):
    """A batch does not fit; what was learned before it is in `fitted`, unless it was the first, and in `run`."""

    fitted: Any = None
    run: Any = None


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has a class of its own for GPUs, and says so of the CPU with a plain RuntimeError."""
    named = type(error).__name__ == "OutOfMemoryError"
    return named or isinstance(error, MemoryError) or "can't allocate memory" in str(error)


class JensenWarning(UserWarning):
    """A result that is there, and is to be doubted."""


class Unlocked(JensenWarning):
    """The folder of a run cannot be locked: nothing keeps a second process from writing it."""


MOST_LISTED = 40


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the known names nearest to `name`, and all of them where they are no more than 40.

    >>> nearest("pixelcn", ["made", "pixelcnn"])
    'did you mean pixelcnn? (known: made, pixelcnn)'
    >>> nearest("zzz", ["made", "pixelcnn"])
    'known: made, pixelcnn'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    listing = "known: " + ", ".join(names[:MOST_LISTED]) + more
    return f"did you mean {' or '.join(close)}? ({listing})" if close else listing
