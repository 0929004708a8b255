"""G3: a discriminator that learns its rows by heart, with and without dropout."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jensen.costs import cost_named
from jensen.course.claim import Finding, Shown
from jensen.course.deciding import above, mean
from jensen.course.figures import curves, dots
from jensen.course.two_laws import LOG_2, Shifted, bound_terms
from jensen.nn.adversaries import DenseBody, Discriminator
from jensen.objective import Turn
from jensen.plan import Plan
from jensen.player import Player
from jensen.quantity import Quantity

SIDES = ("training rows", "held-out rows")


class Look(NamedTuple):
    """Accuracy and G[D] / 2 + log 2 on both sides."""

    accuracy: tuple[float, float]
    divergence: tuple[float, float]


class Told(Turn):
    """D's own cost on fixed rows of either law."""

    def __init__(self, critic: Discriminator, x0: Tensor, x1: Tensor) -> None:
        super().__init__()
        self.critic, self.x0, self.x1 = critic, x0, x1

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss ()."""
        return cost_named("nonsaturating").discriminator(self.critic(self.x1), self.critic(self.x0))


def show(
    seed: int = 0, *, repeats: int = 8, rows: int = 150, dims: int = 10, steps: int = 90, dropout: float = 0.5
) -> Shown:  # fmt: skip
    """Discriminators of two known laws, from few rows; each with and without dropout on the same rows."""
    pair = Shifted(1.5, dims=dims)
    found = {
        p: [_trained(pair, rows, steps, p, seed + number) for number in range(repeats)]
        for p in (0.0, dropout)
    }
    ends = {p: [looks[-1] for looks in runs] for p, runs in found.items()}
    plain = ends[0.0]
    right, held = (np.array([one.accuracy[side] for one in plain]) for side in (0, 1))
    gaps = {p: np.array([one.divergence[0] - one.divergence[1] for one in of]) for p, of in ends.items()}
    claimed = np.array([one.divergence[0] for one in plain])
    findings = (
        Finding("without dropout every training row is told right", bool(right.min() == 1), {"least accuracy": float(right.min())}),
        above("on held-out rows fewer are", mean(right - held, unit=""), 0.05, accuracy=mean(held, unit="")),
        above("its divergence on training rows exceeds the truth", mean(claimed), pair.jsd),
        above("dropout narrows the gap between training and held-out rows", mean(gaps[0.0] - gaps[dropout]),
              **{"gap without": mean(gaps[0.0]), f"gap with dropout {dropout:g}": mean(gaps[dropout])}),
    )  # fmt: skip
    without, with_dropout = mean(gaps[0.0]), mean(gaps[dropout])
    summary = f"training accuracy {right.mean():.3f}, held-out {held.mean():.3f}; gap {without} without dropout, {with_dropout} with {dropout:g}"
    return Shown(findings, summary, (_figure(found, pair.jsd, steps), _gaps(ends, pair.jsd, dropout)))


LOOKS = 15


def _trained(pair: Shifted, rows: int, steps: int, dropout: float, seed: int) -> list[Look]:
    """One discriminator, looked at along the way."""
    torch.manual_seed(seed)
    train, test = (
        tuple(map(torch.from_numpy, pair.draw(n, seed + 1000 * k))) for k, n in ((1, rows), (2, 4000))
    )
    train, test = (tuple(side.float() for side in part) for part in (train, test))
    critic = Discriminator(DenseBody(pair.dims, 64, 2, dropout), 64, 0, spectral=False)
    player = Player(Told(critic, *train), Plan(steps=steps))
    looks = []
    for step in range(steps):
        critic.train()
        player.play(train[0], None, 2e-3)
        if (step + 1) % (steps // LOOKS) == 0:
            critic.eval()
            looks.append(_look(critic, train, test))
    return looks


@torch.no_grad()
def _look(critic: Discriminator, train: tuple[Tensor, ...], test: tuple[Tensor, ...]) -> Look:
    accuracies, divergences = [], []
    for x0, x1 in (train, test):
        l0, l1 = (critic(x).double().numpy() for x in (x0, x1))
        accuracies.append(float(((l0 < 0).mean() + (l1 > 0).mean()) / 2))
        one, zero = bound_terms(l1, l0)
        divergences.append(float(LOG_2 + (one.mean() + zero.mean()) / 2))
    return Look((accuracies[0], accuracies[1]), (divergences[0], divergences[1]))


def _figure(found: dict[float, list[list[Look]]], truth: float, steps: int) -> dict[str, object]:
    places = [(i + 1) * (steps // LOOKS) for i in range(LOOKS)]
    series: dict[str, list[Quantity]] = {}
    for dropout, runs in found.items():
        for side, name in enumerate(SIDES):
            label = f"{name}, {'no dropout' if not dropout else f'dropout {dropout:g}'}"
            series[label] = [mean(np.array([run[i].divergence[side] for run in runs])) for i in range(LOOKS)]
    return curves(
        "What the discriminator says of the divergence, while it learns its rows by heart",
        ("steps", places), "nats, with 95 % intervals over runs", series, lines={"the truth": truth},
    )  # fmt: skip


def _gaps(ends: dict[float, list[Look]], truth: float, dropout: float) -> dict[str, object]:
    rows = {}
    for p, name in ((0.0, "no dropout"), (dropout, f"dropout {dropout:g}")):
        rows[name] = {
            side: mean(np.array([one.divergence[i] for one in ends[p]])) for i, side in enumerate(SIDES)
        }
    return dots(
        "At the end of training", "nats, with 95 % intervals over runs", rows, line=("the truth", truth)
    )
