"""Laws of the adversarial costs: their gradients, their optimum, and the penalties, in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from jensen.adversary import Discriminate, Game, Generate, Rules
from jensen.costs import COSTS, cost_named
from jensen.functional.augment import augment
from jensen.functional.penalties import squared_slope, unit_slope
from jensen.models.gan import GAN
from jensen.nn.adversaries import DenseBody, Discriminator
from jensen.nn.relaxed import Relaxed
from jensen.space import Column, Space

LOGITS = torch.linspace(-8, 8, 33, dtype=torch.float64)


def slope(cost: str, side: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """n times the gradient of a mean cost with respect to the logits of data and of samples."""
    leaves = [one.clone().requires_grad_() for one in (real, fake)]
    getattr(cost_named(cost), side)(*leaves).backward()
    return tuple(torch.zeros_like(x) if x.grad is None else x.grad * len(x) for x in leaves)  # type: ignore[return-value]


def test_the_saturating_generator_cost_is_mean_log_one_minus_d() -> None:
    d = LOGITS.sigmoid()
    assert float(cost_named("saturating").generator(LOGITS, LOGITS)) == pytest.approx(
        float((1 - d).log().mean())
    )
    assert torch.allclose(slope("saturating", "generator", LOGITS, LOGITS)[1], -d)


def test_the_nonsaturating_generator_cost_is_minus_mean_log_d() -> None:
    d = LOGITS.sigmoid()
    assert float(cost_named("nonsaturating").generator(LOGITS, LOGITS)) == pytest.approx(
        -float(d.log().mean())
    )
    assert torch.allclose(slope("nonsaturating", "generator", LOGITS, LOGITS)[1], d - 1)


def test_nonsaturating_over_saturating_slope_is_odds_against_the_sample() -> None:
    """(1 - D) / D row by row: the larger the surer D rejects, 1 where D = 1/2."""
    ratio = (
        slope("nonsaturating", "generator", LOGITS, LOGITS)[1]
        / slope("saturating", "generator", LOGITS, LOGITS)[1]
    )
    assert torch.allclose(ratio, (-LOGITS).exp())


@pytest.mark.parametrize("reject", [0.0, 3.0, 6.0])
def test_a_discriminator_that_rejects_leaves_the_nonsaturating_gradient(reject: float) -> None:
    """A linear D with one bias for all: the norms of the generator's gradients differ by exactly (1 - D) / D."""
    torch.manual_seed(0)
    model = GAN(Space.real(2), latents=3, width=8, depth=1).double()
    critic = Discriminator(DenseBody(2, 8, 1, 0.0), 8, 0, spectral=False).double()
    with torch.no_grad():
        critic.head.weight.mul_(1e-6)  # D is nearly constant in x, yet has a direction
        critic.head.bias.fill_(-reject)
    norms = []
    for cost in ("nonsaturating", "saturating"):
        torch.manual_seed(1)
        Generate(Game(model, critic, Rules(cost_named(cost))), (0.0, 0.9), 1)(
            torch.zeros(64, 2).double()
        ).backward()
        norms.append(
            math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
        )
        assert all(p.grad is None for p in critic.parameters())  # held
        model.zero_grad()
    assert norms[0] / norms[1] == pytest.approx(math.exp(reject), rel=1e-3)


def test_at_the_optimum_the_minimax_cost_is_two_log_two_less_twice_the_jsd() -> None:
    """G[D*] = 2 JSD - 2 log 2, and D* = f1 / (f0 + f1) is the minimum: laws on eight points, weights as logit multiples."""
    generator = torch.Generator().manual_seed(0)
    f0, f1 = (torch.rand(8, generator=generator, dtype=torch.float64) for _ in range(2))
    f0, f1 = f0 / f0.sum(), f1 / f1.sum()
    best = (f1 / f0).log()
    mid = (f0 + f1) / 2
    jsd = float(((f1 * (f1 / mid).log()).sum() + (f0 * (f0 / mid).log()).sum()) / 2)

    def gain(logit: Tensor) -> float:
        cost = cost_named("saturating")
        one, two = (torch.tensor([v]) for v in (0.0, 0.0))
        terms = [(p1 * cost.discriminator(l, one) - p1 * math.log(2), p0 * cost.discriminator(two, l) - p0 * math.log(2))
                 for p1, p0, l in zip(f1, f0, logit.split(1))]  # fmt: skip
        return -float(sum(a + b for a, b in terms))

    assert gain(best) / 2 + math.log(2) == pytest.approx(jsd, abs=1e-6)
    for site in range(8):
        for step in (-0.3, 0.3):
            moved = best.clone()
            moved[site] += step
            assert gain(moved) < gain(best)


def test_least_squares_has_its_minimum_at_the_share_of_data() -> None:
    """On equally many rows in the ratio 3 : 1 the best output is 3/4."""
    real, fake = torch.ones(3), torch.ones(1)
    outputs = torch.linspace(0, 1, 101)
    losses = [3 * cost_named("least-squares").discriminator(real * d, fake * 0) + cost_named("least-squares").discriminator(real * 0 + 1, fake * d) for d in outputs]  # fmt: skip
    assert float(outputs[torch.stack(losses).argmin()]) == pytest.approx(0.75)


def test_the_relativistic_cost_sees_differences_alone() -> None:
    cost, other = cost_named("relativistic"), LOGITS.flip(0)
    for side in (cost.discriminator, cost.generator):
        assert float(side(LOGITS + 5, other + 5)) == pytest.approx(float(side(LOGITS, other)))
    assert float(cost.discriminator(LOGITS, other)) == pytest.approx(
        float(-(LOGITS - other).sigmoid().log().mean())
    )


def test_hinge_gives_no_slope_beyond_the_margin() -> None:
    real, fake = slope("hinge", "discriminator", LOGITS, LOGITS)
    assert torch.equal(real, -(LOGITS < 1).double()) and torch.equal(fake, (LOGITS > -1).double())


def test_the_wasserstein_critic_raises_the_difference_of_means() -> None:
    cost = cost_named("wgan-gp")
    assert float(cost.discriminator(LOGITS + 2, LOGITS)) == pytest.approx(-2)
    assert cost.PENALTY == 10


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_reads_data_in_the_generators_move_only_if_it_says_so(name: str) -> None:
    real, fake = slope(name, "generator", LOGITS, LOGITS.flip(0))
    assert bool(real.abs().sum() > 0) == cost_named(name).PAIRED
    assert float(fake.sum()) < 0  # a larger logit of a sample is always better for G


# --- penalties -------------------------------------------------------------------------------------------------------


def test_penalties_of_a_linear_discriminator_are_functions_of_its_weights() -> None:
    w = torch.tensor([3.0, -4.0], dtype=torch.float64, requires_grad=True)  # |w| = 5
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    assert squared_slope(x @ w, x).item() == pytest.approx(25)
    found = unit_slope(lambda y: y @ w, x, x + 1, torch.rand(6).double())
    assert found.item() == pytest.approx(16)
    (gradient,) = torch.autograd.grad(found, w)  # 2 (|w| - 1) w / |w|
    assert torch.allclose(gradient, 8 * w.detach() / 5)


def test_annealed_penalties_fall_geometrically_over_the_budget() -> None:
    torch.manual_seed(0)
    model = GAN(Space.real(2), latents=3, width=8, depth=1)
    critic = Discriminator(DenseBody(2, 8, 1, 0.0), 8, 0, spectral=False)
    losses = {}
    for r1, progress in ((0.0, 0.0), (2.0, 0.0), (2.0, 0.5), (2.0, 1.0)):
        rules = Rules(cost_named("nonsaturating"), r1=r1, anneal=0.04)
        turn = Discriminate(Game(model, critic, rules), (0.0, 0.9), 1.0, shared=False)
        turn.progress = progress
        torch.manual_seed(1)
        losses[r1, progress] = turn(torch.ones(8, 2)).item()
    whole, half, end = (losses[2.0, at] - losses[0.0, 0.0] for at in (0.0, 0.5, 1.0))
    assert (
        whole > 0
        and half == pytest.approx(0.2 * whole, rel=1e-3)
        and end == pytest.approx(0.04 * whole, rel=1e-2)
    )


def test_augmentation_has_a_gradient_and_moves_every_image_by_itself() -> None:
    torch.manual_seed(0)
    x = torch.ones(64, 1, 16, 16, requires_grad=True)
    out = augment(x)
    assert out.shape == x.shape and len(out.detach().flatten(1).unique(dim=0)) == 64
    out.sum().backward()
    assert x.grad is not None and set(x.grad.flatten(1).amax(1).tolist()) == {1.0}


# --- rows with a gradient --------------------------------------------------------------------------------------------

RELAXED = {
    "bits": Space.binary(5),
    "levels": Space.levels((1, 2, 3), 17),
    "codes": Space.categorical(3, 4),
    "table": Space(
        (4,), (Column("categorical", 3), Column("categorical", 5), Column("levels", 7), Column("binary"))
    ),
    "mixed": Space((3,), (Column("real"), Column("categorical", 4), Column("levels", 6))),
    "real": Space.real(3),
}


@pytest.mark.parametrize("name", RELAXED)
def test_straight_outputs_are_features_of_rows_and_carry_a_gradient(name: str) -> None:
    space = RELAXED[name]
    reads = Relaxed(space)
    raw = (
        2 * torch.randn(200, *space.shape, reads.size, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    drawn = reads(raw, torch.Generator().manual_seed(1))
    rows = reads.rows(drawn.detach())
    assert torch.equal(reads.features(rows), drawn)
    space.check(rows.numpy())
    (gradient,) = torch.autograd.grad((drawn * torch.randn(drawn.shape)).sum(), raw)
    reached = (gradient != 0).flatten(1).any(0).view(*space.shape, reads.size)[..., 0]
    assert bool(reached.all())


def test_categories_are_drawn_with_the_softmax_of_their_numbers() -> None:
    """Gumbel maximum: over 20,000 draws each share is within five standard errors, for straight outputs at any temperature."""
    reads = Relaxed(Space.categorical(1, 3), temperature=0.2)
    raw = torch.tensor([0.0, 1.0, 2.0])
    rows = reads.rows(reads(raw.expand(20_000, 1, 3), torch.Generator().manual_seed(0)))
    share = torch.bincount(rows[:, 0], minlength=3) / 20_000
    assert bool(((share - raw.softmax(0)).abs() < 5 * 0.5 / math.sqrt(20_000)).all())
