"""Write what the commands and sessions on the pages of the docs print now in place of what the pages show.

    python scripts/docs_outputs.py docs/start/table.md ...     # default: all pages

Only what no longer agrees (numbers aside) is written, whole, without the lines of progress; what is cut short with ... and
still agrees stays. Read the difference before you commit it: a page may now say something else than the text around it.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import runpy
import shlex
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TEST = runpy.run_path(str(ROOT / "tests" / "unit" / "test_docs.py"))
PROGRESS = re.compile(r"^[\w.-]+: (step|fit) .*\n", re.MULTILINE)


def session(code: str, names: dict[str, Any]) -> str:
    """A Python session with what it prints now."""
    written = ""
    for example in doctest.DocTestParser().get_examples(code):
        first, *more = example.source.rstrip("\n").split("\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(example.source, "page", "single"), names)
            except Exception as error:
                kind = f"{type(error).__module__}.{type(error).__qualname__}"
                print(f"Traceback (most recent call last):\n    ...\n{kind}: {error}")
        agrees = example.exc_msg is not None or TEST["NumbersAside"]().check_output(
            example.want, printed.getvalue(), 0
        )
        written += f">>> {first}\n" + "".join(f"... {line}\n" for line in more)
        written += example.want if agrees else printed.getvalue()
    return written


def commands(code: str) -> str:
    """Commands with what they print now."""
    written = ""
    for text in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        end = re.match(r"([^\n]*\\\n)*[^\n]*\n", text).end()  # type: ignore[union-attr]
        command, shown = text[:end], text[end:]
        _, *words = shlex.split(command.replace("\\\n", " "), comments=True)
        printed = TEST["CliRunner"]().invoke(TEST["cli"], words).output
        if TEST["missing"](shown, printed):
            shown = PROGRESS.sub("", printed).rstrip() + "\n\n"
        written += f"$ {command}{shown}"
    return written.rstrip() + "\n"


def rewritten(text: str) -> str:
    """A page with what its blocks print now."""
    names: dict[str, Any] = {"__name__": "page"}
    parts, last = [], 0
    for block in TEST["BLOCK"].finditer(text):
        code = block["code"]
        if block["skip"]:
            continue
        if block["language"] == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                TEST["run_python"](code, names)
            continue
        new = session(code, names) if block["language"] == "pycon" else commands(code)
        parts += [text[last : block.start("code")], new]
        last = block.end("code")
    return "".join(parts) + text[last:]


def main(pages: list[Path]) -> None:
    """Rewrite the pages in place, each run in a folder of its own."""
    warnings.simplefilter("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path.insert(0, "")
    for page in pages:
        text = page.read_text()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            new = rewritten(text)
        if new != text:
            page.write_text(new)
            print("rewritten:", page.relative_to(ROOT))


if __name__ == "__main__":
    main([Path(name).resolve() for name in sys.argv[1:]] or TEST["PAGES"])
