"""What an adversary plays against: rows from noise, with a gradient to the weights that made them."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.model import Model
from jensen.nn.relaxed import Relaxed


class Generator(Model):
    """A model that only samples. A leaf writes `draw` and sets `reads`, which turns rows into features and back."""

    reads: Relaxed

    @abstractmethod
    def draw(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Features (n, *shape, size) of n rows, with a gradient to the weights."""

    def features(self, x: Tensor) -> Tensor:
        """Rows (n, *shape) as `draw` gives them, (n, *shape, size)."""
        return self.reads.features(x)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape): what `draw` gives, rounded to rows of the space."""
        if n < 1:
            raise UsageError("expected at least one row to sample", f"got n={n}", "pass n=16, say")
        return self.reads.rows(self.draw(n, c, generator))
