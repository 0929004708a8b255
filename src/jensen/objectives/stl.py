"""Sticking the landing: the ELBO's gradient without the score of q (Roeder, Wu & Duvenaud 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.functional.paths import untouched
from jensen.latent import LatentModel
from jensen.model import Can, Model
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class StickingTheLanding:
    """-mean log p(x, z) / q(z | x) at one draw, q's parameters constant in log q: no variance where q is the posterior."""

    needs: ClassVar[Can] = Can.LOG_WEIGHTS

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss)]

    @staticmethod
    def _loss(model: LatentModel, x: Tensor, c: Tensor | None) -> Tensor:
        return -model.log_weights(x, c, tap=untouched).mean()
