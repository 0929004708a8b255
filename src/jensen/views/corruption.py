"""Feature corruption for tables."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional import share
from jensen.functional.gather import of_whole_batch


@dataclass(frozen=True)
class Corruption:
    """Rows (n, d) with a share `rate` of their cells taken from other rows of the batch, column by column.

    Such cells follow the columns' own distributions, of any kind, real or discrete, and the dependence between columns
    is what is left to learn (SCARF; Bahri, Jiang, Tay, Metzler 2022).
    """

    rate: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise UsageError(
                "the share of corrupted cells lies between 0 and 1", f"got {self.rate}", "0.4 is usual"
            )

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Rows of the same shape and type."""
        batch = of_whole_batch(x)
        other = share.randint(0, len(batch), *x.shape, generator=generator, device=x.device)
        changed = share.rand(*x.shape, generator=generator, device=x.device) < self.rate
        return torch.where(changed, batch.gather(0, other), x)
