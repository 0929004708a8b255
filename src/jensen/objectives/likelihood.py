"""Maximum likelihood: forward Kullback-Leibler divergence up to the data's entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.model import Can, Model, one_a_row
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class Likelihood:
    """-mean log p(x) over the batch, nats a row."""

    needs: ClassVar[Can] = Can.LOG_PROB

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss)]

    @staticmethod
    def _loss(model: Model, x: Tensor, c: Tensor | None) -> Tensor:
        return -one_a_row(model.log_prob(x, c), len(x)).mean()
