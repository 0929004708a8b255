"""Maximum likelihood: forward Kullback-Leibler divergence up to the data's entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.model import Can, Model, one_a_row
from jensen.objective import Turn


class NegativeLogLikelihood(Turn):
    """-mean log p(x) over the batch, nats a row."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of rows x (n, *shape)."""
        return -one_a_row(self.model.log_prob(x, c), len(x)).mean()


@dataclass(frozen=True)
class Likelihood:
    """One turn: every parameter descends the negative log-likelihood."""

    needs: ClassVar[Can] = Can.LOG_PROB

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [NegativeLogLikelihood(model)]
