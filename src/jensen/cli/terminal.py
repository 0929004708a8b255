"""What reaches the terminal: our own colours, and no control character of anybody else's."""

from __future__ import annotations

import secrets
import sys
from functools import cache
from typing import Any

import click

from jensen.printable import printable


@cache
def _mark() -> str:
    """What stands for an escape of ours until it is printed; no stranger's text can guess it."""
    return f"<{secrets.token_hex(8)}>"


def style(text: str, **how: Any) -> str:
    """As `click.style`, for `echo` of this file alone."""
    return click.style(text.replace("\x1b", "\\x1b"), **how).replace("\x1b", _mark())


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """As `click.echo`: what is not to be seen is written as an escape, but for ends of lines, tabs and our own colours."""
    click.echo(printable(text, keep="\n\t").replace(_mark(), "\x1b"), err=err, nl=nl)


def secho(text: str, *, err: bool = False, **how: Any) -> None:
    """As `click.secho`."""
    echo(style(text, **how), err=err)


def rows_out(text: str) -> None:
    """Rows as text on stdout: as they are for a file or a pipe, and fit to be seen on a terminal."""
    if sys.stdout.isatty():
        echo(text, nl=False)
    else:
        click.echo(text, nl=False, color=True)
