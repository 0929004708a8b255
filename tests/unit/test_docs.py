"""The docs: every command and every piece of Python on their pages runs, and prints what the page says, numbers aside."""

from __future__ import annotations

import ast
import doctest
import json
import re
import runpy
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from click.testing import CliRunner

from jensen.cli import cli

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    page for page in DOCS.rglob("*.md") if page.name != "course.md" and page.parent.name != "reference"
)
"""The course has tests of its own; the reference is made of docstrings, whose examples are doctests."""
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))

BLOCK = re.compile(
    r"^(?P<skip><!-- not run: .+? -->\n)?```(?P<language>python|pycon|console|(?=\n\$ ))\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
"""A fence of Python, of a Python session, or of commands after $; a comment on the line before says why one does not run."""
NUMBER = re.compile(r"[-+]?(\d[\d,]*(\.\d+)?(e[-+]?\d+)?|\binf\b|\bnan\b)")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh folder to stand in, one thread also for verbs, and no window for plots."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    matplotlib.use("agg")
    for name, module in list(
        sys.modules.items()
    ):  # a page's posterior.py is not that of another test's folder
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path.parents[1])):
            monkeypatch.delitem(sys.modules, name)


def skeleton(text: str) -> list[str]:
    """The lines that say something, with # for numbers, so that another processor's last digit is no failure."""
    lines = (NUMBER.sub("#", re.sub(r"-{2,}|\b[0-9a-f]{16}\b", "", line)) for line in text.splitlines())
    return [kept for line in lines if (kept := " ".join(line.split())) and kept != "..."]


def missing(shown: str, printed: str) -> list[str]:
    """The lines that a page shows and the command does not print. A line that ends in ... is cut short."""
    found = skeleton(printed)
    return [
        line
        for line in skeleton(shown)
        if line not in found
        and not (line.endswith("...") and any(one.startswith(line[:-3].rstrip()) for one in found))
    ]


class NumbersAside(doctest.OutputChecker):
    """A Python session prints the lines that are shown."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Whether nothing is missing; where nothing is shown, nothing may be printed."""
        return not missing(want, got) and bool(want.strip() or not got.strip())


def run_python(code: str, names: dict[str, Any]) -> None:
    """A block whose first line is `# NAME.py` becomes that file, any other is executed."""
    titled = re.match(r"# (\w+\.py)\n", code)
    if titled:
        Path(titled[1]).write_text(code)
    else:
        exec(compile(code, "page", "exec"), names)


def run_session(code: str, names: dict[str, Any], page: str) -> None:
    """A session of >>> and what it prints."""
    test = doctest.DocTestParser().get_doctest(code, names, page, page, 0)
    test.globs = names
    printed: list[str] = []
    failed, _ = doctest.DocTestRunner(NumbersAside(), verbose=False).run(
        test, out=printed.append, clear_globs=False
    )
    assert not failed, "".join(printed)


def run_commands(code: str) -> None:
    """Every `$ jensen ...` ends well and prints the lines below it; `jensen audit` may find a failure, which is its code 1."""
    first, *commands = re.split(r"^\$ ", code, flags=re.MULTILINE)
    assert not first.strip(), f"a block of commands begins with a command, not with {first!r}"
    for text in commands:
        command, _, shown = text.replace("\\\n", " ").partition("\n")
        program, verb, *rest = shlex.split(command, comments=True)
        assert program == "jensen", command
        done = CliRunner().invoke(cli, [verb, *rest], catch_exceptions=False)
        assert done.exit_code == 0 or (verb == "audit" and done.exit_code == 1), done.output
        assert not missing(shown, done.output), f"$ {command}\n{done.output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_says_what_happens(page: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short fits are doubted, and say so
        for block in BLOCK.finditer(page.read_text()):
            code = block["code"]
            if block["skip"]:
                continue
            if block["language"] == "python":
                run_python(code, names)
            elif block["language"] == "pycon":
                run_session(code, names, page.name)
            else:
                run_commands(code)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path) -> None:
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    names: dict[str, Any] = {"__name__": "notebook"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell in cells:
            assert cell["outputs"] == [] and cell["execution_count"] is None, "clear the outputs"
            show_last(ast.parse("".join(cell["source"])), names)


def show_last(cell: ast.Module, names: dict[str, Any]) -> None:
    """Run a cell, and show the value of its last line as a notebook does."""
    last = cell.body.pop() if isinstance(cell.body[-1], ast.Expr) else None
    exec(compile(cell, "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        getattr(value, "_repr_html_", value.__repr__)()


def test_what_a_page_shows_is_compared() -> None:
    # the comparison itself: numbers may differ, signs and words may not
    assert missing("made  >= -14.2 [-15, -13]", "made >= -9 [-10, -8]\nother") == []
    assert missing("made = -14.2", "made >= -14.2") == ["made = #"]
    assert missing("made = -14.2 nats ...", "made = -3.1 nats, a mixed; 100 rows") == []
    with pytest.raises(AssertionError):
        run_session(">>> 1 < 2\nFalse\n", {}, "page")
    with pytest.raises(AssertionError):
        run_commands("$ jensen models made\nno such line\n")


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w./-]+\.md", (DOCS.parent / "mkdocs.yml").read_text()))
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} <= listed


def test_docstrings_become_markdown() -> None:
    pytest.importorskip("griffe", reason="comes with the docs extra")
    script = runpy.run_path(str(DOCS.parent / "scripts" / "docs_markdown.py"))
    text = "Add.\n\n>>> 1 + 1\n2\n\na: one\n    number\nb, c: two\n\nEnd: it is\n  so."
    said = "Add.\n\n```pycon\n>>> 1 + 1\n2\n```\n\n- a: one\n    number\n- b, c: two\n\nEnd: it is\n  so."
    assert script["as_markdown"](text) == said
