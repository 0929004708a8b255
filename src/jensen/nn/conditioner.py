"""Networks over columns (features, n) that give the parameters of element-wise maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.columns import network
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
        weights, biases = zip(*self.stacked(c))
        return network(x, weights, biases).view(self.parameters_each, self.out, -1)

    def stacked(self, c: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """Weight (out, in) and bias (out, 1), or (out, n) under a context, of every layer."""
        return [(one.live, one.moved(c)) for one in self.layers]  # type: ignore[operator, misc]

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


class _Dense(nn.Module):
    """y = (weight * mask) x + bias + shift c for columns; the fan-in counts only what the mask keeps."""

    mask: Tensor | None

    def __init__(self, inside: int, out: int, mask: Tensor | None, context: int, gain: float) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.weight = nn.Parameter(torch.empty(out, inside))
        self.bias = nn.Parameter(torch.empty(out))
        self.shift = nn.Linear(context, out, bias=False) if context else None
        kept = torch.ones(out, inside) if mask is None else mask
        with torch.no_grad():
            bound = gain / kept.sum(1).clamp(min=1).sqrt()
            self.weight.uniform_(-1, 1).mul_(bound[:, None] * kept)
            self.bias.uniform_(-1, 1).mul_(bound)

    @property
    def live(self) -> Tensor:
        """The weight under its mask."""
        return self.weight if self.mask is None else self.weight * self.mask

    def forward(self, x: Tensor, c: Tensor | None) -> Tensor:
        return torch.addmm(self.moved(c), self.live, x)

    def moved(self, c: Tensor | None) -> Tensor:
        """Bias and context together, (out, 1) or (out, n)."""
        bias = self.bias[:, None]
        return bias if self.shift is None or c is None else bias.addmm(self.shift.weight, c)
