"""Gated PixelCNN: a vertical and a horizontal stack, so that no pixel is blind (van den Oord et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.autoregressive import Autoregressive, Sampler
from jensen.errors import UsageError
from jensen.functional.masks import channel_group
from jensen.nn.dropout import Dropout
from jensen.nn.images import fitting_kernels
from jensen.nn.window import Window
from jensen.sampling.images import image_samplers
from jensen.sampling.stack import Stack
from jensen.space import Space


class GatedPixelCNN(Autoregressive):
    """Two stacks of gated convolutions for images: the exact log-likelihood in one pass, and no blind spot.

    The vertical stack at row r sees rows r and above, all columns within reach; it is shifted down by one row once, at
    its link into the horizontal stack, which sees the pixels to the left. Every gate is tanh(a) sigmoid(b). `channels`:
    width, a multiple of the image's channels (which are ordered: R before G before B). `layers`: gated layers after the
    first. `kernel`: width of the first layer's window (7 where the image is large enough), `block_kernel`: of the others
    (3), odd. A window of size k reaches k // 2 rows up and k // 2 columns to each side. `dropout`: of whole channels, in training only. `inputs`, `head`,
    `components` as in MADE. Conditioned on classes or vectors in every layer.

    Source: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves & Kavukcuoglu 2016, Conditional image generation with
    PixelCNN decoders, section 2.
    """

    def __init__(
        self,
        space: Space,
        channels: int = 32,
        layers: int = 5,
        *,
        kernel: int | None = None,
        block_kernel: int | None = None,
        dropout: float = 0.0,
        inputs: str | None = None,
        head: str | None = None,
        components: int = 10,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context, inputs=inputs, head=head, components=components)
        first, later = fitting_kernels("GatedPixelCNN", space, channels, layers, kernel, block_kernel)
        if first < 3:
            raise UsageError(
                "the first window sees no earlier pixel", f"got kernel={first}", "7 is usual, 3 the least"
            )
        colours = space.shape[0]
        self.colours = colours
        features = colours * self.input.size
        size = self.context_size
        self.blocks = nn.ModuleList(
            _Layer(
                features if i == 0 else channels,
                channels,
                first if i == 0 else later,
                colours,
                size,
                i == 0,
            )
            for i in range(layers + 1)
        )
        self.dropout = Dropout(dropout, whole_channels=True)
        group = channel_group(channels, colours)
        within = (group[:, None] >= group).float()
        own = channel_group(colours * self.head.size, colours)
        self.hidden = Window(channels, channels, mask=within)
        # a small last layer starts near the uniform guess
        self.last = Window(channels, colours * self.head.size, mask=(own[:, None] >= group).float(), gain=0.1)

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, *shape, size) of every site's distribution given the earlier sites of rows x (n, *shape)."""
        n, colours, height, width = x.shape
        given = self.features_of(c, n)
        v = h = self.input(x).movedim(-1, 2).reshape(n, -1, height, width)
        for block in cast("Iterable[_Layer]", self.blocks):
            v, step = block(v, h, given)
            step = block.out(self.dropout(step))
            h = h + step if not block.first else step
        out = self.last(torch.relu(self.hidden(torch.relu(h))))
        return out.reshape(n, colours, -1, height, width).movedim(2, -1)

    def stack(self, given: Tensor | None = None) -> Stack:
        """The same network as taps and weights, for n rows of context features (n, size)."""
        stack = Stack(self.colours * self.input.size, self.colours)
        v = h = 0
        for block in cast("Iterable[_Layer]", self.blocks):
            v, h = block.append(stack, v, h, given)
        bright = stack.node(bias=torch.zeros_like(self.hidden.offset), add=[h], activation="relu")
        hidden = stack.node(self.hidden.link(bright), bias=self.hidden.offset, activation="relu")
        stack.node(self.last.link(hidden), bias=self.last.offset)
        return stack

    def samplers(self, n: int, c: Tensor | None = None) -> Mapping[str, Sampler]:
        """The row-cached and the wavefront sampler."""
        stack = self.stack(self.features_of(c, n))
        return image_samplers(stack, self.space.shape, self.input, self.head.size, n)


class _Layer(nn.Module):
    """One gated layer of both stacks; the first reads the sites and leaves the pixel itself out."""

    def __init__(
        self, inside: int, channels: int, kernel: int, colours: int, context: int, first: bool
    ) -> None:
        super().__init__()
        half = kernel // 2
        self.first = first
        group = channel_group(channels, colours)
        gates = group.repeat(2)
        seen = channel_group(inside, colours)
        self.vertical = Window(inside, 2 * channels, above=half, left=half, right=half)
        self.link = Window(channels, 2 * channels, bias=False)
        if first and colours == 1:
            self.horizontal = Window(inside, 2 * channels, left=half, right=-1)
        else:
            earlier = gates[:, None] > seen if first else gates[:, None] >= seen
            self.horizontal = Window(inside, 2 * channels, left=half, mask=earlier.float())
        self.out = Window(channels, channels, mask=(group[:, None] >= group).float())
        self.given = nn.Linear(context, 4 * channels, bias=False) if context else None

    def forward(self, v: Tensor, h: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """The vertical value, and the horizontal gate before its way out."""
        above, beside = self.vertical(v), self.horizontal(h)
        if self.given is not None:
            down, across = self.given(given)[:, :, None, None].chunk(2, 1)
            above, beside = above + down, beside + across
        v = _gate(above)
        # the one shift: row r of the horizontal stack reads row r - 1 of the vertical one
        return v, _gate(beside + F.pad(self.link(v)[:, :, :-1], (0, 0, 1, 0)))

    def append(self, stack: Stack, v: int, h: int, given: Tensor | None) -> tuple[int, int]:
        """The layer's nodes; the numbers of the vertical and of the horizontal value."""
        down: Tensor | float = 0.0
        across: Tensor | float = 0.0
        if self.given is not None:
            assert given is not None
            down, across = self.given(given).detach().chunk(2, 1)
        vertical = stack.node(self.vertical.link(v), bias=self.vertical.offset + down, activation="gate")
        gate = stack.node(
            self.link.link(vertical, shift=1),
            self.horizontal.link(h),
            bias=self.horizontal.offset + across,
            activation="gate",
        )
        add = [] if self.first else [h]
        return vertical, stack.node(self.out.link(gate), bias=self.out.offset, add=add)


def _gate(x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)
