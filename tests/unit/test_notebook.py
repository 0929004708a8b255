"""What notebooks show: the numbers of the text, escaped, and nothing that runs or loads."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import jensen
from jensen.checks.verdict import Verdict
from jensen.quantity import Kind, Quantity

HOSTILE = "<script>alert('x')</script>\"&"


class Read(HTMLParser):
    """Text, tags and attributes of a fragment, whose tags must close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.tags, self.open, self.tips = "", set[str](), list[str](), list[str]()
        self.names = set[str]()
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open.append(tag)
        self.names |= {name for name, _ in attrs}
        self.tips += [text or "" for name, text in attrs if name == "title"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


SAFE = {"span", "b", "div", "table", "thead", "tbody", "tr", "th", "td"}


def read(thing: object) -> Read:
    found = Read(thing._repr_html_())  # type: ignore[attr-defined]
    assert found.tags <= SAFE and found.names <= {"style", "title"}
    return found


@pytest.mark.parametrize("kind", Kind)
def test_a_number_says_what_its_text_says(kind: Kind) -> None:
    number = Quantity(-3.0, kind, "nats", "mass", (-3.5, -2.5), how={"n": 7, "codec": HOSTILE, "rows": [1]})
    found = read(number)
    text = repr(number).replace(">=", "≥").replace("<=", "≤")
    assert found.words == text
    (tip,) = found.tips
    assert "n: 7" in tip and HOSTILE in tip and "level: 0.95" in tip
    assert {"exact": "exact", "lower": "or higher", "upper": "or lower", "estimate": "estimate"}[
        kind.value
    ] in tip


def test_a_number_without_interval_or_unit_is_just_that() -> None:
    assert read(Quantity(0.25)).words == "= 0.250" and "level" not in read(Quantity(0.25)).tips[0]
    assert read(Quantity(float("inf"), Kind.UPPER, "nats")).words == "≤ inf nats"


@pytest.mark.parametrize(
    ("holds", "applies", "word"),
    [
        (True, True, "✓ holds"),
        (False, True, "✗ fails"),
        (None, True, "? not proven"),
        (None, False, "– does not"),
    ],
)
def test_a_verdict_has_its_mark_word_and_evidence(holds: bool | None, applies: bool, word: str) -> None:
    found = read(Verdict("no_leak", holds, HOSTILE, {"applies": applies}))
    assert found.words.startswith(word) and "no_leak" in found.words and HOSTILE in found.words


def test_a_comparison_shows_its_numbers_orders_and_what_cannot_be_scored() -> None:
    rows = jensen.rows(np.random.default_rng(0).normal(size=(300, 2)) @ np.array([[1.0, 3.0], [0.0, 0.1]]))
    drawn = np.asarray(rows.train[:100])
    result = jensen.compare({HOSTILE: "independent", "ppca": "ppca", "drawn": drawn}, rows)
    found = read(result)
    assert HOSTILE in found.words and "drawn" in found.words and "cannot" in found.words
    assert f"ppca > {HOSTILE} by" in found.words and "95%" in found.words
    best = result.entries[0]
    assert best.name == "ppca" and found.words.index("ppca") < found.words.index(HOSTILE)
    # the number of the text table, digit for digit
    text = next(line for line in result.table().splitlines() if line.startswith("ppca"))
    assert text.split()[2] in found.words


def test_numbers_show_themselves_without_torch() -> None:
    code = "import sys, jensen; jensen.Quantity(1.0)._repr_html_(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
