"""Networks from rows to numbers and back: dense, convolutional, residual. None looks at other rows of the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.errors import SpaceError, UsageError, nearest
from jensen.nn.dense import Dense
from jensen.space import Space

NETS = ("mlp", "conv", "residual")
LARGE = 1024
"""Images with more sites get a convolutional network by default."""


def net_for(space: Space, name: str | None) -> str:
    """The network that is named, or the one that suits the space. Raises UsageError, and SpaceError for vectors."""
    if name is None:
        return "conv" if space.is_image and space.dims > LARGE else "mlp"
    if name not in NETS:
        raise UsageError("unknown net", f"got {name!r}", nearest(str(name), NETS))
    if name != "mlp" and not space.is_image:
        raise SpaceError(f"a {name} net reads images", f"got {space.describe()}", "use net='mlp'")
    return name


class DenseEncoder(nn.Module):
    """Features (n, *shape, size) -> (n, out)."""

    def __init__(
        self, shape: Sequence[int], size: int, hidden: Sequence[int], out: int, context: int
    ) -> None:
        super().__init__()
        self.net = Dense(_count(shape) * size + context, hidden, out, gain=0.1)

    def forward(self, features: Tensor, given: Tensor | None = None) -> Tensor:
        """`given` (n, context): the features of what the rows are conditioned on."""
        found: Tensor = self.net(_beside(features.flatten(1), given))
        return found


class DenseDecoder(nn.Module):
    """z (..., d) -> (..., *shape, size)."""

    def __init__(self, inside: int, hidden: Sequence[int], shape: Sequence[int], size: int) -> None:
        super().__init__()
        self.shape = (*shape, size)
        self.net = Dense(inside, hidden, _count(self.shape), gain=0.1)

    def forward(self, z: Tensor) -> Tensor:
        """Parameters of every site."""
        found: Tensor = self.net(z)
        return found.view(*z.shape[:-1], *self.shape)


class ImageEncoder(nn.Module):
    """Features (n, colours, height, width, size) -> (n, out): a convolution of stride 2 for each of `channels`, then dense.

    `residual`: a block of two more convolutions after each.
    """

    def __init__(
        self,
        shape: Sequence[int],
        size: int,
        channels: Sequence[int],
        hidden: int,
        out: int,
        context: int,
        residual: bool,
    ) -> None:
        super().__init__()
        steps = _sizes(shape, channels)
        inside = [shape[0] * size, *channels]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(inside, channels))
        self.blocks = nn.ModuleList(Block(b) if residual else nn.Identity() for b in channels)
        height, width = steps[-1]
        self.net = Dense(channels[-1] * height * width + context, (hidden,), out, gain=0.1)

    def forward(self, features: Tensor, given: Tensor | None = None) -> Tensor:
        """`given` (n, context): the features of what the rows are conditioned on."""
        h = features.movedim(-1, 2).flatten(1, 2)
        for down, block in zip(self.down, self.blocks):
            h = block(down(h).relu())
        found: Tensor = self.net(_beside(h.flatten(1), given))
        return found


class ImageDecoder(nn.Module):
    """z (..., d) -> (..., colours, height, width, size): dense, then a transposed convolution of stride 2 for each size."""

    def __init__(
        self,
        inside: int,
        hidden: int,
        channels: Sequence[int],
        shape: Sequence[int],
        size: int,
        residual: bool,
    ) -> None:
        super().__init__()
        *self.steps, last = _sizes(shape, channels)
        self.start = (channels[-1], *last)
        self.shape = (shape[0], size, *shape[1:])
        self.net = Dense(inside, (hidden,), _count(self.start))
        out = [shape[0] * size, *channels[:-1]]
        pairs = list(zip(channels, out))[::-1]
        self.blocks = nn.ModuleList(Block(a) if residual else nn.Identity() for a, _ in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        final = self.up[-1]
        assert isinstance(final, nn.ConvTranspose2d) and final.bias is not None
        with torch.no_grad():
            final.weight.mul_(0.1)
            final.bias.zero_()

    def forward(self, z: Tensor) -> Tensor:
        """Parameters of every site."""
        h = self.net(z.flatten(0, -2)).relu().view(-1, *self.start)
        for place, (block, up, (height, width)) in enumerate(zip(self.blocks, self.up, reversed(self.steps))):
            h = up(block(h))[..., :height, :width]  # an odd size is one less than twice the half
            h = h if place == len(self.up) - 1 else h.relu()
        return h.reshape(*z.shape[:-1], *self.shape).movedim(-3, -1)


class Block(nn.Module):
    """x + two 3x3 convolutions of relu(x); starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width), the same shape."""
        found: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return found


def _sizes(shape: Sequence[int], channels: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width before and after every halving, which rounds up."""
    if not channels or min(channels) < 1:
        raise UsageError(
            "expected channels of 1 or more, one a halving", f"got {tuple(channels)}", "32, 64 is usual"
        )
    height, width = shape[1:]
    found = [(height, width)]
    for _ in channels:
        height, width = (height + 1) // 2, (width + 1) // 2
        found.append((height, width))
    return found


def _count(shape: Sequence[int]) -> int:
    found = 1
    for size in shape:
        found *= size
    return found


def _beside(features: Tensor, given: Tensor | None) -> Tensor:
    return features if given is None else torch.cat([features, given], 1)
