"""Texts from strangers, made fit to be shown: no name moves the cursor, turns the direction of writing or begins a line."""

from __future__ import annotations

import re
import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control characters, formats (bidirectional overrides among them), halves of surrogates, ends of lines and paragraphs."""

_UNUSUAL = re.compile(r"[^\x20-\x7e]")

JOINERS = "\u200c\u200d"
"""Formats that scripts and signs need, and that do nothing else."""


def printable(text: str, keep: str = "") -> str:
    r"""A text with what is not to be seen written as Python writes it; `keep`: characters that stay.

    >>> printable("a\x1b[31mb\n\u202ec"), printable("a\nb", keep="\n")
    ('a\\x1b[31mb\\n\\u202ec', 'a\nb')
    """
    return _UNUSUAL.sub(lambda one: one[0] if _seen(one[0], keep) else repr(one[0])[1:-1], text)


def _seen(c: str, keep: str) -> bool:
    return c in keep or c in JOINERS or unicodedata.category(c) not in HIDDEN
