"""Image maps are what they say, and the bound of a flow of levels lies below the mass, which quadrature knows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.checks import run
from jensen.checks.goodness import chi_squared
from jensen.checks.twin import strengthen
from jensen.cli.output import score_lines
from jensen.dequantising import LearnedNoise, from_normal, to_normal
from jensen.errors import JensenError
from jensen.functional.enumerate import all_rows
from jensen.models.glow import Glow
from jensen.nn.elementwise import affine_map, spline_map
from jensen.quantity import Kind
from jensen.space import Column, Space
from jensen.transforms.image import ImageMap
from jensen.transforms.image.actnorm import ImageActNorm
from jensen.transforms.image.conv1x1 import Conv1x1
from jensen.transforms.image.coupling import ImageCoupling
from jensen.transforms.image.multiscale import Multiscale
from jensen.transforms.image.squeeze import Squeeze

N, C = 3, 2
SHAPE = (3, 2, 3)
SMALL = {"transforms": 2, "width": 8, "noise_couplings": 2}

MAPS: dict[str, Callable[[], ImageMap]] = {
    "squeeze of one side": lambda: Squeeze(SHAPE),
    "1x1 convolution": lambda: Conv1x1(3),
    "ActNorm": lambda: ImageActNorm(3, C),
    "affine coupling": lambda: ImageCoupling(3, affine_map(), 4, context=C),
    "affine coupling, flipped": lambda: ImageCoupling(3, affine_map(), 4, context=C, flip=True),
    "spline coupling": lambda: ImageCoupling(3, spline_map(4, 2.0), 4, context=C),
}


def strong(build: Callable[[], nn.Module], by: float = 0.4) -> nn.Module:
    """In float64, with weights that matter: as built the maps are close to the identity, and a wrong one would pass."""
    torch.manual_seed(0)
    built = build().double().eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return built


def jacobian_log_det(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """log|det| of the Jacobian of each row x (n, *shape) by a backward pass a feature, (n,)."""
    x = x.clone().requires_grad_()
    y = function(x).flatten(1)
    rows = [torch.autograd.grad(y[:, i].sum(), x, retain_graph=True)[0] for i in range(y.shape[1])]
    return torch.linalg.slogdet(torch.stack([row.flatten(1) for row in rows], 1)).logabsdet


def normals(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("everywhere", [True, False])
def test_an_image_map_states_its_jacobian_and_undoes_itself(name: str, everywhere: bool) -> None:
    one = strong(MAPS[name])
    assert isinstance(one, ImageMap)
    x, c = normals(N, *SHAPE), normals(N, C, *((1, 1) if everywhere else SHAPE[1:]), seed=2)
    z, log_det = one.encode(x, c)
    found = jacobian_log_det(lambda value: one.encode(value, c)[0], x)
    torch.testing.assert_close(log_det.detach(), found, rtol=1e-10, atol=1e-10)
    back, log_back = one.decode(z, c)
    torch.testing.assert_close(back, x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_back, -log_det, rtol=1e-9, atol=1e-9)


def test_squeeze_makes_channels_of_blocks() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    z, _ = Squeeze((1, 4, 4)).encode(x)
    assert z[0, :, 0, 1].tolist() == [2, 3, 6, 7]


def test_a_new_1x1_convolution_is_a_rotation() -> None:
    one = Conv1x1(5).double()
    z, log_det = one.encode(x := normals(N, 5, 2, 2))
    torch.testing.assert_close(z.square().sum(1), x.square().sum(1), rtol=1e-5, atol=0)  # drawn in float32
    assert float(log_det.detach().abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("shape", "scales", "left"), [((1, 4, 4), 9, [8, 8]), ((3, 2, 3), 2, [18]), ((1, 2, 4), 2, [4, 4])]
)
@pytest.mark.parametrize("context", [0, 2])
def test_a_multiscale_flow_states_its_jacobian_on_every_shape(
    shape: tuple[int, int, int], scales: int, left: list[int], context: int
) -> None:
    # stronger weights stretch some directions a million million times as much as others: float64 then has no determinant
    flow = strong(lambda: Multiscale(shape, scales, 2, 4, affine_map(), context), by=0.2)
    assert isinstance(flow, Multiscale)
    assert [scale.leaving for scale in flow.scales] == left
    x, c = normals(N, *shape), normals(context, N, seed=2) if context else None
    found = jacobian_log_det(lambda value: flow.encode(value.flatten(1).T, c)[0].T, x)
    z, log_det = flow.encode(x.flatten(1).T, c)
    torch.testing.assert_close(log_det.detach(), found, rtol=1e-9, atol=1e-9)
    back, log_back = flow.decode(z, c)
    torch.testing.assert_close(back, x.flatten(1).T, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(log_back, -log_det, rtol=1e-8, atol=1e-8)


def test_actnorm_standardises_the_first_batch_and_only_that() -> None:
    one, x = ImageActNorm(3), 5 + 2 * normals(50, 3, 2, 2).float()
    one.eval()
    assert torch.equal(one.encode(x)[0], x)
    one.train()
    z = one.encode(x)[0].detach()
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.square().mean((0, 2, 3)), torch.ones(3), rtol=1e-5, atol=0)
    again = ImageActNorm(3).train()
    again.load_state_dict(one.state_dict())
    torch.testing.assert_close(again.encode(10 * x)[0], one.encode(10 * x)[0], rtol=0, atol=0)


# --- the noise -------------------------------------------------------------------------------------------------------


def test_learned_noise_states_its_density() -> None:
    """v is uniform, so log q(u | x) is minus the log|det| of u by v."""
    noise = strong(lambda: LearnedNoise((1, 2, 4), 5, 2, 4, C))
    assert isinstance(noise, LearnedNoise)
    x = torch.randint(5, (N, 1, 2, 4), generator=torch.Generator().manual_seed(0))
    seen = noise.seen(x, torch.float64, normals(N, C))
    v = torch.special.ndtr(normals(N, 1, 2, 4))
    u, log_q = noise(v, seen)
    assert bool(((u > 0) & (u < 1)).all())
    found = -jacobian_log_det(lambda value: noise(value, seen)[0], v)
    torch.testing.assert_close(log_q.detach(), found, rtol=1e-9, atol=1e-9)


def test_normal_quantiles_state_their_slope() -> None:
    y = torch.special.ndtr(normals(N, 1, 1, 3))
    z, log_det = to_normal(y)
    torch.testing.assert_close(log_det, jacobian_log_det(lambda value: to_normal(value)[0], y))
    torch.testing.assert_close(from_normal(z), y)


def test_learned_noise_starts_as_the_uniform_law() -> None:
    torch.manual_seed(0)
    model = Glow(Space.levels((1, 4, 4), 7), **SMALL).eval()
    x = torch.randint(7, (N, 1, 4, 4))
    with torch.no_grad():
        learned = model.log_prob_lower(x, k=3, generator=torch.Generator().manual_seed(1))
        model.noise = None
        uniform = model.log_prob_lower(x, k=3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(learned, uniform, rtol=1e-5, atol=1e-5)


# --- the bound -------------------------------------------------------------------------------------------------------

TINY = Space.levels((1, 1, 2), 3)
DRAWS = 4096


@cache
def tiny() -> Glow:
    """In float64, with strong dependence: its masses are far from uniform and its bound is far from them."""
    torch.manual_seed(0)
    model = Glow(TINY, **SMALL)
    strengthen(model, seed=1)
    return model.double().eval()


@torch.no_grad()
def masses(model: Glow, ends: float) -> Tensor:
    """The density's mass of each row's cell, (9,), by Gauss-Legendre quadrature of z; the outer cells end at +-`ends`."""
    inner = to_normal(torch.tensor([[1 / 3], [2 / 3]], dtype=torch.float64))[0].flatten()
    edges = torch.cat([torch.tensor([-ends]), inner, torch.tensor([ends])]).double()
    node, weight = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(96))
    half = edges.diff()[:, None] / 2
    z, w = (edges[:-1, None] + half * (node + 1)).flatten(), (half * weight).flatten()
    grid = torch.cartesian_prod(z, z).reshape(-1, 1, 1, 2)
    mass = model.density.log_prob(grid).exp().reshape(len(z), len(z)) * w[:, None] * w
    return mass.reshape(3, 96, 3, 96).sum((1, 3)).flatten()


LAST = float(to_normal(torch.ones(1, 1, dtype=torch.float64))[0])
"""The quantile of the top of the highest level."""


@cache
def draws() -> tuple[Tensor, Tensor]:
    """log p / q of DRAWS draws for every row, (DRAWS, 9), and the log masses (9,)."""
    rows = all_rows(TINY.levels_by_site(), TINY.shape)
    with torch.no_grad():
        drawn = tiny().noise_weights(rows, k=DRAWS, generator=torch.Generator().manual_seed(0))
    return drawn, masses(tiny(), LAST).log()


def test_the_weights_are_unbiased_for_the_mass_of_every_row() -> None:
    drawn, log_mass = draws()
    ratio = (drawn - log_mass).exp()
    error = ratio.std(0) / math.sqrt(DRAWS)
    assert bool(((ratio.mean(0) - 1).abs() < 5 * error + 1e-6).all())
    assert float(error.max()) < 0.1


def test_the_bound_lies_below_the_mass_and_rises_with_k_on_every_row() -> None:
    """Nested blocks of the same draws: by Jensen's inequality the mean over blocks rises with their size, row by row."""
    drawn, log_mass = draws()
    means = []
    for k in (1, 4, 16, 64):
        blocks = drawn.view(-1, k, 9).logsumexp(1) - math.log(k)
        means.append(blocks.mean(0))
        error = blocks.std(0) / math.sqrt(len(blocks))
        assert bool((blocks.mean(0) < log_mass + 5 * error).all())
    assert all(bool((after >= before).all()) for before, after in itertools.pairwise(means))
    assert float((log_mass - means[0]).mean()) > 0.01  # one draw is not tight, so there was something to see
    assert float((log_mass - means[-1]).abs().max()) < 0.05


def test_log_prob_lower_is_the_log_mean_of_the_weights() -> None:
    rows = all_rows(TINY.levels_by_site(), TINY.shape)
    with torch.no_grad():
        found = tiny().log_prob_lower(rows, k=8, generator=torch.Generator().manual_seed(3))
        drawn = tiny().noise_weights(rows, k=8, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, drawn.exp().mean(0).log())


def test_trained_noise_is_tighter_than_uniform_noise_on_the_same_density() -> None:
    drawn, log_mass = draws()
    model, rows = tiny(), all_rows(TINY.levels_by_site(), TINY.shape)
    noise, model.noise = model.noise, None
    try:
        with torch.no_grad():
            uniform = model.noise_weights(rows, k=DRAWS, generator=torch.Generator().manual_seed(0))
    finally:
        model.noise = noise
    ratio = (uniform - log_mass).exp()  # uniform noise estimates the same masses
    assert bool(((ratio.mean(0) - 1).abs() < 5 * ratio.std(0) / math.sqrt(DRAWS) + 1e-6).all())
    weight = log_mass.exp() / log_mass.exp().sum()
    assert float((weight * (log_mass - drawn.mean(0))).sum()) < 0.7 * float(
        (weight * (log_mass - uniform.mean(0))).sum()
    )


def test_samples_follow_the_masses_with_the_tails_on_the_ends() -> None:
    expected = masses(tiny(), 12.0)
    assert float(expected.sum()) == pytest.approx(1, abs=1e-4)
    x = tiny().sample(20_000, generator=torch.Generator().manual_seed(5)).flatten(1)
    counts = np.bincount((3 * x[:, 0] + x[:, 1]).numpy(), minlength=9).astype(float)
    assert chi_squared(counts, expected.numpy()).p_value > 1e-4


def test_equal_rows_get_noise_of_their_own() -> None:
    values = tiny().log_prob_lower(torch.ones(4, 1, 1, 2, dtype=torch.long))
    assert len(set(values.tolist())) == 4


# --- the model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dequantise", ["variational", "uniform"])
def test_scores_are_lower_bounds_that_say_of_what(dequantise: str) -> None:
    rows = jensen.rows("digits")
    fitted = jensen.fit("glow", rows, steps=2, dequantise=dequantise, **SMALL)  # type: ignore[arg-type]
    scores = fitted.score(rows.test[:20], k=2)
    assert scores.kind is Kind.LOWER and str(scores.mean()).startswith(">=")
    assert str(scores.bits_per_dim.mean()).startswith("<=")
    assert f"{dequantise} dequantisation, 2 draws" in dict(score_lines(scores))["bound"]
    assert scores.how["bound"] == f"{dequantise} dequantisation" and scores.how["k"] == 2
    torch.manual_seed(99)  # the noise comes from the seed of the score alone
    assert np.array_equal(fitted.score(rows.test[:20], k=2).values, scores.values)
    assert not np.array_equal(fitted.score(rows.test[:20], k=2, seed=1).values, scores.values)
    rows.space.check(fitted.sample(3, seed=0))


def test_a_context_moves_density_noise_and_samples() -> None:
    torch.manual_seed(0)
    context = Space((2,), (Column("categorical", 3), Column("real")))
    model = Glow(Space.levels((1, 4, 2), 4), context=context, **SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    x, c = torch.zeros(2, 1, 4, 2, dtype=torch.long), torch.tensor([[0.0, 0.5], [2.0, -1.0]])

    def values(c: Tensor) -> Tensor:
        return model.log_prob_lower(x, c, k=2, generator=torch.Generator().manual_seed(0)).detach()

    both = values(c)
    # the noise of a row is the same whatever the other row's context is
    torch.testing.assert_close(values(c[[0, 0]])[0], both[0], rtol=1e-5, atol=1e-5)
    assert abs(float(values(c[[0, 0]])[1] - both[1])) > 1e-3
    assert model.sample(2, c).shape == x.shape
    with pytest.raises(JensenError):
        model.log_prob_lower(x)
    verdicts = jensen.audit(model, checks=["log_det", "round_trip", "save_load_same", "rows_independent"])
    assert [verdict.holds for verdict in verdicts] == [True] * 4


def test_an_audit_finds_a_wrong_log_determinant_inside() -> None:
    model = Glow(Space.levels((1, 4, 4), 4), **SMALL).eval()
    assert run("log_det", model, None, model.space).holds

    class Off(Conv1x1):
        def _log_det(self, x: Tensor) -> Tensor:
            return super()._log_det(x) + 1e-3

    next(part for part in model.modules() if isinstance(part, Conv1x1)).__class__ = Off
    assert run("log_det", model, None, model.space).holds is False


def test_a_large_image_has_more_scales_and_an_odd_grey_one_is_refused() -> None:
    def scales(*shape: int) -> int:
        model = Glow(Space.levels(shape, 4), transforms=1, width=2, noise_couplings=1)
        return len(next(part for part in model.modules() if isinstance(part, Multiscale)).scales)

    assert [scales(1, 8, 8), scales(1, 28, 28), scales(3, 32, 32), scales(3, 64, 64)] == [3, 2, 3, 4]
    assert scales(3, 5, 5) == 1
    for build in (
        lambda: Glow(Space.levels((1, 5, 5), 4)),
        lambda: Glow(Space.levels(16, 4)),
        lambda: Glow(Space.levels((1, 4, 4), 4), dequantise="none"),
        lambda: Glow(Space.levels((1, 4, 4), 4), transforms=0),
    ):
        with pytest.raises(JensenError) as caught:
            build()
        assert caught.value.given and caught.value.do
