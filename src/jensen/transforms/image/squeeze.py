"""Space to channels: every 2x2 block of pixels becomes the channels of one (Dinh, Sohl-Dickstein & Bengio 2017)."""

from __future__ import annotations

from torch import Tensor

from jensen.transforms.image import ImageMap


class Squeeze(ImageMap):
    """(channels, height, width) -> (channels * 4, height / 2, width / 2); a side that is odd stays as it is.

    `shape`: of the images on the data side; `squeezed`: on the base side. A permutation: log|det| is 0.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = shape
        self.down, self.across = (2 if size % 2 == 0 else 1 for size in (height, width))
        self.squeezed = (channels * self.down * self.across, height // self.down, width // self.across)

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        n, (channels, height, width) = len(x), self.squeezed
        blocks = x.reshape(n, -1, height, self.down, width, self.across)
        return blocks.permute(0, 1, 3, 5, 2, 4).reshape(n, channels, height, width), x.new_zeros(n)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        n, (_, height, width) = len(z), self.squeezed
        blocks = z.reshape(n, -1, self.down, self.across, height, width).permute(0, 1, 4, 2, 5, 3)
        return blocks.reshape(n, -1, height * self.down, width * self.across), z.new_zeros(n)
