"""V3: raising the ELBO over q lowers KL(q || posterior); the family of q says how far it goes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import exactly
from jensen.course.figures import curves
from jensen.course.known_latents import closed_elbo, closed_gap, linear, rows_of
from jensen.models.ppca import PPCA
from jensen.objectives import parse_objective
from jensen.plan import Plan
from jensen.player import Player
from jensen.quantity import Quantity

FAMILIES = ("diagonal", "full")


def show(seed: int = 0, *, n: int = 100, steps: int = 300, looks: int = 20) -> Shown:
    """The model stays as it is; a diagonal and a full q are trained by the library's ELBO, from a bad start."""
    found = {family: _trained(family, n, steps, looks, seed) for family in FAMILIES}
    truth = float(found["full"][2])
    findings: list[Finding] = []
    for family, (bounds, gaps, _, best) in found.items():
        worst = max(abs(bound + gap - truth) for bound, gap in zip(bounds, gaps))
        findings += [
            exactly(f"{family} q: ELBO <= log p(x) throughout", max(0.0, max(bounds) - truth), 1e-9),
            exactly(f"{family} q: ELBO + KL(q || posterior) stays log p(x), so that raising one lowers the other", worst, 1e-9),
            Finding(f"{family} q: the ELBO rose and the divergence fell by as much", bounds[-1] > bounds[0] + 1 and gaps[-1] < gaps[0] - 1,
                    {"ELBO": [round(bounds[0], 3), round(bounds[-1], 3)], "KL": [round(gaps[0], 3), round(gaps[-1], 3)]}),
            exactly(f"{family} q: training ends near the best of the family", abs(gaps[-1] - best), 0.05, best=Quantity(best, unit="nats")),
        ]  # fmt: skip
    least = {family: best for family, (_, _, _, best) in found.items()}
    findings.append(
        Finding("the full family is tight, the diagonal one is not", least["full"] < 1e-9 < 1e-3 < least["diagonal"],
                {f"least KL of a {family} q": Quantity(kl, unit="nats") for family, kl in least.items()})
    )  # fmt: skip
    places = [round(i * steps / looks) for i in range(looks + 1)]
    figure = curves(
        "The ELBO by steps of training q, and what it can reach", ("steps", places), "nats a row",
        {f"ELBO, {family} q": bounds for family, (bounds, _, _, _) in found.items()}, lines={"log p(x)": truth},
    )  # fmt: skip
    ends = ", ".join(f"{family} {gaps[-1]:.3f}" for family, (_, gaps, _, _) in found.items())
    return Shown(
        tuple(findings), f"log p {truth:.3f} nats; KL(q || posterior) left after training: {ends}", (figure,)
    )


def _trained(
    family: str, n: int, steps: int, looks: int, seed: int
) -> tuple[list[float], list[float], float, float]:
    """Mean ELBO and divergence at each look, log p(x), and the least divergence of the family, all in closed form."""
    model = linear(4, 12, family, seed=seed).float()  # as it is trained; judged in float64
    x = rows_of(model, n, seed + 1)
    with torch.no_grad():
        exact = copy.deepcopy(model).double()
        truth, best = float(exact.log_prob(x.double()).mean()), float(closed_gap(exact, x.double()).mean())
        model.encoder.weight.mul_(0.5)
        model.spread.mul_(0.5)
    bounds, gaps = [], []
    for bound, gap in _descend(model, x, steps, looks):
        bounds.append(bound)
        gaps.append(gap)
    return bounds, gaps, truth, best


def _descend(model: PPCA, x: Tensor, steps: int, looks: int) -> list[tuple[float, float]]:
    """The library's ELBO objective and its own optimiser on the parameters of q alone: (ELBO, KL) at each look."""
    for weight in (model.weight, model.mean, model.log_scale):
        weight.requires_grad_(False)
    (turn,) = parse_objective("stl").turns(model)
    player = Player(turn, Plan(steps=steps))
    found = [_look(model, x)]
    for step in range(steps):
        player.play(x, None, 5e-2 * (1 - step / steps))
        if (step + 1) % (steps // looks) == 0:
            found.append(_look(model, x))
    return found


@torch.no_grad()
def _look(model: PPCA, x: Tensor) -> tuple[float, float]:
    exact, x = copy.deepcopy(model).double(), x.double()
    return float(closed_elbo(exact, x).mean()), float(closed_gap(exact, x).mean())
