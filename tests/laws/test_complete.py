"""Completions follow p(missing | observed), which enumeration knows, whatever is observed and whichever sampler walks.

Noise. A share estimated from g independent systems has a standard error that the systems themselves show; half the sum
of the absolute normal errors of all cells is the expected total variation of an exact sampler. It is kept below half of
the tolerance, so that a tolerance of 0.02 leaves at least 0.01 for the bias of finitely many particles.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import scipy.integrate
import torch
from scipy.stats import chi2, kstest
from torch import Tensor

from jensen.autoregressive import Autoregressive
from jensen.checks.twin import strengthen, table
from jensen.codec import Integers, Standardise
from jensen.context import ContextCodec
from jensen.errors import JensenWarning
from jensen.fitted import Fitted
from jensen.functional.ancestral import uniforms
from jensen.functional.enumerate import all_rows, row_index
from jensen.functional.importance import log_mean_exp
from jensen.functional.particles import effective_sample_size, pick, systematic
from jensen.models import model_class
from jensen.sampling.particles import ParticleWalk
from jensen.space import Space

BITS = Space.binary((1, 3, 3))
COLOUR = Space.levels((3, 1, 2), 2)
HYPER = {
    "made": {"hidden": (24, 24), "order": "random"},
    "pixelcnn": {"channels": 12, "layers": 1, "kernel": 3},
    "gated-pixelcnn": {"channels": 9, "layers": 1, "kernel": 3},
    "transformer": {"width": 16, "layers": 2, "heads": 2, "dropout": 0.0, "order": "random"},
}
OBSERVED = {
    "last row": [6, 7, 8],
    "scattered": [1, 3, 5, 7, 8],
    "all but one": [1, 2, 3, 4, 5, 6, 7, 8],
}
SAMPLERS = [
    ("made", "incremental"),
    ("pixelcnn", "rows"),
    ("pixelcnn", "wavefront"),
    ("gated-pixelcnn", "rows"),
    ("gated-pixelcnn", "wavefront"),
    ("transformer", "cached"),
]


@cache
def strong(name: str, space: Space = BITS) -> Autoregressive:
    torch.manual_seed(0)
    model = model_class(name)(space, **HYPER[name])
    strengthen(model, seed=1)
    return model.eval()


class Case(NamedTuple):
    """A row and a mask (d,), the law p (rows,) of all rows given the observed sites, and log p(observed)."""

    row: Tensor
    missing: Tensor
    law: Tensor
    log_observed: float


@cache
def case(name: str, observed: tuple[int, ...], space: Space = BITS) -> Case:
    """Of a row that the model thinks likely: the observed values should not be a freak."""
    log_p = table(strong(name, space)).double()
    rows = all_rows(space.levels_by_site())
    row = rows[int(log_p.exp().multinomial(1, generator=torch.Generator().manual_seed(5)))]
    missing = torch.ones(space.dims, dtype=torch.bool)
    missing[list(observed)] = False
    fits = (rows[:, ~missing] == row[~missing]).all(1)
    total = log_p[fits].logsumexp(0)
    return Case(row, missing, torch.where(fits, log_p - total, -math.inf).exp(), float(total))


def prefix(name: str, size: int) -> tuple[int, ...]:
    return tuple(strong(name).order[:size].tolist())


def walked(
    model: Autoregressive,
    one: Case,
    systems: int,
    particles: int,
    sampler: str = "auto",
    seed: int = 3,
    least: float = 0.5,
) -> ParticleWalk:
    generator, d = torch.Generator().manual_seed(seed), len(one.row)
    u = uniforms(systems * particles, (d,), generator, torch.device("cpu"))
    v = uniforms(systems, (d + 1,), generator, torch.device("cpu"))
    walk = ParticleWalk(model.head, one.row.expand(systems, d), one.missing.expand(systems, d), u, v)
    walk.least = least
    with torch.no_grad():
        model.walk(walk, None, sampler)
    return walk


def shares(model: Autoregressive, *walks: ParticleWalk) -> tuple[Tensor, float]:
    """The law of the chosen particle, estimated by all particles with their weights, and its expected noise."""
    levels, found = model.space.levels_by_site(), []
    for walk in walks:
        cells = row_index(walk.x, levels).view_as(walk.log_weight)
        each = torch.zeros(walk.systems, math.prod(levels), dtype=torch.float64)
        found.append(each.scatter_add_(1, cells, walk.log_weight.softmax(1)))
    each = torch.cat(found)
    errors = each.std(0) / len(each) ** 0.5
    return each.mean(0), 0.5 * math.sqrt(2 / math.pi) * float(errors.sum())


def variation(p: Tensor, q: Tensor) -> float:
    return 0.5 * float((p - q).abs().sum())


@pytest.mark.parametrize("observed", OBSERVED)
@pytest.mark.parametrize("name, sampler", SAMPLERS)
def test_particles_follow_the_exact_conditional(name: str, sampler: str, observed: str) -> None:
    one = case(name, tuple(OBSERVED[observed]))
    model, runs = strong(name), 12 if len(OBSERVED[observed]) < 5 else 3
    found, noise = shares(model, *(walked(model, one, 100, 128, sampler, seed) for seed in range(runs)))
    assert noise < 0.01
    assert variation(found, one.law) < 0.02


def test_completions_follow_the_exact_conditional() -> None:
    n, one = 100_000, case("made", (1, 5, 7))
    fitted = Fitted(strong("made"), Integers(BITS), [], {})
    mask = one.missing.reshape(BITS.shape).numpy()
    found = fitted.complete(one.row.reshape(1, *BITS.shape).numpy(), mask, n, particles=64, seed=0)
    counts = torch.bincount(row_index(torch.from_numpy(found.rows[0]), [2] * 9), minlength=512)
    noise = 0.5 * float((2 / math.pi * one.law * (1 - one.law) / n).sqrt().sum())
    # McDiarmid: an exact sampler exceeds its expected noise by so much once in a million seeds
    assert noise + math.sqrt(math.log(1e6) / (2 * n)) < 0.02
    assert variation(counts / n, one.law) < 0.02
    assert not found.exact.any() and 10 < found.ess[0] < 64
    # log of a mean over all systems: its error is about that of 100,000 systems
    assert found.log_observed.values[0] == pytest.approx(one.log_observed, abs=0.01)


@pytest.mark.parametrize("name", ["pixelcnn", "gated-pixelcnn"])
def test_clamping_in_raster_order_is_far_off_and_particles_come_near(name: str) -> None:
    one, model = case(name, (6, 7, 8)), strong(name)
    far = [variation(shares(model, walked(model, one, 30_000 // k, k))[0], one.law) for k in (1, 4, 16, 64)]
    assert far[0] > 0.3, "one particle a system is clamping: it must fail, or the law could not"
    assert far == sorted(far, reverse=True) and far[-1] < 0.1 * far[0]


@pytest.mark.parametrize("name", HYPER)
def test_a_prefix_of_the_order_is_exact_with_one_particle(name: str) -> None:
    n, one = 20_000, case(name, prefix(name, 4))
    fitted = Fitted(strong(name), Integers(BITS), [], {})
    mask = one.missing.reshape(BITS.shape).numpy()
    rows = one.row.reshape(1, *BITS.shape).numpy()
    found = fitted.complete(rows, mask, n, particles=1, seed=0)  # a warning would be an error
    counts = torch.bincount(row_index(torch.from_numpy(found.rows[0]), [2] * 9), minlength=512)
    assert found.exact.all() and found.log_observed.kind.value == "exact"
    assert found.log_observed.values[0] == pytest.approx(one.log_observed, abs=1e-4)
    assert (counts[one.law == 0] == 0).all()
    expected = n * one.law[one.law > 0]
    rare = expected < 5
    cells = [(counts[one.law > 0][~rare], expected[~rare])]
    cells.append((counts[one.law > 0][rare].sum()[None], expected[rare].sum()[None]))
    statistic = sum(float(((c - e).square() / e.clamp(min=1e-9)).sum()) for c, e in cells if e.sum() > 1)
    degrees = int((~rare).sum()) - 1 + int(expected[rare].sum() > 1)
    assert chi2.sf(statistic, degrees) > 1e-4
    more = fitted.complete(rows, mask, n, particles=64, seed=0)
    assert (more.rows == found.rows).all(), "where it is exact, particles change nothing"


@pytest.mark.parametrize("name", HYPER)
def test_the_mean_weight_is_unbiased_and_its_log_a_lower_bound_that_rises(name: str) -> None:
    one, means = case(name, (1, 5, 7)), []
    for k, systems in ((1, 8000), (4, 2000), (32, 500)):
        log_observed = walked(strong(name), one, systems, k).choose().log_observed
        ratio = (log_observed - one.log_observed).exp()
        assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / systems**0.5
        means.append(float(log_observed.mean()))
    noise = 4 * float(log_observed.std()) / systems**0.5
    assert means[0] < means[1] < means[2] + noise and means[2] < one.log_observed + noise
    assert means[2] > one.log_observed - 0.1


@pytest.mark.parametrize("name", ["gated-pixelcnn", "pixelcnn"])
def test_drawing_anew_at_every_chance_leaves_the_mean_weight_unbiased(name: str) -> None:
    one, systems = case(name, (1, 3, 5, 7, 8)), 4000
    log_observed = walked(strong(name), one, systems, 3, least=0.999).choose().log_observed
    ratio = (log_observed - one.log_observed).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / systems**0.5


@pytest.mark.parametrize("name", ["made", "gated-pixelcnn", "pixelcnn"])
def test_the_effective_sample_size_tells_the_variance_of_the_estimate(name: str) -> None:
    one, k = case(name, (1, 5, 7)), 64
    found = walked(strong(name), one, 500, k).choose()
    variance = float((found.log_observed - one.log_observed).exp().var())
    told = float((1 / found.ess).mean()) - 1 / k
    # a variance from 500 systems is good to 6 %; to first order leaves what is drawn anew too soon
    assert told / 1.7 < variance < told * 1.7


@pytest.mark.parametrize(
    "name, sampler, space",
    [(*pair, BITS) for pair in SAMPLERS if pair[1] != "wavefront"] + [("pixelcnn", "rows", COLOUR)],
)
def test_every_sampler_gives_what_the_naive_one_gives(name: str, sampler: str, space: Space) -> None:
    # in float64 a sum in another order moves no draw past a border
    model = model_class(name)(space, **HYPER[name])
    model.load_state_dict(strong(name, space).state_dict())
    model = model.double().eval()
    one = case(name, tuple(model.order[1::2].tolist()), space)
    plain, fast = (walked(model, one, 50, 8, each, least=0.999) for each in ("naive", sampler))
    assert (plain.x == fast.x).all()
    torch.testing.assert_close(plain.log_weight, fast.log_weight, rtol=0, atol=1e-6)
    for a, b in zip(plain.choose(), fast.choose()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    # the check has teeth: particles were drawn anew on the way
    assert int((plain._loss > 1 / 8).sum()) > 40


@pytest.mark.parametrize("name", ["pixelcnn", "gated-pixelcnn"])
def test_a_wavefront_gives_the_same_where_nothing_is_drawn_anew(name: str) -> None:
    # otherwise it weighs the sites in another order, and only the law is the same
    one = case(name, (1, 5, 7))
    plain, fast = (walked(strong(name), one, 200, 1, each) for each in ("naive", "wavefront"))
    assert (plain.x == fast.x).all()
    torch.testing.assert_close(plain.log_weight, fast.log_weight, rtol=0, atol=1e-4)


def test_completions_of_a_row_are_independent_of_each_other() -> None:
    one, m = case("made", (1, 5, 7)), 20_000
    fitted = Fitted(strong("made"), Integers(BITS), [], {})
    rows = one.row.reshape(1, *BITS.shape).expand(m, *BITS.shape).numpy()
    mask = one.missing.reshape(BITS.shape).numpy()
    with pytest.warns(JensenWarning):  # 8 particles: the law is off, independence is not
        found = fitted.complete(rows, mask, 2, particles=8, seed=0).rows.reshape(m, 2, 9)
    for site in np.flatnonzero(one.missing.numpy()):
        pairs = np.bincount(2 * found[:, 0, site] + found[:, 1, site], minlength=4).reshape(2, 2)
        product = pairs.sum(1, keepdims=True) * pairs.sum(0, keepdims=True) / m
        assert chi2.sf(((pairs - product) ** 2 / product).sum(), 1) > 1e-4


def test_masks_of_their_own_are_completed_row_by_row() -> None:
    name, sets = "made", [(1, 5, 7), prefix("made", 3), (0, 8, int(strong("made").order[-1]))]
    cases = [case(name, each) for each in sets]
    fitted = Fitted(strong(name), Integers(BITS), [], {})
    shape = (len(cases), *BITS.shape)
    rows = torch.stack([one.row for one in cases]).reshape(shape).numpy()
    mask = torch.stack([one.missing for one in cases]).reshape(shape).numpy()
    found = fitted.complete(rows, mask, 4000, particles=64, seed=0)
    assert found.exact.tolist() == [False, True, False] and found.ess[1] == 64
    for row, one in enumerate(cases):
        counts = torch.bincount(row_index(torch.from_numpy(found.rows[row]), [2] * 9), minlength=512)
        noise = 0.5 * float((2 / math.pi * one.law * (1 - one.law) / 4000).sqrt().sum())
        assert variation(counts / 4000, one.law) < noise + math.sqrt(math.log(1e6) / 8000)
        assert found.log_observed.values[row] == pytest.approx(one.log_observed, abs=0.02)


def test_a_context_is_that_of_the_row() -> None:
    torch.manual_seed(0)
    space, context = Space.binary(4), Space.categorical(1, 2)
    model = model_class("made")(space, hidden=(16,), context=context)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.7 * torch.randn(parameter.shape))
    model.eval()
    rows = all_rows([2] * 4)
    fitted = Fitted(model, Integers(space), [], {}, ContextCodec(context, np.zeros(1), np.ones(1)))
    given = np.array([[0, 0, 0, 1], [0, 0, 0, 1]])
    mask = np.array([True, True, True, False])
    n = 20_000
    found = fitted.complete(given, mask, n, particles=64, seed=0, context=np.array([0, 1]))
    laws = []
    for c in (0, 1):
        log_p = model.log_prob(rows, torch.full((16, 1), c)).detach().double()
        laws.append(torch.where(rows[:, 3] == 1, log_p, -math.inf).softmax(0))
        counts = torch.bincount(row_index(torch.from_numpy(found.rows[c]), [2] * 4), minlength=16)
        assert variation(counts / n, laws[c]) < 0.02
    assert variation(*laws) > 0.1


@pytest.fixture(scope="module")
def plane() -> tuple[Fitted, np.ndarray]:
    """A density of two dependent numbers, the second drawn first, in units far from standard ones."""
    torch.manual_seed(0)
    model = model_class("made")(Space.real(2), hidden=(24, 24), order=[1, 0], components=4)
    strengthen(model, seed=1)
    model.eval()
    rows = (
        model.sample(2000, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([0.1, 20.0])
        + 7
    )
    return Fitted(model, Standardise.fit(Space.real(2), rows), [], {}), rows.numpy()


@pytest.mark.parametrize("site", [0, 1])
def test_densities_are_completed_as_quadrature_says(plane: tuple[Fitted, np.ndarray], site: int) -> None:
    fitted, rows = plane
    row, low, high = rows[3], rows[:, site].min(), rows[:, site].max()
    grid = np.linspace(low - (high - low), high + (high - low), 20_001)
    many = np.repeat(row[None], len(grid), 0)
    many[:, site] = grid
    density = np.exp(fitted.score(many).values)
    total = float(scipy.integrate.trapezoid(density, grid))
    cdf = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))]) / total
    mask = np.arange(2) == site
    n = 4000
    found = fitted.complete(row[None], mask, n, particles=256, seed=1)
    assert found.exact.tolist() == [site == 0]
    assert found.log_observed.values[0] == pytest.approx(math.log(total), abs=2e-3 if site == 0 else 0.02)
    assert found.log_observed.measure == "density" and found.log_observed.dims == 1
    assert (found.rows[0, :, 1 - site] == row[1 - site]).all(), "observed values bit for bit"
    assert kstest(found.rows[0, :, site], lambda x: np.interp(x, grid, cdf)).pvalue > 1e-4


def test_systematic_drawing_gives_every_particle_its_share() -> None:
    log_weight = torch.tensor([0.5, 0.0, 0.17, 0.03, 0.3]).log()
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    chosen = systematic(log_weight.expand(1000, 5), u)
    counts = torch.stack([(chosen == j).sum(1) for j in range(5)], 1).double()
    share = 5 * log_weight.exp().double()
    torch.testing.assert_close(counts.mean(0), share, rtol=0, atol=1e-3)  # 1,000 numbers u, all of [0, 1)
    assert ((counts >= share.floor()) & (counts <= share.ceil())).all()
    assert systematic(log_weight, torch.tensor(math.nextafter(1, 0), dtype=torch.float64)).max() == 4


def test_dead_systems_are_worth_nothing_and_stay_finite() -> None:
    dead = torch.full((1, 4), -math.inf)
    assert effective_sample_size(dead).tolist() == [0] and log_mean_exp(dead).tolist() == [-math.inf]
    assert systematic(dead, torch.tensor([0.5])).tolist() == [[0, 1, 2, 3]]
    assert pick(dead, torch.tensor([0.6])).tolist() == [2]
