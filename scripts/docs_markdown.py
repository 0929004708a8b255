"""For the docs: docstrings as Markdown, where an example would be a quotation and a list of arguments one paragraph."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any

import griffe

ARGUMENT = re.compile(r"`?\w[\w, `]*: ")


def as_markdown(text: str) -> str:
    """The text with every paragraph that begins with >>> inside a fence, and arguments with indented lines as a list.

    >>> as_markdown("Add.\\n\\n>>> 1 + 1\\n2\\n\\na: one\\n    number\\nb: two").splitlines()
    ['Add.', '', '```pycon', '>>> 1 + 1', '2', '```', '', '- a: one', '    number', '- b: two']
    """
    lines: list[str] = []
    for empty, group in groupby(text.split("\n"), lambda line: not line.strip()):
        block = list(group)
        first = [line for line in block if not line.startswith("    ")]
        if empty:
            lines += block
        elif block[0].startswith(">>> "):
            lines += ["```pycon", *block, "```"]
        elif len(first) < len(block) and first[:1] == block[:1] and all(map(ARGUMENT.match, first)):
            lines += [line if line.startswith("    ") else f"- {line}" for line in block]
        else:
            lines += block
    return "\n".join(lines)


class Docstrings(griffe.Extension):
    """Rewrites every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every function, class and module."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
