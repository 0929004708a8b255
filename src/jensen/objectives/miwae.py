"""The mean of m bounds L_k, from m k draws (Rainforth et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.functional.bounds import blocks
from jensen.latent import LatentModel, check_draws
from jensen.model import Can, Model
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class MIWAE:
    """-mean of `m` independent L_k a row: a less noisy gradient of L_k than one of them, and of a looser bound than L_mk."""

    m: int = 8
    k: int = 8
    needs: ClassVar[Can] = Can.LOG_WEIGHTS

    def __post_init__(self) -> None:
        check_draws(self.m)
        check_draws(self.k)

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss)]

    def _loss(self, model: LatentModel, x: Tensor, c: Tensor | None) -> Tensor:
        return -blocks(model.log_weights(x, c, self.m * self.k), self.k).mean()
