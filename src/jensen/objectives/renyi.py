"""The variational Renyi bound (Li & Turner 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.bounds import renyi
from jensen.latent import LatentModel, check_draws
from jensen.model import Can, Model
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class Renyi:
    """-mean log mean(w^(1 - alpha)) / (1 - alpha) over `k` draws a row: alpha 0 is L_k, 1 the ELBO, more is more timid."""

    alpha: float = 0.5
    k: int = 5
    needs: ClassVar[Can] = Can.LOG_WEIGHTS

    def __post_init__(self) -> None:
        check_draws(self.k)
        if not 0 <= self.alpha < math.inf:
            raise UsageError("alpha is a number of 0 or more", f"got {self.alpha!r}", "0 is L_k, 1 the ELBO")

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss)]

    def _loss(self, model: LatentModel, x: Tensor, c: Tensor | None) -> Tensor:
        return -renyi(model.log_weights(x, c, self.k), self.alpha).mean()
