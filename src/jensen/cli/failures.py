"""Errors on the command line: three lines or one JSON object, and an exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from jensen.cli.wording import as_options, folded
from jensen.errors import JensenError

ARGUMENTS = "jensen.arguments"
"""Where the context keeps the words of the command."""


@contextmanager
def failures(ctx: click.Context) -> Iterator[None]:
    """Say what went wrong: exit 2 for an error the user can act on, 130 for Ctrl-C; anything else passes through.

    Three lines on stderr; with --json instead {"error": {"wrong", "given", "do"}} on stdout.
    """
    words = ctx.meta.get(ARGUMENTS, ())
    as_json = "--json" in words
    try:
        yield
    except JensenError as error:
        _say(error.wrong, error.given, error.do, as_json, "error", "red")
        raise click.exceptions.Exit(2) from None
    except KeyboardInterrupt as error:
        wrong, _, given = (str(error) or "interrupted").partition("; ")
        saved = given.startswith("the checkpoint")
        _say(wrong, given.partition(": ")[0], resume_command(words) if saved else "", as_json, "stopped")
        raise click.exceptions.Exit(130) from None
    except click.UsageError as error:
        if not as_json:
            raise
        path = error.ctx.command_path if error.ctx is not None else "jensen"
        _say(error.format_message(), "", f"see {path} --help", as_json)
        raise click.exceptions.Exit(2) from None


def command_line(ctx: click.Context) -> str:
    """The command as it was typed, ready to be typed again."""
    return shlex.join(["jensen", *ctx.meta.get(ARGUMENTS, ())])


def resume_command(words: Sequence[str]) -> str:
    """The command that continues an interrupted one.

    >>> resume_command(["fit", "my rows.csv", "--model", "made", "--overwrite"])
    "jensen fit 'my rows.csv' --model made --resume"
    """
    kept = [word for word in words if word not in ("--overwrite", "--resume")]
    return shlex.join(["jensen", *kept, "--resume"])


def _say(
    wrong: str, given: str, do: str, as_json: bool, title: str = "error", colour: str = "yellow"
) -> None:
    from jensen.cli.output import emit

    wrong, given, do = as_options(wrong), as_options(given), as_options(do)
    if as_json:
        emit({"error": {"wrong": wrong, "given": given, "do": do}})
        return
    width = len(title) + 1
    lines = [(title, wrong), ("given", given.removeprefix("got ")), ("do", do)]
    for name, text in lines:
        if text:
            head = click.style(f"{name}:".ljust(width), fg=colour, bold=name == title)
            click.echo(f"{head} {folded(text, width + 1, sys.stderr)}", err=True)
