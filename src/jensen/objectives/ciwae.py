"""A convex combination of the ELBO and L_k, from the same draws (Rainforth et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.bounds import elbo, iwae
from jensen.latent import LatentModel, check_draws
from jensen.model import Can, Model
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class CIWAE:
    """-mean [`beta` ELBO + (1 - beta) L_k] over `k` draws a row: beta 1 is the ELBO, 0 is L_k."""

    k: int = 50
    beta: float = 0.05
    needs: ClassVar[Can] = Can.LOG_WEIGHTS

    def __post_init__(self) -> None:
        check_draws(self.k)
        if not 0 <= self.beta <= 1:
            raise UsageError("beta lies between 0 and 1", f"got {self.beta!r}", "0 is L_k, 1 the ELBO")

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss)]

    def _loss(self, model: LatentModel, x: Tensor, c: Tensor | None) -> Tensor:
        log_w = model.log_weights(x, c, self.k)
        return -(self.beta * elbo(log_w) + (1 - self.beta) * iwae(log_w)).mean()
