"""The evidence lower bound, and what is trained in its place: beta-VAE and free bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.gather import mean_of_batch
from jensen.latent import LatentModel
from jensen.model import Can, Model
from jensen.objective import Loss, Turn


@dataclass(frozen=True)
class ELBO:
    """-mean [log p(x | z) - KL(q, prior)] at one draw of z; the KL is exact where it has a closed form.

    `beta`: weight of the KL (Higgins et al. 2017). `free_bits`: nats of KL a dimension that cost nothing, as the mean over
    the batch (Kingma et al. 2016); a dimension is the whole of z where its KL is no sum. Both change what is trained;
    every number that is validated or reported is the bound itself.
    """

    beta: float = 1.0
    free_bits: float = 0.0
    needs: ClassVar[Can] = Can.LOG_WEIGHTS

    def __post_init__(self) -> None:
        for name, value in (("beta", self.beta), ("free_bits", self.free_bits)):
            if not 0 <= value < math.inf:
                raise UsageError(
                    f"{name} is a number of 0 or more", f"got {value!r}", "beta=1, free_bits=0 is the ELBO"
                )

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step."""
        return [Loss(model, self._loss, by_rows=self.free_bits == 0)]

    def _loss(self, model: LatentModel, x: Tensor, c: Tensor | None) -> Tensor:
        likelihood, kl = model.elbo_terms(x, c)
        mean = kl.mean(0)
        if self.free_bits > 0:
            mean = mean_of_batch(mean).clamp(min=self.free_bits)
        return self.beta * mean.sum() - likelihood.mean()
