"""L_k with the doubly reparameterised gradient of the encoder (Tucker, Lawson, Gu & Maddison 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.functional.bounds import iwae
from jensen.functional.paths import WeightedPath, with_gradient_of
from jensen.latent import LatentModel, check_draws
from jensen.model import Can, Model
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class DReG:
    """-mean L_k of `k` draws a row. Decoder and prior have the gradient of L_k, the encoder one of the same mean whose
    signal does not drown in noise as k grows."""

    k: int = 5
    needs: ClassVar[Can] = Can.LOG_WEIGHTS

    def __post_init__(self) -> None:
        check_draws(self.k)

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss)]

    def _loss(self, model: LatentModel, x: Tensor, c: Tensor | None) -> Tensor:
        path = WeightedPath()
        log_w = model.log_weights(x, c, self.k, tap=path)
        path.weights = log_w.detach().softmax(1)
        surrogate = -(path.weights * log_w).sum(1).mean()
        return with_gradient_of(-iwae(log_w).mean(), surrogate)
