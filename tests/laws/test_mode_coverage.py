"""The check of modes: right samplers hold, a planted mode that is left out is found, and neither answer is given lightly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import jensen
from jensen.adapt.samples import samples_of
from jensen.checks import run
from jensen.checks.mode_coverage import ALPHA, Known, coverage, enough
from jensen.checks.verdict import Verdict
from jensen.cli import cli
from jensen.data.known_modes import Modes, grid, known_modes, lumps, ring, stacked_digits
from jensen.errors import UsageError
from jensen.models.independent import Independent
from jensen.space import Space

Draw = Callable[[int], np.ndarray]


def exact(law: Modes, seed: int = 0) -> Draw:
    """Draws of the law, other ones at every call."""
    seeds = iter(range(1000 * seed, 1000 * seed + 1000))
    assert law.sample is not None
    sample = law.sample
    return lambda n: sample(n, next(seeds))


def without(law: Modes, mode: int, seed: int = 0) -> Draw:
    """The law's rows, those of one mode left out."""
    draw = exact(law, seed)

    def drawn(n: int) -> np.ndarray:
        rows = draw(2 * n)
        return rows[law.of(rows) != mode][:n]

    return drawn


@pytest.mark.parametrize("name", ["ring", "grid", "stacked-digits", "mixture"])
def test_the_law_itself_holds_every_mode(name: str) -> None:
    law = known_modes(name)
    verdict = coverage(law, exact(law))
    assert verdict.holds, verdict.evidence
    assert verdict.details["missed"] == 0 and verdict.details["reached"] == len(law.shares)


@pytest.mark.parametrize("name, mode", [("ring", 3), ("grid", 24), ("stacked-digits", 123), ("mixture", 0)])
def test_a_mode_that_is_left_out_is_found_and_named(name: str, mode: int) -> None:
    law = known_modes(name)
    verdict = coverage(law, without(law, mode))
    assert verdict.holds is False and verdict.details["which_missed"] == [mode]


@pytest.mark.parametrize("name", ["two-moons", "u1", "mixture"])
def test_targets_have_the_modes_that_their_exact_samples_show(name: str) -> None:
    """Shares to five standard errors of 20,000 exact draws, by the targets' own samplers."""
    import torch

    law, target = known_modes(name), jensen.data.target(name)
    assert target.sample is not None
    found = law.of(target.sample(20_000, torch.Generator().manual_seed(0)).numpy())
    seen = np.bincount(found[found >= 0], minlength=len(law.shares)) / 20_000
    assert (np.abs(seen - law.shares) < 5 * np.sqrt(law.shares * (1 - law.shares) / 20_000)).all()


def test_a_mode_at_exactly_a_third_of_its_share_is_left_undecided() -> None:
    """There both answers would be luck: each comes in at most ALPHA / 2 of checks, so never in 200 but with 18 %, and not 4 times
    but with 5e-6."""
    two = lumps("two", np.array([[0.0], [9.0]]), 0.01, np.array([0.5, 0.5]))
    answers = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        answers.append(
            coverage(two, lambda n, rng=rng: np.where(rng.random((n, 1)) < 1 / 6, 0.0, 9.0)).holds  # type: ignore[misc]
        )
    assert sum(answer is not None for answer in answers) < 4 and ALPHA == 1e-3


def test_half_of_a_share_never_fails_and_a_sixth_never_holds() -> None:
    law = ring()
    centres = 2 * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1)

    def drawn(share: float, seed: int) -> Verdict:
        weights = np.append(share / 8, np.full(7, (1 - share / 8) / 7))
        rng = np.random.default_rng(seed)
        return coverage(law, lambda n: centres[rng.choice(8, n, p=weights)])

    assert all(drawn(0.5, seed).holds is not False for seed in range(50))
    assert all(drawn(1 / 6, seed).holds is not True for seed in range(50))


def test_blurs_between_the_modes_cover_none() -> None:
    """N(centre, 0.6^2): a share of 0.054 lies within 4 sd = 0.2 of a centre, 1 - exp(-0.2^2 / (2 0.6^2)), below a third."""
    law = replace(grid(), name="a grid")
    blurred = exact(replace(law, sample=lambda n, seed: _blur(n, seed)))
    verdict = coverage(law, blurred)
    assert verdict.holds is False and verdict.details["missed"] == 25
    assert abs(verdict.details["near_none"] - math.exp(-(0.2**2) / (2 * 0.6**2))) < 0.02


def _blur(n: int, seed: int) -> np.ndarray:
    centres = grid(sd=1e-9).sample
    assert centres is not None
    return centres(n, seed) + 0.6 * np.random.default_rng([seed, 1]).normal(size=(n, 2))


def test_the_divergence_of_the_modes_is_the_closed_form_one() -> None:
    """Seven of eight modes, equally often: KL(q || p) = log(8 / 7)."""
    law = ring()
    rows = 2 * np.stack([np.cos(np.arange(7) * np.pi / 4), np.sin(np.arange(7) * np.pi / 4)], 1)
    verdict = coverage(law, lambda n: np.resize(rows, (n, 2)), 700)
    assert abs(verdict.details["kl_of_modes"] - math.log(8 / 7)) < 1e-12
    assert verdict.details["smallest_over_expected"] == 0


def test_stacked_digits_have_a_thousand_modes_of_the_products_of_their_labels() -> None:
    from sklearn.datasets import load_digits

    law, share = stacked_digits(), np.bincount(load_digits().target) / 1797
    assert len(law.shares) == 1000 and abs(law.shares.sum() - 1) < 1e-12
    assert math.isclose(law.shares[427], share[4] * share[2] * share[7])
    known = load_digits()
    three = known.images[[0, 11, 32]][None]  # labels 0, 1, 2
    assert law.of(three).tolist() == [int("".join(str(known.target[i]) for i in (0, 11, 32)))]


def test_an_audit_counts_the_modes_of_what_it_is_told_the_rows_are() -> None:
    law = ring()
    draw = exact(law)
    theirs = samples_of("theirs", draw(enough(law)), Space.real(2))
    assert [v.holds for v in jensen.audit(theirs, modes="ring", checks=["mode_coverage"])] == [True]
    few = samples_of("theirs", draw(60), Space.real(2))
    (verdict,) = jensen.audit(few, modes="ring", checks=["mode_coverage"])
    assert verdict.holds is None and verdict.details["samples"] == 60
    blob = jensen.fit("independent", draw(600))
    assert [v.holds for v in jensen.audit(blob, modes=law, checks=["mode_coverage"])] == [False]
    (verdict,) = jensen.audit(blob, checks=["mode_coverage"])
    assert verdict.holds is None and "no modes are known" in verdict.evidence
    with pytest.raises(UsageError, match="rows of shape"):
        jensen.audit(jensen.fit("independent", np.zeros((50, 3)) + draw(50)[:, :1]), modes="ring")
    with pytest.raises(UsageError, match="no modes are known"):
        known_modes("rung")


def test_a_run_fitted_to_a_target_is_known_by_it() -> None:
    """The name in its record says which modes its samples should have."""
    fitted = jensen.fit("realnvp", target="mixture", steps=5)
    (verdict,) = jensen.audit(fitted, checks=["mode_coverage"])
    assert verdict.details["modes"] == 4 and "mixture" in verdict.evidence
    other = jensen.fit("realnvp", target=jensen.data.target("mixture", modes=6), steps=5)
    (verdict,) = jensen.audit(other, checks=["mode_coverage"])  # of other settings the modes are not known
    assert verdict.holds is None and "no modes are known" in verdict.evidence


def test_it_applies_to_what_samples_only() -> None:
    model = Independent(Space.real(2))
    assert run("mode_coverage", model, None, model.space).holds is None
    assert run("mode_coverage", Known(model, ring()), None, model.space).holds is not None


def test_the_command_counts_the_modes_of_a_run(tmp_path: Path) -> None:
    law = ring()
    assert law.sample is not None
    jensen.fit("independent", law.sample(600, 0)).save(tmp_path / "run")
    words = ["audit", str(tmp_path / "run"), "--modes", "ring", "--checks", "mode_coverage", "--json"]
    done = CliRunner().invoke(cli, words, prog_name="jensen")
    (verdict,) = json.loads(done.stdout)
    assert done.exit_code == 1 and verdict["holds"] is False and verdict["modes"] == 8
