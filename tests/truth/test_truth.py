"""The problems with known answers, in the default suite: the quick ones, and a few repeats of those that need repeats.

All repeats are in `python tests/truth/run.py`, which judges shares; so few only find what is far off.
"""

from __future__ import annotations

import pytest
from catalogue import problems
from judging import Verdict, binomial, judge
from problem import FAMILIES, LOW, Bounded, Covered, Exact, Ordered
from run import totals

QUICK = 0.02
"""Of the repeats, and 20 at least."""

SLOW = (
    *("association", "after a search", "multiple", "trained", "annealed", "critics' bounds", "coverage of", "Frechet distance of"),
    *("told apart as", "tightness", "ELBO of 60", "same 25 rows", "p-value of one law", "of 2 real columns: area", "table with gaps: area"),
)  # fmt: skip
"""Words of problems that are left to the whole run: each takes over half a second."""

QUICKLY = [
    name for name in problems() if not any(word in name for word in SLOW) or name.endswith("given moments")
]
EXACT = [name for name in QUICKLY if isinstance(problems()[name], Exact)]
REPEATED = [name for name in QUICKLY if name not in EXACT]


@pytest.mark.parametrize("name", EXACT)
def test_what_is_exact_is_within_a_hundred_thousandth(name: str) -> None:
    found = judge(problems()[name])
    assert found.holds, f"{found.found} instead of {found.truth}: off by {found.figure:.2g}"


@pytest.mark.parametrize("name", REPEATED)
def test_what_is_random_is_not_far_off(name: str) -> None:
    """Twenty repeats or more: as few hits, or as many misses, would come by chance once in 40 problems at the edge of what is
    allowed, and hardly ever for one that is as good as it says; the seeds are fixed."""
    one = problems()[name]
    found = judge(one, QUICK)
    assert found.ends is not None
    if isinstance(one, Covered):
        assert found.ends[1] >= LOW, f"covers in {found.figure:.1%} of {found.repeats}"
    else:
        assert isinstance(one, (Bounded, Ordered)) and found.holds, (
            f"wrong in {found.figure:.1%} of {found.repeats}"
        )


def test_there_are_sixty_problems_in_five_families_and_ten_thousand_comparisons() -> None:
    every = list(problems().values())
    assert len(every) >= 60 and {one.family for one in every} == set(FAMILIES)
    assert all(one.repeats >= 400 for one in every if isinstance(one, (Covered, Bounded)))
    assert sum(one.repeats for one in every if isinstance(one, Ordered)) >= 10_000


def test_the_last_lines_say_what_was_found() -> None:
    found = [
        Verdict("a", "flow", "exact", "1", "1", 2e-7, None, 1, True),
        Verdict("b", "latent", "interval", "0", "0", 0.951, (0.94, 0.96), 2000, True),
        Verdict("c", "latent", "orders", "", "", 0.01, binomial(6, 600), 600, True, count=6),
    ]
    text = "\n".join(totals(found))
    assert "1 of 1 within 1e-5 (worst 2.0e-07)" in text and "95.1% to 95.1%" in text
    assert "6 of 600 comparisons have a false proven order" in text and text.endswith("every goal is met")
