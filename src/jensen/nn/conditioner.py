"""Networks over columns (features, n) that give the parameters of element-wise maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.masks import MadeMasks


class Conditioner(nn.Module):
    """(inside, n) -> (parameters, out, n) by relu layers; `masks` make it autoregressive. Starts near zero: the identity.

    Columns, not rows: a product is addmm(bias, weight, x) and a feature's values lie together, which the element-wise
    maps behind it need. A context (size, n) adds to every layer before its relu.
    """

    def __init__(
        self,
        inside: int,
        out: int,
        parameters: int,
        hidden: Sequence[int],
        *,
        context: int = 0,
        masks: MadeMasks | None = None,
    ) -> None:
        super().__init__()
        if any(size < 1 for size in hidden):
            raise UsageError(
                "expected hidden sizes of 1 or more", f"got {tuple(hidden)}", "128, 128 is usual"
            )
        self.parameters_each, self.out = parameters, out
        sizes = [inside, *hidden, parameters * out]
        known: list[Tensor | None] = [None] * (len(sizes) - 1) if masks is None else list(masks.layers)
        if masks is not None:
            # the masks list the parameters of a site side by side; here a parameter's sites lie together
            last = masks.layers[-1]
            known[-1] = last.view(out, parameters, -1).transpose(0, 1).reshape(parameters * out, -1)
        self.layers = nn.ModuleList(
            _Dense(before, after, mask, context, gain=0.01 if i == len(sizes) - 2 else 1.0)
            for i, (before, after, mask) in enumerate(zip(sizes, sizes[1:], known))
        )

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (parameters, out, n) of columns x (inside, n)."""
        for layer in self.layers[:-1]:
            x = layer(x, c).relu_()
        found: Tensor = self.layers[-1](x, c)
        return found.view(self.parameters_each, self.out, -1)

    def apart(self, x: Tensor, c: Tensor | None = None) -> list[Tensor]:
        """The pre-activations (units, n) of every layer at x, the parameters' (parameters * out, n) last.

        Each carries the gradient of its own weights and of c alone, not of the layer before.
        """
        found: list[Tensor] = []
        x = x.detach()
        for layer in self.layers:
            found.append(layer(x, c))
            x = found[-1].detach().relu()
        return found


BLOCKS = 4
"""Blocks of rows that a wide masked layer is computed in, each with the columns it sees."""
WIDE = 1 << 16
"""Weights from which blocks pay: a training step of a 512-wide MAF takes 1.2 times as long without; below, nothing is won."""


class _Dense(nn.Module):
    """y = (weight * mask) x + bias + shift c for columns; the fan-in counts only what the mask keeps.

    A wide layer whose mask is a staircase leaves the zeros above it out, block by block: 5/8 of the arithmetic.
    """

    mask: Tensor | None

    def __init__(self, inside: int, out: int, mask: Tensor | None, context: int, gain: float) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(torch.empty(out, inside))
        self.bias = nn.Parameter(torch.empty(out))
        self.shift = nn.Linear(context, out, bias=False) if context else None
        kept = torch.ones(out, inside) if mask is None else mask
        self.rows, self.seen = _stairs(kept)
        with torch.no_grad():
            bound = gain / kept.sum(1).clamp(min=1).sqrt()
            self.weight.uniform_(-1, 1).mul_(bound[:, None] * kept)
            self.bias.uniform_(-1, 1).mul_(bound)

    @property
    def live(self) -> Tensor:
        """The weight under its mask."""
        return self.weight if self.mask is None else self.weight * self.mask

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        parts = zip(self.bias[:, None].split(self.rows), self.live.split(self.rows), self.seen)
        products = [torch.addmm(bias, weight[:, :seen], x[:seen]) for bias, weight, seen in parts]
        y = products[0] if len(products) == 1 else torch.cat(products)
        return y if self.shift is None or c is None else y.addmm(self.shift.weight, c)

    def moved(self, c: Tensor | None) -> Tensor:
        """Bias and context together, (out,) or (n, out), without gradient."""
        if self.shift is None or c is None:
            return self.bias.detach()
        return (self.bias[:, None] + self.shift.weight @ c).T.detach()


def _stairs(kept: Tensor) -> tuple[list[int], list[int]]:
    """(rows, columns seen) of each block of a mask (out, in); a single block where that saves little."""
    out, inside = kept.shape
    blocks = kept.tensor_split(BLOCKS)
    columns = torch.arange(1, inside + 1)
    seen = [int((block.any(0) * columns).max()) for block in blocks]
    rows = [len(block) for block in blocks]
    area = sum(a * b for a, b in zip(rows, seen))
    return (rows, seen) if kept.numel() >= WIDE and area < 0.8 * kept.numel() else ([out], [inside])
