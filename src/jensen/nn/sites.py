"""Sites as the features a network reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.space import Space


class SiteInput(nn.Module):
    """Rows (n, *shape) -> features (n, *shape, size): indices `scaled` to [-1, 1], or `onehot`; real sites as they are.

    Real sites have one feature, their value, and no one-hot form (UsageError).
    The default is one-hot for categories and scaled for levels and bits. Measured on 1,150 rows of 17-level digits:
    MADE with scaled inputs is better by 5 nats a row than with one-hot ones, which it overfits.
    """

    span: Tensor
    shift: Tensor

    def __init__(self, space: Space, inputs: str | None = None) -> None:
        super().__init__()
        levels = space.levels_by_site()
        real = 0 in levels
        if inputs is None:
            categories = any(column.kind == "categorical" for column in space.columns)
            inputs = "onehot" if categories and not real else "scaled"
        if inputs not in ("onehot", "scaled"):
            raise UsageError("unknown input features", f"got {inputs!r}", "use 'scaled' or 'onehot'")
        if real and inputs == "onehot":
            raise UsageError(
                "real sites have no one-hot form",
                f"got inputs='onehot' for {space.describe()}",
                "use inputs='scaled'",
            )
        self.as_they_are = space.kind == "real"
        self.onehot = inputs == "onehot"
        self.levels = max(levels)
        self.size = self.levels if self.onehot else 1
        span = torch.tensor(levels, dtype=torch.float32).reshape(space.shape) - 1
        shift = torch.ones(())
        if real:
            # x * (2 / 2) - 0 leaves a real site beside discrete ones as it is
            span, shift = torch.where(span < 0, 2, span), (span >= 0).float()
        if len(set(levels)) == 1:
            span = span.flatten()[0]  # for all sites: the samplers then look nothing up
        self.register_buffer("span", span, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *shape), int64 where discrete -> (n, *shape, size) float."""
        return self._features(x, self.span, self.shift)

    def at(self, x: Tensor, sites: Tensor) -> Tensor:
        """Values (n, m) of flat sites (m,) -> (n, m, size) float."""
        return self._features(x, _at(self.span, sites), _at(self.shift, sites))

    def _features(self, x: Tensor, span: Tensor, shift: Tensor) -> Tensor:
        if self.as_they_are:
            return x.unsqueeze(-1)
        if self.onehot:
            # a comparison, not F.one_hot: that one reads the values, which vmap and export refuse
            return (x.unsqueeze(-1) == torch.arange(self.levels, device=x.device)).to(span.dtype)
        return (x * (2 / span) - shift).unsqueeze(-1)


def _at(number: Tensor, sites: Tensor) -> Tensor:
    """A number for all sites, or those (m,) of some flat sites."""
    return number if number.ndim == 0 else number.flatten().index_select(0, sites)
