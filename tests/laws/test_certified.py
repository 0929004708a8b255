"""What is said of a bound by weights: its certificate, its noise, its widened and annealed proposals, its tightness."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from latent_models import BITS, COLUMNS, VARIANTS, linear, rows_of, seeded, strong
from torch import Tensor

import jensen
from jensen.annealing import annealed_weights
from jensen.codec import Standardise
from jensen.errors import Cannot, UsageError
from jensen.fitted import Fitted
from jensen.functional import ais
from jensen.functional.bounds import iwae, subsets
from jensen.functional.enumerate import all_rows
from jensen.functional.importance import effective_share, pareto_k
from jensen.functional.tally import BLOCKS, Tally
from jensen.weighing import WIDTHS, Weighing, choose_width

# --- annealing -------------------------------------------------------------------------------------------------------

BEND, PULL = torch.tensor([3.0, 0.5, -0.4]).double(), torch.tensor([2.0, -1.0, 0.5]).double()
LOG_Z = float((0.5 * PULL**2 / (1 + BEND) - 0.5 * (1 + BEND).log()).sum())
"""Of w(e) = exp(sum of -BEND e^2 / 2 + PULL e) under a standard normal law."""


def quadratic(e: Tensor) -> Tensor:
    return (-0.5 * BEND * e.square() + PULL * e).sum(-1)


@pytest.mark.parametrize("levels", [1, 2, 6])
def test_annealed_weights_are_unbiased_in_both_directions(levels: int) -> None:
    n = 4000
    noise = torch.randn(n, 1, 3, generator=seeded(), dtype=torch.float64)
    steps = torch.full((levels, n), 0.3).double()  # any will do
    ahead = ais.forward(quadratic, noise, steps, seeded(1)) - LOG_Z
    exact = (
        PULL / (1 + BEND) + torch.randn(n, 1, 3, generator=seeded(2), dtype=torch.float64) / (1 + BEND).sqrt()
    )
    back = ais.reverse(quadratic, exact, steps, seeded(3)) - LOG_Z
    for ratio in (ahead.exp(), (-back).exp()):
        assert abs(float(ratio.mean()) - 1) < 4.5 * float(ratio.std()) / math.sqrt(n)
    assert float(ahead.mean()) < 0 < float(back.mean())


def test_more_levels_come_closer_from_both_sides() -> None:
    n, gaps = 500, []
    exact = (
        PULL / (1 + BEND) + torch.randn(n, 1, 3, generator=seeded(2), dtype=torch.float64) / (1 + BEND).sqrt()
    )
    for levels in (1, 4, 40):
        noise = torch.randn(n, 1, 3, generator=seeded(), dtype=torch.float64)
        steps = ais.pilot(quadratic, noise, levels, seeded(9))
        assert steps.shape == (levels, n)
        ahead, back = (one(quadratic, start, steps, seeded(1)) for one, start in ((ais.forward, noise), (ais.reverse, exact)))  # fmt: skip
        gaps.append((float(LOG_Z - ahead.mean()), float(back.mean() - LOG_Z)))
    assert all(a > 2 * b > 0 for one, other in itertools.pairwise(gaps) for a, b in zip(one, other))


@pytest.mark.parametrize(("posterior", "width"), [("diagonal", 1.0), ("full", 1.5)])
def test_annealing_and_draws_enclose_the_likelihood(posterior: str, width: float) -> None:
    """Chance of a false alarm: 1e-6 a side. Annealing from the same proposal comes closer."""
    model = linear(posterior)
    x, z = model.sample_with_latents(200, generator=seeded(4))
    margin = math.log(1e6) / len(x)
    with torch.no_grad():
        truth = model.log_prob(x)
        plain = model.log_weights(x, k=1, generator=seeded(), width=width)[:, 0]
    ahead, back = annealed_weights(model, x, None, 1, seeded(5), levels=15, width=width, latents=z)
    assert back is not None
    low, high = float((ahead[:, 0] - truth).mean()), float((back - truth).mean())
    assert -margin <= high and low <= margin
    assert float((truth - plain).mean()) > 2 * -low > 0
    assert high - low > 0.01


@pytest.mark.parametrize(
    "variant", ["plain", "full", "flow posterior", "flow prior", "vamp", "three layers, flow"]
)
def test_weights_at_the_latents_that_made_a_row_have_the_mean_of_an_upper_bound(variant: str) -> None:
    """E[p(x) / w] = 1 over rows and latents of the model, and the noise is what the draw is made of.

    From a narrow q: the ratio, q over the true posterior, then has a variance."""
    model, n = strong(BITS, **VARIANTS[variant]), 3000
    x, z = model.sample_with_latents(n, generator=seeded(1))
    with torch.no_grad():
        every = all_rows((2,) * 4, BITS.shape)
        mass = torch.cat(
            [iwae(model.log_weights(row, k=5000, generator=seeded(), width=1.2)) for row in every.split(1)]
        )
        place = (x.flatten(1) * torch.tensor([8, 4, 2, 1])).sum(1)
        rows = model.encoded(x)
        noise = model.noise_of(rows, z.unsqueeze(1), 0.7)
        again, _ = model.posterior.draw(rows.parameters, noise[..., : model.latents], 0.7)
        ratio = (mass[place] - model.weigh(rows, noise, 0.7)[:, 0]).exp()
    assert torch.allclose(again[:, 0], z[:, : model.latents], rtol=0, atol=1e-8)
    assert abs(float(ratio.mean()) - 1) < 4.5 * float(ratio.std()) / math.sqrt(n) + 0.02  # 2 % of mass
    assert float(ratio.std()) > 0.05


# --- tallies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draws", [64, 90])
@pytest.mark.parametrize("portion", [1, 7, 90])
@pytest.mark.parametrize("small", [None, 3])
def test_a_tally_in_portions_is_that_of_all_weights(draws: int, portion: int, small: int | None) -> None:
    log_w = 2 * torch.randn(5, draws, generator=seeded(), dtype=torch.float64)
    tally = Tally(draws, small, tails=3)
    for part in log_w.split(portion, 1):
        tally.add(part)
    assert torch.allclose(
        tally.bound(), iwae(log_w) if small is None else subsets(log_w, small), rtol=0, atol=1e-12
    )
    assert tally.ess() / draws == pytest.approx([effective_share(row) for row in log_w], abs=1e-12)
    assert tally.pareto() == pytest.approx([pareto_k(row).k for row in log_w[:3]], abs=1e-12)
    blocks = torch.stack([iwae(part) for part in log_w.tensor_split([-(-b * draws // BLOCKS) for b in range(1, BLOCKS)], 1)])  # fmt: skip
    if small is None:
        assert torch.allclose(tally.variance(), blocks.var(0) / BLOCKS, rtol=0, atol=1e-12)


# --- what is said of a score -----------------------------------------------------------------------------------------


def scored(k: int, width: float, seed: int, x: Tensor) -> jensen.Scores:
    model = linear("diagonal")
    weigh = Weighing(model, "importance", k, seeded(seed), width=width)
    with torch.no_grad():
        values = weigh(x, None).numpy()
    return jensen.Scores(values, jensen.Kind.LOWER, "density", COLUMNS, "rows", how=weigh.facts())


@pytest.mark.parametrize(("k", "width"), [(1, 1.0), (10, 0.6), (100, 2.0)])
def test_the_certificate_holds_as_often_as_it_says_and_the_noise_is_what_repeats_show(
    k: int, width: float
) -> None:
    """80 repeats: 5 % may fail, and three standard errors; blocks give at least the true noise, and not twice it."""
    x = rows_of(linear("diagonal"), 12)
    truth = float(linear("diagonal").log_prob(x).mean().detach())
    found = [scored(k, width, seed, x) for seed in range(80)]
    wrong = sum(one.certified().value > truth for one in found)
    assert wrong <= 80 * 0.05 + 3 * math.sqrt(80 * 0.05 * 0.95)
    means = torch.tensor([one.mean().value for one in found])
    said = torch.tensor([one.how["noise_sd"] for one in found]).square().mean().sqrt()
    assert 0.7 < float(said / means.std()) < 2
    # of one row Student's t with 7 degrees of freedom, not the normal law
    alone = scored(k, width, 0, x[:1])
    low, high = alone.on_these_rows().interval or (0, 0)
    assert alone.how["noise_freedom"] == pytest.approx(BLOCKS - 1)
    assert high - low == pytest.approx(2 * 2.364624 * alone.how["noise_sd"], rel=1e-5)
    low, high = found[0].on_these_rows().interval or (0, 0)
    assert low < found[0].mean().value < high < found[0].mean().interval[1]  # type: ignore[index]


def test_a_width_is_chosen_where_it_helps_and_only_there() -> None:
    narrow, true = linear("diagonal", widen=0.6), linear("full")
    x = rows_of(true, 60)
    assert choose_width(true, x, None, seed=0) == 1.0
    width = choose_width(narrow, x, None, seed=0)
    assert width in (1.4, 1.7, 2.0) and width in WIDTHS
    others = rows_of(true, 200, seed=8)
    with torch.no_grad():
        gain = narrow.log_prob_lower(others, k=64, generator=seeded(), width=width) - narrow.log_prob_lower(
            others, k=64, generator=seeded(1)
        )
    assert float(gain.mean()) > 3 * float(gain.std()) / math.sqrt(200)


@pytest.fixture(scope="module")
def known() -> tuple[Fitted, Tensor]:
    model = linear("diagonal", widen=0.6)
    codec = Standardise(model.space, torch.zeros(COLUMNS), torch.ones(COLUMNS))
    return Fitted(model, codec, [], {"width": 1.4}), rows_of(model, 40)


def test_scores_say_how_they_were_made(known: tuple[Fitted, Tensor]) -> None:
    fitted, x = known
    exact = fitted.score(x)
    assert exact.kind is jensen.Kind.EXACT and "method" not in exact.how
    bound = fitted.score(x, method="importance")
    assert (bound.kind, bound.how["width"], bound.how["weights"]["draws"]) == (jensen.Kind.LOWER, 1.4, 64)
    assert fitted.score(x, method="importance", k=1).how["width"] == 1  # the ELBO
    annealed = fitted.score(x, method="annealed", k=4, levels=10)
    assert annealed.how["levels"] == 10 and annealed.how["noise_sd"] > 0
    margin = math.log(1e6) / len(x)
    for one in (bound, annealed):
        assert one.mean().value <= exact.mean().value + margin
        assert one.certified().value == pytest.approx(one.mean().value - math.log(20) / len(x))
        assert one.certified().kind is jensen.Kind.LOWER
    with pytest.raises(Cannot, match="certificate"):
        exact.certified()
    with pytest.raises(Cannot, match="noise"):
        fitted.score(x, method="annealed", k=1, levels=2).on_these_rows()


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "anneal"},
        {"method": "annealed", "levels": 0},
        {"method": "importance", "levels": 5},
        {"method": "importance", "width": 0.0},
        {"method": "importance", "width": math.nan},
        {"method": "importance", "k": 0},
    ],
)
def test_a_way_of_scoring_that_is_none_is_refused(
    known: tuple[Fitted, Tensor], asked: dict[str, float]
) -> None:
    with pytest.raises(UsageError) as refused:
        known[0].score(known[1], **asked)  # type: ignore[arg-type]
    assert refused.value.wrong and refused.value.given and refused.value.do


def test_tightness_is_of_simulated_rows_and_covers_the_truth(known: tuple[Fitted, Tensor]) -> None:
    fitted, _ = known
    found = jensen.tightness(fitted, n=200, k=16, levels=15, width=1.4)
    model, kinds = fitted.model, jensen.Kind
    x, _ = model.sample_with_latents(200, generator=seeded())  # the same seed makes the same rows
    truth = float(model.log_prob(x).mean().detach())
    for low, high in ((found.lower, found.upper), (found.annealed_lower, found.annealed_upper)):
        assert low is not None and high is not None
        assert (low.kind, high.kind) == (kinds.LOWER, kinds.UPPER)
        assert low.value - math.log(1e6) / 200 <= truth <= high.value + math.log(1e6) / 200
    assert found.gap.value == pytest.approx(found.upper.value - found.lower.value)
    assert truth - max(found.lower.value, found.annealed_lower.value) <= found.certified.value  # type: ignore[union-attr]
    assert "simulated from this model" in found.describe() and found.to_dict()["gap"]["kind"] == "upper"
    assert jensen.tightness(fitted, n=5, levels=0).annealed_gap is None
    with pytest.raises(UsageError):
        jensen.tightness(fitted, n=1)
