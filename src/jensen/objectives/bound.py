"""Maximum of a lower bound on the log-likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.functional.counts import check_draws
from jensen.model import Can, Model, one_a_row
from jensen.objective import Turn


class NegativeBound(Turn):
    """-mean of the bound with k draws over the batch, nats a row."""

    by_rows = True

    def __init__(self, model: Model, k: int) -> None:
        super().__init__()
        self.model, self.k = model, k

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of rows x (n, *shape)."""
        return -one_a_row(self.model.log_prob_lower(x, c, k=self.k), len(x)).mean()


@dataclass(frozen=True)
class Bound:
    """One turn: every parameter raises the lower bound with k draws; more are tighter and cost k times as much."""

    k: int = 1
    needs: ClassVar[Can] = Can.LOG_PROB_LOWER

    def __post_init__(self) -> None:
        check_draws(self.k)

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [NegativeBound(model, self.k)]
