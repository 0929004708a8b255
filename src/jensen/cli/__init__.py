"""The command line: `jensen VERB ...`.

This file imports click and the errors, nothing else, so that help comes at once; a verb's file is imported when the
verb is called, and torch when its callback runs.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, cast

import click

from jensen._version import __version__
from jensen.cli.failures import ARGUMENTS, failures
from jensen.cli.verb import SETTINGS, HelpContext, write_examples
from jensen.errors import UsageError, nearest

VERBS: dict[str, tuple[str, str]] = {
    "fit": ("jensen.cli.fit", "Fit a model to rows and keep the run in a folder."),
    "sample": ("jensen.cli.sample", "Draw rows from a run."),
    "complete": ("jensen.cli.complete", "Draw the missing part of rows, given the rest."),
    "score": ("jensen.cli.score", "Log-likelihood of rows under a run."),
    "embed": ("jensen.cli.embed", "Features of rows, their neighbours, and what they know of labels."),
    "compare": ("jensen.cli.compare", "Several models on the same held-out rows, and what that proves."),
    "tightness": ("jensen.cli.tightness", "How loose a run's lower bound is, on rows that it makes itself."),
    "divergence": ("jensen.cli.divergence", "Are two sets of rows from one law? How far apart, and where."),
    "audit": ("jensen.cli.audit", "Is a model what it claims to be? A run, or any torch module of yours."),
    "course": ("jensen.cli.course", "The claims behind these models, executed live, with the evidence."),
    "models": ("jensen.cli.models", "The models there are, what they take and what they can do."),
}

SECTIONS: dict[str, tuple[str, ...]] = {
    "Fit and use": ("fit", "sample", "complete", "score", "embed"),
    "Judge": ("compare", "tightness", "divergence", "audit"),
    "Look up": ("course", "models"),
}

EXAMPLES = (
    "jensen compare digits --seconds 20",
    "jensen fit mine.csv --model made --out runs/mine",
    "jensen sample runs/mine -n 5",
)


class Verbs(click.Group):
    """A group that knows its verbs by name, and turns errors into three lines and an exit code."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's file and take the command of the same name."""
        if cmd_name not in VERBS:
            return None
        return cast(click.Command, getattr(import_module(VERBS[cmd_name][0]), cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that was asked for. Raises UsageError with the nearest names."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            raise UsageError("unknown verb", f"got {args[0]!r}", nearest(args[0], VERBS))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words of the command: the report records them, and Ctrl-C repeats them with --resume."""
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        with failures(ctx):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by section, without importing any of them."""
        width = max(len(name) for name in VERBS)
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), VERBS[name][1]) for name in names])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Where to begin."""
        write_examples(formatter, EXAMPLES)
        formatter.write_paragraph()
        formatter.write_text("Every verb has --help with an example, and --json for one JSON document.")


@click.group(cls=Verbs, context_settings=SETTINGS, subcommand_metavar="VERB ...")
@click.version_option(__version__, prog_name="jensen")
def cli() -> None:
    """Deep generative models on your own rows, with numbers you can believe.

    ROWS is a CSV, Parquet, NPY, NPZ or IDX file, a folder of images, or the name of an example such as digits. Every
    number says what it is: = exact, >= a lower bound, <= an upper bound, ~ an estimate.
    """


def main() -> None:
    """The command `jensen`. Exit codes: 0 done, 1 a check failed, 2 an error you can act on, 3 another process
    of a training on several devices was lost, 130 Ctrl-C."""
    # read once, when torch loads its OpenMP runtime: threads that spin while they wait slow each other down
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from jensen.cli.launch import leaving_at_once

    with leaving_at_once():
        cli(prog_name="jensen")
