"""The wavefront sampler of a causal stack: all pixels of one time are drawn together, every activation once.

Time is t = column + s * row with the least slope s at which a pixel looks at earlier times only. A node is computed
`lead` columns ahead of the pixel that is drawn (Stack.leads), behind it where the lead is negative. Few steps, each of
many rows: fast where the stack does not see far to the right. Memory: all activations of the image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jensen.errors import Cannot
from jensen.sampling.prepared import finisher, folded
from jensen.sampling.stack import Node, Stack
from jensen.sampling.walk import Walk


class WavefrontSampler:
    """Draws the sites of images (1, height, width) with the stack's last node as parameters of a pixel.

    `features`: sites (m, 1) as the features (m, channels) of node 0.
    """

    def __init__(
        self, stack: Stack, shape: tuple[int, int, int], features: Callable[[Tensor], Tensor]
    ) -> None:
        if shape[0] != 1:
            raise Cannot(
                "a wavefront draws images of one channel",
                f"got {shape[0]} channels",
                "use the row-cached sampler",
            )
        self.stack, self.features = stack, features
        self.height, self.width = shape[1:]
        self.slope = stack.slope()
        self.leads = stack.leads(self.slope)
        self.pad = stack.reach
        self.top = max(stack.depth(v) for v in range(stack.output + 1))
        self.wide = self.width + 2 * self.pad

    @property
    def cells(self) -> int:
        """Places of a cache: the image with what its taps reach above and beside it."""
        return (self.top + self.height) * self.wide

    def bytes(self, n: int) -> int:
        """What the caches of n rows take."""
        channels = sum(self.stack.channels(v) for v in range(self.stack.output + 1))
        return self.cells * n * channels * self.stack[self.stack.output].bias.element_size()

    @torch.no_grad()
    def __call__(self, walk: Walk) -> None:
        """Draw all sites of the walk."""
        n, stack, device = len(walk.x), folded(self.stack), walk.x.device
        dtype = stack[stack.output].bias.dtype
        caches = [
            torch.zeros(self.cells, n, stack.channels(v), dtype=dtype, device=device)
            for v in range(stack.output + 1)
        ]
        first, last = self._times()
        for time in range(first, last + 1):
            for v in range(1, stack.output + 1):
                place = self._front(time + self.leads[v])
                if place is not None:
                    self._compute(stack[v], place, caches, caches[v][place])
            place = self._front(time)
            if place is not None:
                self._draw(walk, time, place, caches)
                index = walk.go_on()
                if index is not None:
                    caches = [cache[:, index] for cache in caches]

    def _times(self) -> tuple[int, int]:
        """The first time at which any node is computed, and that of the last pixel."""
        return -max(0, *self.leads), self.width - 1 + self.slope * (self.height - 1)

    def _front(self, time: int) -> slice | None:
        """The cells of a cache whose column + slope * row is `time`."""
        low = max(0, -((self.width - 1 - time) // self.slope))
        high = min(self.height - 1, time // self.slope)
        if low > high:
            return None
        step = self.wide - self.slope
        start = (self.top + low) * self.wide + self.pad + time - self.slope * low
        return slice(start, start + step * (high - low) + 1, step) if step > 0 else slice(start, start + 1)

    def _compute(self, node: Node, place: slice, caches: list[Tensor], out: Tensor) -> None:
        """The value of a node at the cells of a place, into `out` (m, n, channels), a view of its own cache."""
        m, n, _ = out.shape
        value = node.bias.expand(m, n, node.bias.shape[-1]).to(out.dtype).clone()
        flat = value.view(m * n, -1)
        for link in node.links:
            for (row, column), weight in zip(link.taps, link.weight):
                shift = row * self.wide + column
                seen = caches[link.source][place.start + shift : place.stop + shift : place.step]
                flat.addmm_(seen.reshape(m * n, -1), weight)
        for source in node.add:
            value.add_(caches[source][place])
        finisher(value, node, out)()

    def _draw(self, walk: Walk, time: int, place: slice, caches: list[Tensor]) -> None:
        low = max(0, -((self.width - 1 - time) // self.slope))
        rows = torch.arange(low, min(self.height - 1, time // self.slope) + 1, device=walk.x.device)
        sites = rows * self.width + time - self.slope * rows
        parameters = caches[self.stack.output][place].transpose(0, 1)
        values = walk.draw(parameters, sites)
        drawn = self.features(values.reshape(-1, 1)).view(*values.shape, -1)
        caches[0][place].copy_(drawn.transpose(0, 1))
