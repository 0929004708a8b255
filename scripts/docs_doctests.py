"""For the docs: the examples in docstrings become code blocks, which Markdown would take for quotations."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import griffe


def fenced(text: str) -> str:
    """The text with every paragraph that begins with >>> inside a fence.

    >>> fenced("Add.\\n\\n>>> 1 + 1\\n2\\n\\nMore.").splitlines()
    ['Add.', '', '```pycon', '>>> 1 + 1', '2', '```', '', 'More.']
    """
    lines: list[str] = []
    for empty, group in groupby(text.split("\n"), lambda line: not line.strip()):
        block = list(group)
        example = not empty and block[0].startswith(">>> ")
        lines += ["```pycon", *block, "```"] if example else block
    return "\n".join(lines)


class Doctests(griffe.Extension):
    """Fences the examples of every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every function, class and module."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
