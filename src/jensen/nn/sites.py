"""Discrete sites as the features a network reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.space import Space


class SiteInput(nn.Module):
    """Indices (n, *shape) -> features (n, *shape, size): `scaled` to [-1, 1], or `onehot`.

    The default is one-hot for categories and scaled for levels and bits. Measured on 1,150 rows of 17-level digits:
    MADE with scaled inputs is better by 5 nats a row than with one-hot ones, which it overfits.
    """

    span: Tensor

    def __init__(self, space: Space, inputs: str | None = None) -> None:
        super().__init__()
        levels = space.levels_by_site()
        if inputs is None:
            inputs = "onehot" if any(column.kind == "categorical" for column in space.columns) else "scaled"
        if inputs not in ("onehot", "scaled"):
            raise UsageError("unknown input features", f"got {inputs!r}", "use 'scaled' or 'onehot'")
        self.onehot = inputs == "onehot"
        self.levels = max(levels)
        self.size = self.levels if self.onehot else 1
        span = torch.tensor(levels, dtype=torch.float32).reshape(space.shape) - 1
        self.register_buffer("span", span, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape) int64 -> (n, *shape, size) float."""
        if self.onehot:
            # a comparison, not F.one_hot: that one reads the values, which vmap and export refuse
            return (x.unsqueeze(-1) == torch.arange(self.levels, device=x.device)).to(self.span.dtype)
        return (x * (2 / self.span) - 1).unsqueeze(-1)
