"""Warnings of the library on the command line: what the notes of a result say anyhow is left to them, the rest is said."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jensen.cli.terminal import echo, style
from jensen.errors import JensenWarning, Unlocked


@contextmanager
def cautions() -> Iterator[None]:
    """Nothing is said twice: of our warnings only those that no note repeats, each once, on stderr as they come."""
    said = set()
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any) -> None:
            if not issubclass(category, Unlocked):
                others(message, category, *where)
            elif str(message) not in said:
                said.add(str(message))
                echo(f"{style('warning:', fg='yellow', bold=True)} {message}", err=True)

        warnings.simplefilter("ignore", JensenWarning)
        warnings.simplefilter("always", Unlocked)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
