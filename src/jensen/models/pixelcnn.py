"""PixelCNN: masked convolutions, mask A first and B after (van den Oord, Kalchbrenner & Kavukcuoglu 2016)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from jensen.autoregressive import Autoregressive, Sampler
from jensen.functional.masks import conv_mask
from jensen.nn.dropout import Dropout
from jensen.nn.images import fitting_kernels
from jensen.nn.masked import MaskedConv2d, channels_last
from jensen.sampling.images import image_samplers
from jensen.sampling.stack import Stack
from jensen.space import Space


class PixelCNN(Autoregressive):
    """Masked convolutional network for images, exact log-likelihood in one pass.

    `channels`: width, at least the image's channels (which are ordered: R before G before B). `layers`: residual
    blocks. `kernel`: of the first layer (mask A; 7 where the image is large enough), `block_kernel`: inside the blocks
    (mask B; 3). `dropout`: of whole channels in a block, in training only. `inputs`, `head`, `components` as in MADE.
    Stacks of masked kernels never reach all earlier pixels: some to the upper right stay unseen (gated-pixelcnn has no such blind spot).
    """

    def __init__(
        self,
        space: Space,
        channels: int = 32,
        layers: int = 5,
        *,
        kernel: int | None = None,
        block_kernel: int | None = None,
        dropout: float = 0.2,
        inputs: str | None = None,
        head: str | None = None,
        components: int = 10,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context, inputs=inputs, head=head, components=components)
        first, later = fitting_kernels("PixelCNN", space, channels, layers, kernel, block_kernel)
        colours = space.shape[0]
        size = self.context_size

        def conv(kind: str, out: int, inside: int, size: int, gain: float = 1.0) -> MaskedConv2d:
            return MaskedConv2d(conv_mask(kind, out, inside, size, channel_groups=colours), gain)

        self.first = conv("A", 2 * channels, colours * self.input.size, first)
        self.blocks = nn.ModuleList(
            _Block(
                conv("B", channels, 2 * channels, 1),
                conv("B", channels, channels, later),
                conv("B", 2 * channels, channels, 1),
                dropout,
                nn.Linear(size, channels, bias=False) if size else None,
            )
            for _ in range(layers)
        )
        self.hidden = conv("B", 2 * channels, 2 * channels, 1)
        # a small last layer starts near the uniform guess
        self.last = conv("B", colours * self.head.size, 2 * channels, 1, gain=0.1)

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters (n, *shape, size) of every site's distribution given the earlier sites of rows x."""
        n, colours, height, width = x.shape
        given = self.features_of(c, n)
        # features of a channel lie side by side, so that channel groups stay contiguous blocks
        features = self.input(x).movedim(-1, 2).reshape(n, -1, height, width)
        h = self.first(channels_last(features))
        # one input channel fits both layouts and torch then picks rows first: every sum below would mix layouts and
        # copy. With this line a training step takes 0.78 of the time, with the work in place 0.72
        h = channels_last(h)
        for block in self.blocks:
            h = block(h, given).add_(h)
        out = self.last(self.hidden(torch.relu(h)).relu_())
        return out.reshape(n, colours, -1, height, width).movedim(2, -1)

    def stack(self, given: Tensor | None = None) -> Stack:
        """The same network as taps and weights, for n rows of context features (n, size)."""
        stack = Stack(self.first.weight.shape[1], self.space.shape[0])
        h = stack.node(self.first.link(0), bias=self.first.bias.detach())
        for block in cast("Iterable[_Block]", self.blocks):
            h = block.append(stack, h, given)
        bright = stack.node(bias=torch.zeros_like(self.hidden.bias), add=[h], activation="relu")
        hidden = stack.node(self.hidden.link(bright), bias=self.hidden.bias.detach(), activation="relu")
        stack.node(self.last.link(hidden), bias=self.last.bias.detach())
        return stack

    def samplers(self, n: int, c: Tensor | None = None) -> Mapping[str, Sampler]:
        """The row-cached and the wavefront sampler."""
        stack = self.stack(self.features_of(c, n))
        return image_samplers(stack, self.space.shape, self.input, self.head.size, n)


class _Block(nn.Module):
    """A residual block: narrow, look around, widen. `given`: where a context enters."""

    def __init__(
        self,
        narrow: MaskedConv2d,
        look: MaskedConv2d,
        widen: MaskedConv2d,
        dropout: float,
        given: nn.Linear | None,
    ) -> None:
        super().__init__()
        self.narrow, self.look, self.widen, self.given = narrow, look, widen, given
        self.dropout = Dropout(dropout, whole_channels=True)

    def forward(self, h: Tensor, given: Tensor | None) -> Tensor:
        """(n, 2 channels, height, width), to be added to h."""
        narrow = self.narrow(torch.relu(h))
        if self.given is not None:
            narrow = narrow + self.given(given)[:, :, None, None]
        widened: Tensor = self.widen(self.dropout(self.look(narrow.relu_()).relu_()))
        return widened

    def append(self, stack: Stack, h: int, given: Tensor | None) -> int:
        """The block's nodes; the number of the sum."""
        shift = self.given(given).detach() if self.given is not None else 0.0
        bright = stack.node(bias=torch.zeros_like(self.widen.bias), add=[h], activation="relu")
        narrow = stack.node(
            self.narrow.link(bright), bias=self.narrow.bias.detach() + shift, activation="relu"
        )
        look = stack.node(self.look.link(narrow), bias=self.look.bias.detach(), activation="relu")
        return stack.node(self.widen.link(look), bias=self.widen.bias.detach(), add=[h])
