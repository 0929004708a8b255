"""Crop, resize, flip, shift, zoom and rotate: one affine map a row, one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from jensen.errors import UsageError
from jensen.functional import share


@dataclass(frozen=True)
class Affine:
    """Images (n, channels, height, width), each resampled (bilinear, edges repeated) by a random affine map of its own.

    `crop`: the share of the area that is kept, uniform in this range, at a random place inside the image, then
    resized back; `aspect`: log-uniform width over height of it, 1/aspect to aspect. `zoom`: log-uniform size of the
    content about the centre, in this range. `rotate`: up to so many degrees. `shift`: up to that share of the side.
    `flip`: probability of a left-right flip. A default leaves the image as it is.
    """

    crop: tuple[float, float] = (1.0, 1.0)
    aspect: float = 1.0
    zoom: tuple[float, float] = (1.0, 1.0)
    rotate: float = 0.0
    shift: float = 0.0
    flip: float = 0.0

    def __post_init__(self) -> None:
        fine = 0 < self.crop[0] <= self.crop[1] <= 1 and self.aspect >= 1 and 0 < self.zoom[0] <= self.zoom[1]
        if not (fine and self.rotate >= 0 and self.shift >= 0 and 0 <= self.flip <= 1):
            raise UsageError(
                "expected 0 < crop <= 1, aspect >= 1, zoom > 0, rotate and shift >= 0, flip from 0 to 1",
                f"got {self}",
                "correct that range",
            )

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images of the same shape; floats."""
        return grid_sample(
            x,
            affine_grid(self.maps(x, generator), list(x.shape), align_corners=False),
            padding_mode="border",
            align_corners=False,
        )

    def maps(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(n, 2, 3): where output coordinates in [-1, 1] take their value from."""
        u = share.rand(8, len(x), rows=1, generator=generator, device=x.device, dtype=x.dtype)
        area = self.crop[0] + (self.crop[1] - self.crop[0]) * u[0]
        stretch = torch.exp((u[1] - 0.5) * math.log(self.aspect))
        wide, high = ((area.sqrt() * side).clamp(max=1) for side in (stretch, 1 / stretch))
        # the centre of a crop of half-width w lies in [w - 1, 1 - w]
        across = (2 * u[2] - 1) * (1 - wide) + (2 * u[3] - 1) * 2 * self.shift
        down = (2 * u[4] - 1) * (1 - high) + (2 * u[5] - 1) * 2 * self.shift
        low, up = (math.log(size) for size in self.zoom)
        scale = torch.exp(-(low + (up - low) * u[6]))
        angle = (2 * u[7] - 1) * math.radians(self.rotate)
        cos, sin = angle.cos() * scale, angle.sin() * scale
        # a rotation turns pixels, not coordinates: these run from -1 to 1 along sides of any length
        ratio = x.size(2) / x.size(3)
        first = torch.stack([wide * cos, -high * sin * ratio, across], 1)
        if self.flip:
            turned = share.rand(len(x), generator=generator, device=x.device) < self.flip
            first = torch.cat([torch.where(turned[:, None], -first[:, :2], first[:, :2]), first[:, 2:]], 1)
        second = torch.stack([wide * sin / ratio, high * cos, down], 1)
        return torch.stack([first, second], 1)
