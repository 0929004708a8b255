"""The importance-weighted bound L_k (Burda, Grosse & Salakhutdinov 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.functional.bounds import iwae
from jensen.latent import LatentModel, check_draws
from jensen.model import Can, Model
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class IWAE:
    """-mean L_k: log of the mean of `k` weights a row."""

    k: int = 5
    needs: ClassVar[Can] = Can.LOG_WEIGHTS

    def __post_init__(self) -> None:
        check_draws(self.k)

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss)]

    def _loss(self, model: LatentModel, x: Tensor, c: Tensor | None) -> Tensor:
        return -iwae(model.log_weights(x, c, self.k)).mean()
