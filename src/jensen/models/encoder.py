"""Encoders: rows to features, for every use but likelihood."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from jensen.errors import SpaceError, UsageError
from jensen.model import Model
from jensen.nn.context import ContextInput
from jensen.nn.residual import resnet18, small_net
from jensen.nn.sites import ColumnInput, SiteInput
from jensen.space import Space

NETS = ("auto", "small", "resnet18", "mlp")


class Encoder(Model):
    """Features of rows, learned without labels: `embed` gives h, the input of the objective's projection head.

    `net`: small (a residual convolutional net for images of 8 to 64 pixels), resnet18 (its form for CIFAR, 512
    features), mlp (for tables: three layers of rectified units), auto (small on images, mlp on tables). `features`: the
    length of h; 128 on small, 256 on mlp. `width`: the channels of the first convolution, 32 on small and 64 on
    resnet18; the hidden units of mlp, 256. Convolutional nets use batch normalisation: in eval mode, which `embed` of a
    fitted encoder uses, no row depends on another.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"real", "levels", "binary", "categorical", "mixed"})

    def __init__(
        self, space: Space, net: str = "auto", features: int | None = None, width: int | None = None
    ) -> None:
        super().__init__(space)
        if net not in NETS:
            raise UsageError("unknown net of an encoder", f"got {net!r}", f"use one of {', '.join(NETS)}")
        if net == "auto":
            net = "small" if space.is_image else "mlp"
        if (net == "mlp") == space.is_image:
            raise SpaceError(
                f"the net {net!r} is not for these rows", f"got {space.describe()}", "use net='auto'"
            )
        for name, size in (("features", features), ("width", width)):
            if size is not None and (size < 1 or int(size) != size):
                raise UsageError(f"{name} is a whole number above 0", f"got {size}", "128 is usual")
        self.sites: SiteInput | ContextInput | ColumnInput
        if space.is_image:
            self.sites = SiteInput(space)
            self.net = _image_net(net, space, self.sites.size * space.shape[0], features, width)
        else:
            # indicators of as many categories as each column has; beside gaps, of as many as the largest
            self.sites = ColumnInput(space) if space.gaps else ContextInput(space)
            inside = self.sites.size * (space.dims if space.gaps else 1)
            hidden, out = width or 256, features or 256
            sizes = [inside, hidden, hidden, out]
            layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
            self.net = nn.Sequential(*layers)

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """h (n, features), not below 0; rows x (n, *shape), which may lie between the levels."""
        if isinstance(self.sites, ContextInput):
            features: Tensor = self.net(self.sites(x, len(x)))
            return features
        if isinstance(self.sites, ColumnInput):
            features = self.net(self.sites(x).flatten(1))
            return features
        u = self.sites(x).to(next(self.net.parameters()).dtype)
        # (n, channels, height, width, size) -> channels x size planes
        features = self.net(u.squeeze(-1) if u.size(-1) == 1 else u.permute(0, 1, 4, 2, 3).flatten(1, 2))
        return features


def _image_net(
    net: str, space: Space, channels: int, features: int | None, width: int | None
) -> nn.Sequential:
    if net == "small":
        return small_net(channels, max(space.shape[1:]), width or 32, features or 128)
    if features not in (None, 8 * (width or 64)):
        raise UsageError(
            "resnet18 has 8 x width features", f"got features={features}", "set width, and leave features out"
        )
    return resnet18(channels, width or 64)
