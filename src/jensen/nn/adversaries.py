"""Networks from noise to rows, and from rows to a logit: dense, convolutional with batch norm, residual without."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.errors import SpaceError, UsageError, nearest
from jensen.functional.share import dropout
from jensen.nn.autoencoder import Block
from jensen.space import Space

NETS = ("mlp", "conv", "residual")
SMALLEST = 4
"""Images are halved until a side is at most this long."""


def adversary_net(space: Space, name: str) -> str:
    """The network that is named, or by "auto" the one that suits: conv for images, mlp for vectors and tiny images."""
    if name == "auto":
        return "conv" if space.is_image and min(space.shape[1:]) >= SMALLEST else "mlp"
    if name not in NETS:
        raise UsageError("unknown net", f"got {name!r}", nearest(str(name), ("auto", *NETS)))
    if name != "mlp" and not space.is_image:
        raise SpaceError(f"a {name} net is one for images", f"got {space.describe()}", "use net='mlp'")
    return name


class Residual(nn.Module):
    """(n, inside) -> (n, out): a dense layer, `depth` blocks h + W relu(V relu(h)), a dense layer. No normalisation."""

    def __init__(self, inside: int, width: int, depth: int, out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inside, width), nn.Linear(width, out)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(depth)
        )
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's outputs."""
        h = self.first(x)
        for block in self.blocks:
            h = dropout(h + block(h), self.dropout, self.training)
        found: Tensor = self.last(F.relu(h))
        return found


class DenseGenerator(nn.Module):
    """Noise (n, d) -> numbers (n, *shape, size)."""

    def __init__(self, inside: int, width: int, depth: int, shape: Sequence[int], size: int) -> None:
        super().__init__()
        self.shape = (*shape, size)
        self.net = Residual(inside, width, depth, int(torch.tensor(self.shape).prod()))

    def forward(self, z: Tensor) -> Tensor:
        """Numbers of every site."""
        found: Tensor = self.net(z)
        return found.view(len(z), *self.shape)


class ImageGenerator(nn.Module):
    """Noise (n, d) -> numbers (n, colours, height, width, size), doubling the image from about 4x4.

    `residual`: blocks without normalisation (Huang et al. 2024); else batch norm (Radford, Metz & Chintala 2016).
    """

    def __init__(self, inside: int, channels: int, shape: Sequence[int], size: int, residual: bool) -> None:
        super().__init__()
        self.steps, widths = _halvings(shape, channels)
        self.out = (shape[0], size, *shape[1:])
        self.start = (widths[-1], *self.steps[-1])
        self.first = nn.Linear(inside, widths[-1] * self.steps[-1][0] * self.steps[-1][1])
        pairs = list(itertools.pairwise(reversed(widths)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        rest: Callable[[int], nn.Module] = Block if residual else _normed
        self.rest = nn.ModuleList(rest(width) for width in reversed(widths))
        self.last = nn.Conv2d(widths[0], shape[0] * size, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Numbers of every site."""
        h = self.rest[0](self.first(z).view(-1, *self.start))
        for up, rest, (height, width) in zip(self.up, self.rest[1:], reversed(self.steps[:-1])):
            h = rest(up(h)[..., :height, :width])  # an odd size is one less than twice the half
        found: Tensor = self.last(h)
        return found.view(len(z), *self.out).movedim(2, -1)


class DenseBody(nn.Module):
    """Features (n, ...) -> (n, width)."""

    def __init__(self, inside: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.net = Residual(inside, width, depth, width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The rows flattened, through the net."""
        found: Tensor = self.net(x.flatten(1)).relu()
        return found


class ImageBody(nn.Module):
    """Images (n, channels, height, width) -> (n, features), halving them until they are about 4x4."""

    def __init__(
        self, inside: int, channels: int, shape: Sequence[int], residual: bool, normed: bool, dropout: float
    ) -> None:
        super().__init__()
        steps, widths = _halvings(shape, channels)
        self.first = nn.Conv2d(inside, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=_padding(size))
            for (a, b), size in zip(itertools.pairwise(widths), steps)
        )
        after: Callable[[int], nn.Module] = Block if residual else nn.BatchNorm2d if normed else _as_it_is
        self.after = nn.ModuleList(after(width) for width in widths[1:])
        self.dropout, self.features = dropout, widths[-1] * steps[-1][0] * steps[-1][1]

    def forward(self, x: Tensor) -> Tensor:
        """Leaky relu after every convolution, dropout after every halving."""
        h = F.leaky_relu(self.first(x), 0.2)
        for down, after in zip(self.down, self.after):
            h = F.leaky_relu(after(down(h)), 0.2)
            h = dropout(h, self.dropout, self.training)
        return h.flatten(1)


class Discriminator(nn.Module):
    """Logits (n,) of rows, given features of their context by a projection (Miyato & Koyama 2018, equation 3).

    `spectral` holds every weight's largest singular value at 1 (Miyato et al. 2018).
    """

    def __init__(self, body: nn.Module, features: int, context: int, spectral: bool) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(features, 1)
        self.given = nn.Linear(context, features, bias=False) if context else None
        if spectral:
            for module in list(self.modules()):
                if isinstance(module, (nn.Linear, nn.Conv2d)):
                    nn.utils.parametrizations.spectral_norm(module)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Rows (n, ...) as the body reads them, and features (n, context)."""
        h = self.body(x)
        logit: Tensor = self.head(h)[:, 0]
        return logit if self.given is None else logit + (self.given(given) * h).sum(1) / h.shape[1] ** 0.5


def _halvings(shape: Sequence[int], channels: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Sizes from the image down to about 4x4, and channels that double each time, up to eight times as many."""
    if channels < 1:
        raise UsageError("expected channels of 1 or more", f"got {channels}", "64 is usual")
    sizes, widths = [(shape[1], shape[2])], [channels]
    while min(sizes[-1]) > SMALLEST:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        widths.append(min(2 * widths[-1], 8 * channels))
    return sizes, widths


def _padding(size: tuple[int, int]) -> tuple[int, int]:
    """So that a halving rounds up."""
    return (1 + size[0] % 2, 1 + size[1] % 2)


def _normed(channels: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _as_it_is(channels: int) -> nn.Module:
    return nn.Identity()
