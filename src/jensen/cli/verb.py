"""What every verb's help looks like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "show_default": True,
}


class Help(click.HelpFormatter):
    """Help with bold headings where there is a terminal."""

    def write_heading(self, heading: str) -> None:
        """A section's title."""
        self.write(f"{'':>{self.current_indent}}{click.style(heading, bold=True)}:\n")


class HelpContext(click.Context):
    """A context that writes such help."""

    formatter_class = Help


class Verb(click.Command):
    """A command with examples, and lines of its own, below its options."""

    context_class = HelpContext

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        listing: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples, self.listing = tuple(examples), tuple(listing)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists of names, then the examples."""
        for title, pairs in self.listing:
            with formatter.section(title):
                formatter.write_dl(list(pairs))
        write_examples(formatter, self.examples)


def verb(
    name: str,
    *,
    examples: Sequence[str],
    listing: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (),
) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function the verb `name`; its docstring is the help, each example a whole command."""
    return click.command(name, cls=Verb, context_settings=SETTINGS, examples=examples, listing=listing)


def write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    """Commands to copy, never wrapped."""
    with formatter.section("Example" if len(examples) == 1 else "Examples"):
        for line in examples:
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
