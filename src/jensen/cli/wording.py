"""Texts of the library as the command line says them."""

from __future__ import annotations

import re
import shlex
import shutil
import textwrap
from typing import TextIO

from jensen.printable import printable

_SAME = (
    (r"\b(?:pass )?overwrite=True\b", "pass --overwrite"),
    (r"\bpass overwrite\b", "pass --overwrite"),
    (r"\bwith overwrite\b", "with --overwrite"),
    (r"\boverwrite it\b", "pass --overwrite"),
    (r"\bwith resume\b", "with --resume"),
    (r"\bwithout resume\b", "without --resume"),
    (r"\bpass (?:a larger )?input_shape\b", "pass --input-shape"),
    (r"\binput_shape\b", "--input-shape"),
    (r"\bkinds='(\w+)'", r"--kinds \1"),
    (r"\bkinds=(?![\w{])", "--kinds"),
    (r"\bcontext='([^']*)'", r"--context \1"),
    (r"\bcontext=", "--context"),
    (r"\b(pass|with|leave|as) context\b", r"\1 --context"),
    (r"\bout of context\b", "out of --context"),
    (r"\bbinarise='(\w+)'", r"--binarise \1"),
    (r"\bbinarise=(?=[\d.])", "--binarise "),
    (r"\bleave binarise out\b", "leave --binarise out"),
    (r"\bgaps='(\w+)'", r"--gaps \1"),
    (r"\bcolumns=", "--columns"),
    (r"\bpass batch=(\d+)", r"pass --set batch=\1"),
    (r"\bk=(\d+)", r"-k \1"),
    (r"\bmark the sites to be drawn as missing\b", "name what to draw with --missing"),
    (r"\braise particles\b", "raise --particles"),
)
_DROP = re.compile(r"\bdrop=(\[[^\]]*\]|'[^']*')")
_KINDS = re.compile(r"\bkinds=\{(?:'([^']*)'|\"([^\"]*)\"): '(\w+)'\}")


def as_options(text: str) -> str:
    """Arguments of Python as options of the command.

    >>> as_options("pass drop=['a', 'b c'], or kinds='levels'")
    "pass --drop a --drop 'b c', or --kinds levels"
    """
    text = _DROP.sub(_drop, text)
    text = _KINDS.sub(lambda found: f"--kinds {shlex.quote(f'{found[1] or found[2]}={found[3]}')}", text)
    for pattern, replacement in _SAME:
        text = re.sub(pattern, replacement, text)
    return text


def folded(text: str, indent: int, stream: TextIO) -> str:
    """Text broken to the width of a terminal, its further lines indented; one line anywhere else."""
    text = printable(text)
    if not stream.isatty():
        return text
    width = max(40, min(shutil.get_terminal_size().columns, 110)) - indent
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * indent).join(lines) or text


def _drop(found: re.Match[str]) -> str:
    names = [double or single for double, single in re.findall(r"\"([^\"]*)\"|'([^']*)'", found[1])]
    return " ".join(f"--drop {shlex.quote(name)}" for name in names)
