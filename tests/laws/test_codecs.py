"""Laws of every codec: it inverts, its log|det| is the Jacobian's, and scores through it are honest."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal

from jensen.codec import (
    Chain,
    Codec,
    Dequantise,
    Integers,
    Logit,
    Standardise,
    as_tensor,
    codec_for,
    codec_from_dict,
)
from jensen.errors import DataError, SpaceError
from jensen.quantity import Kind
from jensen.space import Column, Space

REAL_VECTOR, REAL_IMAGE = Space.real(4), Space.real((2, 2, 3))
GREY, GRADES = Space.levels((1, 2, 3), 17), Space.levels(3, 5, low=-1.0, step=0.5)
TABLE = Space((3,), (Column("binary"), Column("levels", 4, low=10.0, step=5.0), Column("categorical", 3)))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def real_rows(space: Space, n: int = 7, seed: int = 0) -> Tensor:
    """Rows inside (-3, 3), of another mean and scale at each site."""
    unit = torch.rand(n, space.dims, generator=seeded(seed), dtype=torch.float64) * 2 - 1
    sites = torch.arange(space.dims, dtype=torch.float64)
    return (unit * (1 + sites) / space.dims * 2 + torch.cos(sites)).reshape(n, *space.shape)


def lattice_rows(space: Space, n: int = 7, seed: int = 0) -> Tensor:
    """Rows drawn uniformly from a discrete space, in the user's own values (float64)."""
    levels = torch.tensor(space.levels_by_site())
    index = (torch.rand(n, space.dims, generator=seeded(seed), dtype=torch.float64) * levels).floor()
    low, step = (torch.as_tensor(side) for side in space.grid())
    return (index * step + low).reshape(n, *space.shape)


def standardise(space: Space) -> Standardise:
    return Standardise.fit(space, real_rows(space, 20, seed=1))


def noisy_then(space: Space, *more: Callable[[Space], Codec]) -> Chain:
    noisy = Dequantise(space)
    return Chain([noisy, *(make(noisy.model_space) for make in more)])


def logit_of_levels(levels: int) -> Callable[[Space], Codec]:
    return lambda space: Logit(space, 0.0, levels, margin=0.01)


SMOOTH: dict[str, Codec] = {
    "standardise vector": standardise(REAL_VECTOR),
    "standardise image": standardise(REAL_IMAGE),
    "logit vector": Logit(REAL_VECTOR, -3.0, 4.0, margin=0.05),
    "logit image": Logit(REAL_IMAGE, -10.0, 10.0, margin=0.2),
    "logit, then standardise": Chain([Logit(REAL_VECTOR, -3.0, 4.0), standardise(REAL_VECTOR)]),
    "standardise, then logit": Chain([standardise(REAL_IMAGE), Logit(REAL_IMAGE, -6.0, 6.0)]),
    "a chain in a chain": Chain([Chain([standardise(REAL_VECTOR)]), Logit(REAL_VECTOR, -9.0, 9.0)]),
}
LATTICE: dict[str, Codec] = {
    "integers": Integers(GREY),
    "integers of a grid": Integers(GRADES),
    "integers of a table": Integers(TABLE),
    "dequantise": Dequantise(GREY),
    "dequantise a grid": Dequantise(GRADES),
    "dequantise a table": Dequantise(TABLE),
    "dequantise, then standardise": noisy_then(GREY, standardise),
    "dequantise, then logit": noisy_then(GRADES, logit_of_levels(5)),
    "dequantise, then logit, then standardise": noisy_then(GRADES, logit_of_levels(5), standardise),
}
CODECS = SMOOTH | LATTICE


def over(codecs: dict[str, Codec]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("codec", codecs.values(), ids=codecs.keys())


def rows_for(codec: Codec, n: int = 7) -> Tensor:
    return real_rows(codec.space, n) if codec.space.kind == "real" else lattice_rows(codec.space, n)


# ---------------------------------------------------------------------------------------------------------------
# There and back
# ---------------------------------------------------------------------------------------------------------------


@over(SMOOTH)
def test_decoding_inverts_encoding_of_real_rows(codec: Codec) -> None:
    x = rows_for(codec)
    z, _ = codec.encode(x)
    # a chain takes under twenty roundings and slopes below 100: 20 * 100 * 2**-53 * |x| < 1e-12
    torch.testing.assert_close(codec.decode(z), x, rtol=0, atol=1e-12)


@over(SMOOTH)
def test_encoding_inverts_decoding(codec: Codec) -> None:
    z, _ = codec.encode(rows_for(codec))
    torch.testing.assert_close(codec.encode(codec.decode(z))[0], z, rtol=0, atol=1e-11)


@over(LATTICE)
def test_every_draw_of_an_encoded_lattice_row_decodes_to_that_row(codec: Codec) -> None:
    x = rows_for(codec, 200)
    for seed in range(3):
        z, _ = codec.encode(x, seeded(seed))
        # low + step * index in float64 both times
        torch.testing.assert_close(codec.decode(z).double(), x, rtol=0, atol=1e-12)


@over(SMOOTH)
def test_float32_rows_stay_float32_and_keep_the_numbers_of_float64(codec: Codec) -> None:
    x = rows_for(codec).float()
    (z, log_det), (z64, log_det64) = codec.encode(x), codec.encode(x.double())
    assert (z.dtype, log_det.dtype, codec.decode(z).dtype) == (torch.float32,) * 3
    # each of at most two parts rounds once to 2**-24 relative; the second's slope, below 20, magnifies the first's
    scale = 20 * 2**-23 * (1 + z64.abs().amax())
    assert (z - z64).abs().max() < scale
    assert (log_det - log_det64).abs().max() < scale * codec.space.dims
    assert (codec.decode(z) - x).abs().max() < 100 * 2**-23 * (1 + x.abs().max())


@over(CODECS)
def test_an_encoded_row_lies_in_the_model_space(codec: Codec) -> None:
    z, log_det = codec.encode(rows_for(codec), seeded())
    codec.model_space.check(z.numpy())
    assert log_det.shape == (len(z),)
    assert codec.decode(z).shape == z.shape


# ---------------------------------------------------------------------------------------------------------------
# log|det|
# ---------------------------------------------------------------------------------------------------------------


@over(SMOOTH)
def test_log_det_is_that_of_the_autograd_jacobian(codec: Codec) -> None:
    x = rows_for(codec, 3)
    _, log_det = codec.encode(x)
    for row, ours in zip(x, log_det, strict=True):

        def flat(values: Tensor) -> Tensor:
            return codec.encode(values.reshape(1, *codec.space.shape))[0].flatten()

        jacobian = torch.autograd.functional.jacobian(flat, row.flatten())
        sign, theirs = torch.linalg.slogdet(jacobian)
        assert sign == 1
        # twelve logs of numbers of order one, each with a relative error of a few 2**-53
        assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)


@over({name: codec for name, codec in LATTICE.items() if not isinstance(codec, Chain)})
def test_indices_and_uniform_noise_have_no_log_det(codec: Codec) -> None:
    assert codec.encode(rows_for(codec), seeded())[1].tolist() == [0.0] * 7


@over({name: codec for name, codec in CODECS.items() if isinstance(codec, Chain)})
def test_a_chain_encodes_part_after_part_and_adds_their_log_dets_and_kinds(codec: Chain) -> None:
    x = rows_for(codec)
    z, total = codec.encode(x, seeded())
    by_hand, log_dets, generator = x, [], seeded()
    for part in codec.parts:
        by_hand, log_det = part.encode(by_hand, generator)
        log_dets.append(log_det.double())
    assert torch.equal(z, by_hand)
    torch.testing.assert_close(total.double(), torch.stack(log_dets).sum(0), rtol=1e-14, atol=1e-14)
    assert codec.kind is (Kind.LOWER if any(part.kind is Kind.LOWER for part in codec.parts) else Kind.EXACT)
    assert codec.random is any(part.random for part in codec.parts)
    assert codec.space == codec.parts[0].space
    assert codec.model_space == codec.parts[-1].model_space


def test_a_chain_of_nothing_is_refused() -> None:
    with pytest.raises(SpaceError, match="at least one"):
        Chain([])


def test_rescaling_the_rows_shifts_every_score_by_the_log_of_the_scale() -> None:
    x = real_rows(REAL_VECTOR, 30)
    scales = torch.tensor([0.01, 1.0, 60.0, 1000.0], dtype=torch.float64)
    scores = []
    for rows in (x, x * scales + 5):
        z, log_det = Standardise.fit(REAL_VECTOR, rows).encode(rows)
        scores.append(Normal(0.0, 1.0).log_prob(z).sum(1) + log_det)
    expected = -scales.log().sum()
    # rows of size up to 3e3 lose 12 bits: 2**-53 * 3e3 / 0.01 relative to z
    torch.testing.assert_close(scores[1] - scores[0], expected.expand(30), rtol=0, atol=1e-10)


# ---------------------------------------------------------------------------------------------------------------
# Change of variables: total mass, by Gauss-Legendre quadrature of analytic integrands (error below 1e-12)
# ---------------------------------------------------------------------------------------------------------------


def gauss_legendre(low: float, high: float, nodes: int = 200) -> tuple[Tensor, Tensor]:
    points, weights = np.polynomial.legendre.leggauss(nodes)
    half = (high - low) / 2
    return torch.from_numpy(low + half * (points + 1)), torch.from_numpy(weights * half)


def density_mass(codec: Codec, log_prob: Callable[[Tensor], Tensor], low: float, high: float) -> float:
    """The integral over [low, high] of the density that a 1-D model gives the user's rows through a codec."""
    x, weights = gauss_legendre(low, high)
    z, log_det = codec.encode(x[:, None])
    return float((weights * (log_prob(z[:, 0]) + log_det).exp()).sum())


MIXTURE = MixtureSameFamily(
    Categorical(torch.tensor([0.3, 0.7], dtype=torch.float64)),
    Normal(torch.tensor([-1.0, 1.2], dtype=torch.float64), torch.tensor([0.5, 0.8], dtype=torch.float64)),
)


def test_a_density_through_standardise_integrates_to_one() -> None:
    codec = Standardise(Space.real(1), torch.tensor([40.0]), torch.tensor([0.125]))
    # eleven units of z on either side: a missing tail below 1e-30
    assert density_mass(codec, MIXTURE.log_prob, 40 - 11 / 8, 40 + 11 / 8) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("margin", [0.001, 0.05, 0.3])
def test_a_density_through_logit_integrates_to_its_mass_on_the_image(margin: float) -> None:
    codec = Logit(Space.real(1), -2.0, 5.0, margin)
    end = torch.tensor(math.log((1 - margin) / margin), dtype=torch.float64)
    image = float(MIXTURE.cdf(end) - MIXTURE.cdf(-end))
    assert density_mass(codec, MIXTURE.log_prob, -2.0, 5.0) == pytest.approx(image, abs=1e-10)
    truncated = density_mass(codec, lambda z: MIXTURE.log_prob(z) - math.log(image), -2.0, 5.0)
    assert truncated == pytest.approx(1.0, abs=1e-10)


def test_a_logistic_density_through_logit_is_uniform() -> None:
    margin, x = 0.1, torch.linspace(-2.0, 5.0, 50, dtype=torch.float64)[:, None]
    z, log_det = Logit(Space.real(1), -2.0, 5.0, margin).encode(x)
    logistic = torch.nn.functional.logsigmoid(z) + torch.nn.functional.logsigmoid(-z)
    expected = torch.full((50,), math.log((1 - 2 * margin) / 7), dtype=torch.float64)
    torch.testing.assert_close(logistic[:, 0] + log_det, expected, rtol=0, atol=1e-13)


def test_a_density_through_a_chain_integrates_to_one() -> None:
    space = Space.real(1)
    shift = Standardise(space, torch.tensor([0.3]), torch.tensor([0.5]))
    logit = Logit(space, 0.0, 1.0, 0.02)
    ends = shift.encode(logit.encode(torch.tensor([[0.0], [1.0]], dtype=torch.float64))[0])[0][:, 0]
    image = float(MIXTURE.cdf(ends[1]) - MIXTURE.cdf(ends[0]))
    codec = Chain([logit, shift])
    mass = density_mass(codec, lambda z: MIXTURE.log_prob(z) - math.log(image), 0.0, 1.0)
    assert mass == pytest.approx(1.0, abs=1e-10)


# ---------------------------------------------------------------------------------------------------------------
# Masses through Integers
# ---------------------------------------------------------------------------------------------------------------


def all_rows(space: Space) -> Tensor:
    """Every row of a small discrete space, in the user's values."""
    sites = [space.column(site) for site in range(space.dims)]
    values = [[c.low + c.step * k for k in range(c.levels)] for c in sites]
    return torch.tensor(list(itertools.product(*values)), dtype=torch.float64).reshape(-1, *space.shape)


@st.composite
def tiny_spaces(draw: st.DrawFn) -> Space:
    def column() -> Column:
        kind = draw(st.sampled_from(["levels", "binary", "categorical"]))
        levels = 2 if kind == "binary" else draw(st.integers(2, 5))
        return Column(kind, levels, draw(st.floats(-20, 20)), draw(st.floats(0.01, 20)))  # type: ignore[arg-type]

    if draw(st.booleans()):
        return Space(draw(st.sampled_from([(1, 1, 2), (2, 1, 1), (1, 2, 1)])), (column(),))
    d = draw(st.integers(1, 3))
    return Space((d,), tuple(column() for _ in range(d)))


@given(tiny_spaces(), st.integers(0, 2**31))
def test_masses_of_all_rows_sum_to_one_for_any_table(space: Space, seed: int) -> None:
    levels = space.levels_by_site()
    table = torch.randn(levels, generator=seeded(seed), dtype=torch.float64) * 3
    log_mass = table - table.logsumexp(tuple(range(table.ndim)))
    z, log_det = Integers(space).encode(all_rows(space))
    scores = log_mass[tuple(z.flatten(1).T)] + log_det
    # at most 125 terms, each right to a few 2**-53
    assert float(scores.exp().sum()) == pytest.approx(1.0, abs=1e-13)


@given(tiny_spaces())
def test_integers_number_all_rows_in_lexicographic_order_and_lose_none(space: Space) -> None:
    x = all_rows(space)
    z, _ = Integers(space).encode(x)
    expected = list(itertools.product(*(range(count) for count in space.levels_by_site())))
    assert z.dtype == torch.int64
    assert z.flatten(1).tolist() == [list(index) for index in expected]
    torch.testing.assert_close(Integers(space).decode(z).double(), x, rtol=0, atol=1e-12)


GRIDS = {
    "0 .. 255": (256, 0.0, 1.0),
    "k / 255": (256, 0.0, 1 / 255),
    "k / 256": (256, 0.0, 1 / 256),
    "k / 127.5 - 1": (256, -1.0, 1 / 127.5),
    "-1 + k / 2": (5, -1.0, 0.5),
    "1 .. 5": (5, 1.0, 1.0),
    "10 + 5 k": (40, 10.0, 5.0),
    "0 or 255": (2, 0.0, 255.0),
    "65536 levels": (65536, 0.0, 1.0),
}


def grid_values(levels: int, low: float, step: float) -> Tensor:
    return low + step * torch.arange(levels).double()


GRIDS_BY_TYPE = [
    pytest.param(grid, dtype, id=f"{name} {dtype}")
    for name, grid in GRIDS.items()
    for dtype in (torch.uint8, torch.int64, torch.float32, torch.float64)
    if dtype.is_floating_point or torch.equal(grid_values(*grid), grid_values(*grid).to(dtype).double())
]
"""Every grid in every type that can hold it."""


@pytest.mark.parametrize("grid, dtype", GRIDS_BY_TYPE)
def test_level_k_of_any_grid_in_any_type_becomes_the_integer_k(
    grid: tuple[int, float, float], dtype: torch.dtype
) -> None:
    levels, low, step = grid
    codec = Integers(Space.levels(1, levels, low, step))
    x = grid_values(*grid).to(dtype)[:, None]
    z, log_det = codec.encode(x)
    assert z.dtype == torch.int64
    assert torch.equal(z[:, 0], torch.arange(levels))
    assert log_det.tolist() == [0.0] * levels
    back = codec.decode(z).to(dtype)
    # the grid's float64 value, rounded once more to the user's own type
    assert (
        torch.equal(back, x) if not dtype.is_floating_point else torch.allclose(back, x, rtol=2**-23, atol=0)
    )


def test_pictures_divided_by_255_in_float32_are_the_same_rows_as_in_bytes() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    as_bytes, _ = Integers(Space.levels((1, 16, 16), 256)).encode(pixels)
    as_floats, _ = Integers(Space.levels((1, 16, 16), 256, step=1 / 255)).encode(pixels.float() / 255)
    assert torch.equal(as_bytes, as_floats)


def test_a_whole_numbered_grid_decodes_to_whole_numbers() -> None:
    decoded = Integers(Space.levels(2, 4, low=10.0, step=5.0)).decode(torch.tensor([[0, 3]]))
    assert decoded.dtype == torch.int64
    assert decoded.tolist() == [[10, 25]]


@pytest.mark.parametrize("space", [Space.real(2), Space((2,), (Column("real"), Column("binary")))])
@pytest.mark.parametrize("codec", [Integers, Dequantise])
def test_real_rows_have_no_integers(codec: type, space: Space) -> None:
    with pytest.raises(SpaceError, match="discrete"):
        codec(space)


# ---------------------------------------------------------------------------------------------------------------
# Dequantise is a lower bound in expectation
# ---------------------------------------------------------------------------------------------------------------


def unit_cube(d: int, nodes: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre points (nodes**d, d) and weights on the unit cube."""
    points, weights = gauss_legendre(0.0, 1.0, nodes)
    grid = torch.stack(torch.meshgrid(*[points] * d, indexing="ij"), -1).reshape(-1, d)
    return grid, torch.stack(torch.meshgrid(*[weights] * d, indexing="ij"), -1).reshape(-1, d).prod(1)


ONE_D = Space.levels(1, 5, low=-1.0, step=0.5)
LUMPY = MixtureSameFamily(
    Categorical(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)),
    Normal(
        torch.tensor([0.9, 2.4, 3.7], dtype=torch.float64),
        torch.tensor([0.4, 0.25, 0.6], dtype=torch.float64),
    ),
)
TWO_D = Space.levels(2, 3, low=10.0, step=5.0)
TILTED = MixtureSameFamily(
    Categorical(torch.tensor([0.6, 0.4], dtype=torch.float64)),
    MultivariateNormal(
        torch.tensor([[1.0, 1.2], [2.0, 0.8]], dtype=torch.float64),
        torch.tensor([[[0.5, 0.3], [0.3, 0.4]], [[0.3, -0.1], [-0.1, 0.6]]], dtype=torch.float64),
    ),
)
LADDERS = {
    "one site": (ONE_D, lambda z: LUMPY.log_prob(z[:, 0]), 80),
    "two dependent sites": (TWO_D, TILTED.log_prob, 40),
}
"""Tiny lattices, each with a density of z = index + u; the nodes integrate both p and log p to 1e-12 on a cell."""


def expected_bounds_and_masses(
    space: Space, log_prob: Callable[[Tensor], Tensor], nodes: int
) -> tuple[Tensor, Tensor]:
    """E log p(index + u) and log of the integral of p over the cell, for all rows of a lattice."""
    index, _ = Integers(space).encode(all_rows(space))
    u, weights = unit_cube(space.dims, nodes)
    log_p = torch.stack([log_prob(row + u) for row in index])
    return log_p @ weights, (log_p.exp() @ weights).log()


@pytest.mark.parametrize("space, log_prob, nodes", LADDERS.values(), ids=LADDERS.keys())
def test_the_expected_dequantised_score_of_every_row_is_below_its_log_mass(
    space: Space, log_prob: Callable[[Tensor], Tensor], nodes: int
) -> None:
    bounds, masses = expected_bounds_and_masses(space, log_prob, nodes)
    assert (bounds < masses - 1e-6).all()  # strictly: no cell of these densities is flat
    assert float(masses.exp().sum()) < 1
    assert float(bounds.exp().sum()) <= 1


def test_quadrature_of_a_cell_is_its_mass_by_the_distribution_function() -> None:
    _, masses = expected_bounds_and_masses(*LADDERS["one site"])
    edges = LUMPY.cdf(torch.arange(6, dtype=torch.float64))
    torch.testing.assert_close(masses.exp(), edges.diff(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("space, log_prob, nodes", LADDERS.values(), ids=LADDERS.keys())
def test_the_mean_of_encoded_scores_is_that_expectation(
    space: Space, log_prob: Callable[[Tensor], Tensor], nodes: int
) -> None:
    bounds, _ = expected_bounds_and_masses(space, log_prob, nodes)
    n = 4000
    for seed, (row, bound) in enumerate(zip(all_rows(space), bounds, strict=True)):
        z, log_det = Dequantise(space).encode(row.expand(n, *space.shape), seeded(seed))
        scores = log_prob(z) + log_det
        # independent rows: five standard errors of their mean
        assert abs(scores.mean() - bound) < 5 * scores.std() / math.sqrt(n)


def test_the_bound_survives_a_chain_of_smooth_codecs() -> None:
    # a model in standardised logits of dequantised levels, scored in the user's units
    noisy = Dequantise(ONE_D)
    logit = Logit(noisy.model_space, 0.0, 5.0, 0.05)
    shift = Standardise(noisy.model_space, torch.tensor([0.2]), torch.tensor([1.1]))
    chain, tail = Chain([noisy, logit, shift]), Chain([logit, shift])
    total, total_bound, n = 0.0, 0.0, 4000
    for seed, row in enumerate(all_rows(ONE_D)):
        index, _ = Integers(ONE_D).encode(row[None])
        u, weights = unit_cube(1, 80)
        z, log_det = tail.encode(index + u)
        log_p = MIXTURE.log_prob(z[:, 0]) + log_det
        bound, mass = float(log_p @ weights), float(log_p.exp() @ weights)
        assert bound < math.log(mass)
        z, log_det = chain.encode(row.expand(n, 1), seeded(seed))
        scores = MIXTURE.log_prob(z[:, 0]) + log_det
        assert abs(scores.mean() - bound) < 5 * scores.std() / math.sqrt(n)
        total, total_bound = total + mass, total_bound + math.exp(bound)
    assert total_bound <= total <= 1


def test_a_density_flat_on_every_cell_makes_the_bound_tight() -> None:
    masses = torch.tensor([0.1, 0.2, 0.4, 0.25, 0.05], dtype=torch.float64)
    z, log_det = Dequantise(ONE_D).encode(all_rows(ONE_D), seeded())
    scores = masses.log()[z[:, 0].floor().long()] + log_det
    assert torch.equal(scores, masses.log())
    assert float(scores.exp().sum()) == pytest.approx(1.0, abs=1e-15)


def test_the_noise_is_uniform_on_the_unit_interval() -> None:
    n = 20000
    z, _ = Dequantise(ONE_D).encode(all_rows(ONE_D)[2:3].expand(n, 1), seeded())
    u = (z - 2)[:, 0]
    assert u.min() >= 0 and u.max() < 1
    # Kolmogorov-Smirnov: sqrt(n) D > 2 has probability 2 exp(-8) = 7e-4
    distance = (u.sort().values - (torch.arange(n) + 0.5) / n).abs().max() + 0.5 / n
    assert math.sqrt(n) * float(distance) < 2


def test_equal_rows_of_one_batch_get_independent_noise() -> None:
    # shared noise would leave each row's bound right and make their mean as noisy as a single row
    sites = 5000
    space = Space.levels(sites, 3)
    z, _ = Dequantise(space).encode(torch.ones(3, sites), seeded())
    assert len(set(map(tuple, z.tolist()))) == 3
    assert not (z[0] == z[1]).any()
    correlations = torch.corrcoef(z)[[0, 0, 1], [1, 2, 2]]
    # independent noise has a correlation of standard deviation 1 / sqrt(sites)
    assert correlations.abs().max() < 5 / math.sqrt(sites)
    neighbours = torch.corrcoef(torch.stack([z[0, :-1], z[0, 1:]]))[0, 1]
    assert neighbours.abs() < 5 / math.sqrt(sites)


@over({name: codec for name, codec in LATTICE.items() if codec.random})
def test_the_noise_repeats_with_its_seed_and_moves_on_without(codec: Codec) -> None:
    x, generator = rows_for(codec), seeded(3)
    first, second = codec.encode(x, generator)[0], codec.encode(x, generator)[0]
    assert torch.equal(first, codec.encode(x, seeded(3))[0])
    assert not (first == second).any()
    assert not (first == codec.encode(x, seeded(4))[0]).any()


@over({name: codec for name, codec in CODECS.items() if not codec.random})
def test_a_codec_that_says_it_is_not_random_uses_no_noise(codec: Codec) -> None:
    state = torch.random.get_rng_state()
    generator = seeded()
    assert torch.equal(codec.encode(rows_for(codec), generator)[0], codec.encode(rows_for(codec))[0])
    assert torch.equal(generator.get_state(), seeded().get_state())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_generator_keeps_the_global_random_state_as_it_was() -> None:
    state = torch.random.get_rng_state()
    Dequantise(GREY).encode(rows_for(Dequantise(GREY)), seeded())
    codec_for(frozenset({"real"}), GREY, lattice_rows(GREY))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_samples_outside_the_lattice_decode_to_its_edge() -> None:
    z = torch.tensor([[-3.0, 99.0, 2.999], [4.999, -0.001, 5.0]], dtype=torch.float64)
    assert Dequantise(GRADES).decode(z).tolist() == [[-1.0, 1.0, 0.0], [1.0, -1.0, 1.0]]


# ---------------------------------------------------------------------------------------------------------------
# Standardise and Logit
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space, axes", [(REAL_VECTOR, 0), (REAL_IMAGE, (0, 2, 3))])
def test_fitted_rows_have_mean_zero_and_deviation_one_at_every_site_or_channel(
    space: Space, axes: int | tuple[int, ...]
) -> None:
    x = real_rows(space, 40) * 50 + 1000
    z, _ = Standardise.fit(space, x).encode(x)
    # x of size 1e3 over scales above 5: 1e3 / 5 * 2**-53 a row
    assert np.abs(z.numpy().mean(axes)).max() < 1e-12
    assert np.abs(z.numpy().std(axes) - 1).max() < 1e-12


def test_all_pixels_of_a_channel_are_standardised_alike() -> None:
    codec = standardise(REAL_IMAGE)
    z, _ = codec.encode(torch.full((1, *REAL_IMAGE.shape), 0.7, dtype=torch.float64))
    assert torch.equal(z, z[:, :, :1, :1].expand_as(z))
    assert z[0, 0, 0, 0] != z[0, 1, 0, 0]


def test_a_constant_column_cannot_be_standardised() -> None:
    for value in (0.0, 0.1, 1e6 / 3):
        x = real_rows(REAL_VECTOR, 1000)
        x[:, 2] = value
        with pytest.raises(DataError, match="constant column"):
            Standardise.fit(REAL_VECTOR, x)
    with pytest.raises(DataError, match="constant column"):
        Standardise.fit(REAL_VECTOR, real_rows(REAL_VECTOR, 1))


@pytest.mark.parametrize("space", [GREY, GRADES, TABLE])
def test_lattices_are_neither_standardised_nor_squashed(space: Space) -> None:
    with pytest.raises(SpaceError, match="real"):
        Standardise(space, torch.zeros(1), torch.ones(1))
    with pytest.raises(SpaceError, match="real"):
        Logit(space, 0.0, 1.0)


@pytest.mark.parametrize("value", [-0.001, 1.001, -math.inf, math.inf])
def test_logit_refuses_values_outside_its_range(value: float) -> None:
    x = torch.tensor([[0.5, 0.5], [0.5, value]], dtype=torch.float64)
    with pytest.raises(SpaceError, match="from 0 to 1; got"):
        Logit(Space.real(2), 0.0, 1.0).encode(x)


def test_logit_takes_the_ends_of_its_range_in_float32() -> None:
    # -0.1 and 0.7 are not float32 numbers: the rows nearest to them lie outside by 1e-9
    low, high = -0.1, 0.7
    codec = Logit(Space.real(1), low, high, margin=0.05)
    z, _ = codec.encode(torch.tensor([[low], [high]], dtype=torch.float32))
    end = math.log(0.95 / 0.05)
    # an end moves by 3e-9 of a range of 0.8, times a slope of at most 1 / (0.05 * 0.95)
    assert z.flatten().tolist() == pytest.approx([-end, end], abs=1e-6)


def test_logit_sends_the_ends_to_the_logits_of_the_margin_and_decodes_the_rest_to_the_ends() -> None:
    codec = Logit(Space.real(1), -2.0, 6.0, margin=0.25)
    z, _ = codec.encode(torch.tensor([[-2.0], [2.0], [6.0]], dtype=torch.float64))
    assert z.flatten().tolist() == pytest.approx([-math.log(3), 0.0, math.log(3)], abs=1e-15)
    outside = torch.tensor([[-50.0], [50.0]], dtype=torch.float64)
    assert codec.decode(outside).flatten().tolist() == [-2.0, 6.0]


@pytest.mark.parametrize(
    "low, high, margin", [(1, 1, 0.05), (2, 1, 0.05), (0, 1, 0.0), (0, 1, 0.5), (0, 1, -0.1)]
)
def test_logit_needs_a_range_and_a_margin_below_a_half(low: float, high: float, margin: float) -> None:
    with pytest.raises(SpaceError, match="low < high"):
        Logit(Space.real(1), low, high, margin)


# ---------------------------------------------------------------------------------------------------------------
# Records
# ---------------------------------------------------------------------------------------------------------------


@over(CODECS)
def test_a_codec_that_went_through_json_encodes_and_decodes_bitwise_equal(codec: Codec) -> None:
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict(), allow_nan=False)))
    x = rows_for(codec)
    (z, log_det), (z2, log_det2) = codec.encode(x, seeded(5)), again.encode(x, seeded(5))
    assert torch.equal(z, z2)
    assert torch.equal(log_det, log_det2)
    assert torch.equal(codec.decode(z), again.decode(z))
    assert (again.space, again.model_space) == (codec.space, codec.model_space)
    assert (again.kind, again.random) == (codec.kind, codec.random)
    assert again.to_dict() == codec.to_dict()


@pytest.mark.parametrize("record", [{"codec": "Haar"}, {}, {"codec": None}])
def test_a_record_of_an_unknown_codec_is_refused_with_the_known_ones(record: dict) -> None:
    with pytest.raises(DataError, match="this version knows Integers, Standardise"):
        codec_from_dict(record)


# ---------------------------------------------------------------------------------------------------------------
# codec_for
# ---------------------------------------------------------------------------------------------------------------

DISCRETE = [Space.levels(2, 5), Space.binary((1, 2, 2)), Space.categorical(2, 4), TABLE]


@pytest.mark.parametrize("space", DISCRETE, ids=repr)
@pytest.mark.parametrize("also", [frozenset(), frozenset({"real"})])
def test_discrete_rows_stay_discrete_where_the_model_takes_them(space: Space, also: frozenset[str]) -> None:
    codec = codec_for(also | {space.kind}, space, lattice_rows(space))
    assert isinstance(codec, Integers)
    assert codec.kind is Kind.EXACT
    assert codec.space == space


@pytest.mark.parametrize("space", [Space.levels(2, 5, -1.0, 0.5), Space.binary((1, 2, 2))], ids=repr)
def test_ordered_rows_are_dequantised_and_standardised_for_a_model_of_real_rows(space: Space) -> None:
    sample = lattice_rows(space, 500)
    codec = codec_for(frozenset({"real"}), space, sample)
    assert codec.kind is Kind.LOWER
    assert (codec.space, codec.model_space) == (space, Space.real(space.shape))
    z, _ = codec.encode(sample, seeded(1))
    assert torch.equal(codec.decode(z).double(), sample)
    # the fit used other noise: site or channel means of z differ from 0 by means of n differences of two uniforms,
    # of deviation sqrt(2/12), over a scale of at least sqrt(1/4 + 1/12) or so (bits); five standard errors
    means = z.mean((0, 2, 3) if space.is_image else 0)
    assert means.abs().max() < 5 * math.sqrt(2 / 12 / 500) / math.sqrt(1 / 3)


def test_real_rows_are_standardised() -> None:
    sample = real_rows(REAL_VECTOR, 20)
    codec = codec_for(frozenset({"real", "levels"}), REAL_VECTOR, sample)
    assert codec.kind is Kind.EXACT
    assert not codec.random
    expected, log_det = Standardise.fit(REAL_VECTOR, sample).encode(sample)
    z, ours = codec.encode(sample)
    assert torch.equal(z, expected)
    assert torch.equal(ours, log_det)


@pytest.mark.parametrize(
    "accepts, space, given",
    [
        ({"levels"}, Space.real(2), "real"),
        ({"binary"}, Space.levels(2, 5), "5 levels"),
        ({"levels", "binary"}, Space.categorical(2, 4), "4 categories"),
        ({"categorical"}, Space((2,), (Column("real"), Column("categorical", 3))), "mixed"),
    ],
)
def test_where_there_is_no_honest_way_the_error_says_what_was_given(
    accepts: set[str], space: Space, given: str
) -> None:
    with pytest.raises(SpaceError, match=given):
        codec_for(frozenset(accepts), space, torch.zeros(4, *space.shape))


def test_a_table_of_levels_and_bits_is_ordered_and_so_can_be_dequantised() -> None:
    space = Space((2,), (Column("levels", 5), Column("binary")))
    codec = codec_for(frozenset({"real"}), space, lattice_rows(space, 50))
    assert codec.kind is Kind.LOWER


# ---------------------------------------------------------------------------------------------------------------
# as_tensor
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, kept",
    [
        (np.uint8, torch.uint8),
        (np.bool_, torch.uint8),
        (np.int8, torch.int64),
        (np.int32, torch.int64),
        (np.uint16, torch.int64),
        (np.float16, torch.float32),
        (np.float32, torch.float32),
        (np.float64, torch.float64),
        (">f4", torch.float32),
        (">i2", torch.int64),
    ],
)
def test_arrays_become_tensors_of_the_same_values_that_share_no_memory(given: str, kept: torch.dtype) -> None:
    rows = np.array([[0, 1], [1, 1]]).astype(given)
    tensor = as_tensor(rows)
    assert tensor.dtype == kept
    assert tensor.tolist() == [[0, 1], [1, 1]]
    rows[0, 0] = 1
    assert tensor[0, 0] == 0
