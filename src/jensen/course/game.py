"""What the claims on adversarial training stand on: one game on digits, played once a seed, with moments kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.adversary import Game
from jensen.costs import cost_named
from jensen.data import Rows, rows
from jensen.models.gan import GAN
from jensen.nn.adversaries import Discriminator
from jensen.objectives.adversarial import Adversarial
from jensen.plan import Plan
from jensen.player import Player

BATCH, RATE = 64, 4e-4
"""Of the preset for small images."""

GENERATORS = ("saturating", "nonsaturating")


@dataclass(frozen=True)
class Moment:
    """A moment of the game: losses of the steps just before it (steps,), samples (n, 1, 8, 8), and the opponents."""

    step: int
    d_loss: NDArray[np.float64]
    g_loss: NDArray[np.float64]
    samples: Tensor
    critic: Discriminator


@dataclass(frozen=True)
class Slopes:
    """Norms of the generator's gradient under both costs on the same noise, (batches,) each, and D's mean on samples."""

    step: int
    belief: float
    norms: dict[str, NDArray[np.float64]]

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Non-saturating over saturating, batch by batch."""
        return self.norms["nonsaturating"] / self.norms["saturating"]


@dataclass
class Played:
    """What is kept of a game."""

    data: Rows
    moments: list[Moment] = field(default_factory=list)
    slopes: list[Slopes] = field(default_factory=list)


class Match:
    """A generator and a discriminator on training rows of digits, and the moves of both."""

    def __init__(self, seed: int, channels: int, steps: int) -> None:
        torch.manual_seed(seed)
        self.data = digits()
        self.train = part(self.data, "train")
        self.model = GAN(self.data.space, channels=channels)
        turns = Adversarial().turns(self.model)
        self.game: Game = turns[0].game  # type: ignore[assignment]
        self.players = [Player(turn, Plan(steps=steps)) for turn in turns]
        self.model.train()
        self.game.train()

    def batch(self) -> Tensor:
        """Rows drawn with replacement."""
        return self.train[torch.randint(len(self.train), (BATCH,))]

    def step(self) -> tuple[float, float]:
        """D's move, then G's: their losses."""
        x = self.batch()
        for player in self.players:
            player.play(x, None, RATE)
        d_loss, g_loss = (player.read()[0] for player in self.players)
        return d_loss, g_loss

    def slopes(self, step: int, batches: int) -> Slopes:
        """The generator's gradient under both costs; nobody moves."""
        norms: dict[str, list[float]] = {name: [] for name in GENERATORS}
        beliefs = []
        weights = [p for p in self.model.parameters() if p.requires_grad]
        for _ in range(batches):
            fake = self.model.draw(BATCH)
            with self.game.held():
                logit = self.game.judge(fake, None)
                for name in GENERATORS:
                    loss = cost_named(name).generator(logit.detach(), logit)
                    gradients = torch.autograd.grad(loss, weights, retain_graph=True)
                    norms[name].append(float(torch.cat([g.flatten() for g in gradients]).double().norm()))
            beliefs.append(float(logit.detach().sigmoid().mean()))
        return Slopes(step, float(np.mean(beliefs)), {name: np.array(of) for name, of in norms.items()})

    @torch.no_grad()
    def samples(self, n: int, seed: int) -> Tensor:
        """Rows in evaluation mode, from noise of their own."""
        self.model.eval()
        drawn = self.model.sample(n, None, torch.Generator().manual_seed(seed))
        self.model.train()
        return drawn


EARLY, LATE = tuple(range(100, 260, 20)), tuple(range(600, 1600, 150))
"""Steps at which a moment is kept."""


@lru_cache(maxsize=2)
def played(
    seed: int, early: tuple[int, ...] = EARLY, late: tuple[int, ...] = LATE, channels: int = 16
) -> Played:
    """One game, kept for the next claim: moments at the steps named, slopes at every tenth step before the last early one.

    A moment has the losses of a tenth of the steps so far, of twenty at least.
    """
    with torch.random.fork_rng(devices=[]):
        match = Match(seed, channels, late[-1])
        found = Played(match.data)
        held = len(match.data.test)
        losses = []
        for step in range(late[-1]):
            if step < early[-1] and step % 10 == 0:
                found.slopes.append(match.slopes(step, batches=4))
            losses.append(match.step())
            if step + 1 in (*early, *late):
                d_loss, g_loss = np.array(losses[-max(20, (step + 1) // 10) :]).T
                critic = copy.deepcopy(match.game.critic).eval()
                found.moments.append(
                    Moment(step + 1, d_loss, g_loss, match.samples(held, seed + step), critic)
                )
    return found


@lru_cache(maxsize=1)
def digits() -> Rows:
    """Half of the digits to train on, nearly half held out: quality is judged on rows that no network has seen."""
    return rows("digits", split=(0.5, 0.05, 0.45))


def part(data: Rows, name: str) -> Tensor:
    """A part of the rows as a tensor (n, 1, 8, 8)."""
    return torch.as_tensor(np.asarray(getattr(data, name)[:]))


def scaled(model_rows: Tensor) -> Tensor:
    """Digits in levels as D sees them, from -1 to 1."""
    return 2 * model_rows.float() / 16 - 1


def flat(model_rows: Tensor) -> NDArray[np.float64]:
    """Rows (n, 64) for critics and neighbours."""
    return np.asarray(model_rows.flatten(1).double().numpy())


def judged(critic: Discriminator, model_rows: Tensor) -> NDArray[np.float64]:
    """D's logits (n,) of rows in levels, in evaluation mode."""
    with torch.no_grad():
        return np.asarray(critic(scaled(model_rows)).double().numpy())
