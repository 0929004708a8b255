"""What rows are conditioned on, as the features a network reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.errors import SpaceError
from jensen.space import Space


class ContextInput(nn.Module):
    """A context (n, d) -> features (n, size): one-hot classes, levels and bits scaled to [-1, 1], reals as they are.

    Discrete columns hold the codes 0 .. levels - 1, also in a tensor of floats. A single column may come as (n,). A
    code out of range gives nan features, and so a nan likelihood, never one of another class; `check` names it.

    >>> ContextInput(Space.categorical(1, 3))(torch.tensor([2]), 1).tolist()
    [[0.0, 0.0, 1.0]]
    """

    span: Tensor

    def __init__(self, context: Space) -> None:
        super().__init__()
        if context.is_image:
            raise SpaceError(
                "a context is a class or a vector",
                f"got {context.describe()}",
                "flatten it, or embed the image first",
            )
        self.context = context
        columns = [context.column(site) for site in range(context.dims)]
        self.classes = [column.levels or 0 if column.kind == "categorical" else 0 for column in columns]
        span = [max((column.levels or 0) - 1, 0) if column.kind != "categorical" else 0 for column in columns]
        self.size = sum(max(classes, 1) for classes in self.classes)
        self.register_buffer("span", torch.tensor(span, dtype=torch.float32), persistent=False)

    def forward(self, c: Tensor | None, n: int) -> Tensor:
        """(n, d) or, for one column, (n,) -> (n, size). Raises SpaceError for another shape and a missing context."""
        c = self.shaped(c, n)
        parts = []
        for site, classes in enumerate(self.classes):
            value = c[:, site : site + 1].to(self.span.dtype)
            if classes:
                hot = (value == torch.arange(classes, device=c.device)).to(self.span.dtype)
                parts.append(hot / hot.sum(1, keepdim=True))
            else:
                span = self.span[site]
                parts.append(torch.where(span > 0, value * (2 / span.clamp(min=1)) - 1, value))
        return torch.cat(parts, 1)

    def shaped(self, c: Tensor | None, n: int) -> Tensor:
        """The context as (n, d), or (1, d), which stands for n equal rows."""
        d = self.context.dims
        if c is None:
            raise SpaceError(
                "this model is conditional and needs a context", "got none", f"pass c of shape ({n}, {d})"
            )
        if c.ndim == 1 and d == 1:
            c = c[:, None]
        if c.ndim != 2 or c.shape[1] != d or len(c) not in (1, n):
            raise SpaceError(
                f"expected a context of shape ({n}, {d}): {self.context.describe()}",
                f"got {tuple(c.shape)}",
                "one row of context a row",
            )
        return c.expand(n, d)

    def check(self, c: Tensor | None, n: int) -> None:
        """Verify shape and values once, at the boundary. Raises SpaceError naming the first wrong value."""
        rows = self.shaped(c, n).detach().cpu().double()
        for site in range(self.context.dims):
            levels, value = self.context.column(site).levels, rows[:, site]
            fits = (
                value.isfinite() if not levels else (value == value.round()) & (value >= 0) & (value < levels)
            )
            if not bool(fits.all()):
                row = int((~fits).nonzero()[0])
                want = "finite numbers" if not levels else f"classes 0 to {levels - 1}"
                raise SpaceError(
                    f"expected {want} in column {site} of the context",
                    f"row {row} holds {float(value[row]):g}",
                    "correct the context, or fit with every class among the training rows",
                )
