"""Errors on the command line: three lines or one JSON object, and an exit code."""

from __future__ import annotations

import errno
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from jensen.cli.terminal import echo, style
from jensen.cli.wording import as_options, folded
from jensen.errors import JensenError, ProcessLost, out_of_memory
from jensen.printable import printable

ARGUMENTS = "jensen.arguments"
"""Where the context keeps the words of the command."""

LOST = 3
"""The exit code of a process that lost another one of the same training."""


@contextmanager
def failures(ctx: click.Context) -> Iterator[None]:
    """Say what went wrong: exit 2 for an error the user can act on, 3 where another process of the training was lost, 130 for
    Ctrl-C, 143 for SIGTERM; the rest passes.

    Three lines on stderr; with --json instead {"error": {"wrong", "given", "do"}} on stdout.
    """
    words = ctx.meta.get(ARGUMENTS, ())
    as_json = "--json" in words
    try:
        yield
    except ProcessLost as error:
        wrong, given, do = error.wrong, error.given, error.do
        _say(
            wrong, given, resume_command(words) if error.folder else do, as_json, ("error", "given", "resume")
        )
        raise click.exceptions.Exit(LOST) from None
    except JensenError as error:
        _say(error.wrong, error.given, error.do, as_json)
        raise click.exceptions.Exit(2) from None
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        first = (str(error).splitlines() or [""])[0][:200] or "no more is said"
        do = "take fewer rows, smaller batches or a smaller model, or end other programs"
        _say("the memory does not suffice", first, do, as_json)
        raise click.exceptions.Exit(2) from None
    except OSError as error:  # wherever a word is looked up as the name of a file
        if error.errno != errno.ENAMETOOLONG:
            raise
        name = str(error.filename)
        shown = name if len(name) <= 80 else f"{name[:80]}..."
        _say("a name is too long for a file", f"got {shown}", "choose a shorter one", as_json)
        raise click.exceptions.Exit(2) from None
    except KeyboardInterrupt as error:
        wrong, _, given = (str(error) or "interrupted").partition("; ")
        saved = given.startswith("the checkpoint")
        again = resume_command(words) if saved else ""
        _say(wrong, given.partition(": ")[0], again, as_json, ("stopped", "kept", "resume"))
        raise click.exceptions.Exit(128 + getattr(error, "signal", signal.SIGINT)) from None
    except click.UsageError as error:
        if not as_json:
            told = printable(error.format_message(), keep="\n")  # it repeats words of the command
            raise click.UsageError(told, error.ctx) from None
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
    wrong: str, given: str, do: str, as_json: bool, titles: tuple[str, str, str] = ("error", "given", "do")
) -> None:
    from jensen.cli.output import emit

    wrong, given, do = as_options(wrong), as_options(given), as_options(do)
    if as_json:
        emit({"error": {"wrong": wrong, "given": given, "do": do}})
        return
    width = max(map(len, titles)) + 1
    for place, text in enumerate((wrong, given.removeprefix("got "), do)):
        if text:
            colour = "red" if titles[place] == "error" else "yellow"
            head = style(f"{titles[place]}:".ljust(width), fg=colour, bold=place == 0)
            # a command to copy stays on one line
            text = printable(text)  # a name with a line break forges no line
            shown = text if titles[place] == "resume" else folded(text, width + 1, sys.stderr)
            echo(f"{head} {shown}", err=True)
