"""The two turns of an adversarial game. One batch of samples serves both; each network is held while the other moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jensen.costs import Cost
from jensen.errors import UsageError
from jensen.functional import share
from jensen.functional.augment import augment
from jensen.functional.penalties import squared_slope, unit_slope
from jensen.generator import Generator
from jensen.nn.adversaries import Discriminator
from jensen.objective import Turn


@dataclass(frozen=True)
class Rules:
    """What a game is played by. `r1`, `r2`: gamma of the penalties; `anneal`: the factor by which both fall, geometrically, over
    the budget; `pack`: rows that D sees at once (Lin et al. 2018)."""

    cost: Cost
    r1: float = 0.0
    r2: float = 0.0
    anneal: float = 1.0
    penalty: float = 0.0
    augment: bool = False
    pack: int = 1


class Game(nn.Module):
    """A generator and a discriminator, the rules, and the batch of samples that both turns use."""

    def __init__(self, model: Generator, critic: Discriminator, rules: Rules) -> None:
        super().__init__()
        self.model, self.critic, self.rules = model, critic, rules
        self._drawn: Tensor | None = None

    def judge(self, features: Tensor, c: Tensor | None) -> Tensor:
        """Logits (n / pack,) of features (n, *shape, size)."""
        size = self.rules.pack
        n = len(features) // size
        if n == 0:
            raise UsageError(
                f"D sees {size} rows at once", f"got a batch of {len(features)}", "raise batch, or lower pack"
            )
        rows = features[: n * size]
        given = self.model.features_of(c, len(features))
        if given is not None:
            given = given[: n * size].reshape(n, -1)
        if self.model.space.is_image:
            rows = rows.movedim(-1, 2).reshape(n, -1, *self.model.space.shape[1:])
        else:
            rows = rows.reshape(n, -1)
        logit: Tensor = self.critic(augment(rows) if self.rules.augment else rows, given)
        return logit

    def draw(self, n: int, c: Tensor | None, keep: bool) -> Tensor:
        """n samples without a gradient; with `keep` their graph waits for the generator's turn."""
        if not keep:
            with torch.no_grad():
                return self.model.draw(n, c)
        self._drawn = self.model.draw(n, c)
        return self._drawn.detach()

    def take(self, n: int, c: Tensor | None) -> Tensor:
        """The samples that wait, or new ones, with a gradient."""
        drawn, self._drawn = self._drawn, None
        return self.model.draw(n, c) if drawn is None else drawn

    @contextmanager
    def held(self) -> Iterator[None]:
        """Run a block in which the discriminator's weights ask for no gradient."""
        weights = list(self.critic.parameters())
        for weight in weights:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in weights:
                weight.requires_grad_(True)


class Discriminate(Turn):
    """D's move: its cost on a batch of rows and as many samples, plus the penalties."""

    name = "discriminator"
    steady = False  # its opponent learns
    later_wins = True

    def __init__(self, game: Game, betas: tuple[float, float], pace: float, shared: bool) -> None:
        super().__init__()
        self.game, self.betas, self.pace, self.shared = game, betas, pace, shared

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of rows x (n, *shape)."""
        rules = self.game.rules
        real, fake = self.game.model.features(x), self.game.draw(len(x), c, self.shared)
        if max(rules.r1, rules.r2, rules.penalty) == 0:
            return self._loss(real, fake, c)
        with torch.autocast(
            x.device.type, enabled=False
        ):  # the slope of a slope needs more digits than bfloat16 has
            return self._loss(real, fake, c)

    def _loss(self, real: Tensor, fake: Tensor, c: Tensor | None) -> Tensor:
        """The cost and the penalties of features (n, *shape, size)."""
        game, rules = self.game, self.game.rules
        sloped = (
            (rules.r1, real.requires_grad_(rules.r1 > 0)),
            (rules.r2, fake.requires_grad_(rules.r2 > 0)),
        )
        logits = [game.judge(side, c) for _, side in sloped]
        loss = rules.cost.discriminator(*logits)
        fallen = rules.anneal**self.progress
        for (gamma, side), logit in zip(sloped, logits):
            if gamma > 0:
                loss = loss + fallen * gamma / 2 * squared_slope(logit, side)
        if rules.penalty > 0:
            at = share.rand(len(real), device=real.device)
            loss = loss + rules.penalty * unit_slope(lambda between: game.judge(between, c), real, fake, at)
        return loss

    @property
    def moves(self) -> Sequence[nn.Parameter]:
        """The discriminator's parameters."""
        return list(self.game.critic.parameters())


class Generate(Turn):
    """G's move: its cost on the samples, through a discriminator that is held."""

    name = "generator"
    steady = False

    def __init__(self, game: Game, betas: tuple[float, float], every: int) -> None:
        super().__init__()
        self.game, self.betas, self.every = game, betas, every

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of as many samples as rows x (n, *shape)."""
        game = self.game
        fake = game.take(len(x), c)
        with game.held():
            judged = game.judge(fake, c)
            real = game.judge(game.model.features(x), c) if game.rules.cost.PAIRED else judged.detach()
            return game.rules.cost.generator(real, judged)

    @property
    def moves(self) -> Sequence[nn.Parameter]:
        """The generator's parameters."""
        return [p for p in self.game.model.parameters() if p.requires_grad]
