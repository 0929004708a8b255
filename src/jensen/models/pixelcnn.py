"""PixelCNN: masked convolutions, mask A first and B after (van den Oord, Kalchbrenner & Kavukcuoglu 2016)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from jensen.errors import SpaceError, UsageError
from jensen.functional.ancestral import ancestral, uniforms
from jensen.functional.masks import conv_mask
from jensen.heads import head_for
from jensen.model import Model
from jensen.nn.masked import MaskedConv2d, channels_last
from jensen.nn.sites import SiteInput
from jensen.space import Space


class PixelCNN(Model):
    """Masked convolutional network for images, exact log mass in one pass.

    `channels`: width, at least the image's channels (which are ordered: R before G before B). `layers`: residual
    blocks. `kernel`: of the first layer (mask A), `block_kernel`: inside the blocks (mask B). `dropout`: of whole
    channels in a block, in training only. `inputs`, `head` as in MADE. Stacks of masked kernels never reach all
    earlier pixels: some to the upper right stay unseen. Sampling makes one pass a site.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "levels", "categorical"})
    order: Tensor

    def __init__(
        self,
        space: Space,
        channels: int = 32,
        layers: int = 5,
        *,
        kernel: int = 7,
        block_kernel: int = 3,
        dropout: float = 0.2,
        inputs: str | None = None,
        head: str | None = None,
    ) -> None:
        super().__init__(space)
        if not space.is_image:
            raise SpaceError(
                "PixelCNN models images (channels, height, width)", f"got {space.describe()}", "use made"
            )
        if layers < 0:
            raise UsageError("expected 0 or more residual blocks", f"got layers={layers}", "5 is usual")
        colours, height, width = space.shape
        self.head = head_for(space, head)
        self.input = SiteInput(space, inputs)

        def conv(kind: str, out: int, inside: int, size: int, gain: float = 1.0) -> MaskedConv2d:
            return MaskedConv2d(conv_mask(kind, out, inside, size, channel_groups=colours), gain)

        self.first = conv("A", 2 * channels, colours * self.input.size, kernel)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                conv("B", channels, 2 * channels, 1),
                nn.ReLU(inplace=True),
                conv("B", channels, channels, block_kernel),
                nn.ReLU(inplace=True),
                nn.Dropout2d(dropout),
                conv("B", 2 * channels, channels, 1),
            )
            for _ in range(layers)
        )
        # a small last layer starts near the uniform guess
        self.last = nn.Sequential(
            nn.ReLU(),
            conv("B", 2 * channels, 2 * channels, 1),
            nn.ReLU(inplace=True),
            conv("B", colours * self.head.size, 2 * channels, 1, gain=0.1),
        )
        raster = torch.arange(height * width)[:, None] + height * width * torch.arange(colours)
        self.register_buffer("order", raster.flatten(), persistent=False)

    def conditionals(self, x: Tensor) -> Tensor:
        """Parameters (n, *shape, size) of every site's distribution given the earlier sites of rows x."""
        n, colours, height, width = x.shape
        # features of a channel lie side by side, so that channel groups stay contiguous blocks
        features = self.input(x).movedim(-1, 2).reshape(n, -1, height, width)
        h = self.first(channels_last(features))
        # one input channel fits both layouts and torch then picks rows first: every sum below would mix layouts and
        # copy. With this line a training step takes 0.78 of the time, with the work in place 0.72
        h = channels_last(h)
        for block in self.blocks:
            h = block(h).add_(h)
        return self.last(h).reshape(n, colours, -1, height, width).movedim(2, -1)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log P(x) (n,), nats, exact."""
        self.refuse_context(c)
        return self.head.log_prob(self.conditionals(x), x).flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, channels, height, width) int64."""
        self.refuse_context(c)
        u = uniforms(n, self.space.shape, generator, self.order.device)
        return ancestral(self.conditionals, self.head.sample, self.order, u)
