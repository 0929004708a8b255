"""Maximum likelihood: forward Kullback-Leibler divergence up to the data's entropy."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from jensen.errors import UsageError
from jensen.model import Can, Model
from jensen.objective import Turn


class NegativeLogLikelihood(Turn):
    """-mean log p(x) over the batch, nats a row."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of rows x (n, *shape)."""
        values = self.model.log_prob(x, c)
        if values.shape != (len(x),):
            raise UsageError(
                "a model gives one log-likelihood a row",
                f"got shape {tuple(values.shape)} for {len(x)} rows",
                "sum over the sites",
            )
        return -values.mean()


class Likelihood:
    """One turn: every parameter descends the negative log-likelihood."""

    needs: ClassVar[Can] = Can.LOG_PROB

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [NegativeLogLikelihood(model)]
