"""A learned linear mixing of the channels, the same at every pixel (Kingma & Dhariwal 2018, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.transforms.image import ImageMap


class Conv1x1(ImageMap):
    """z = P L (U + diag(sign exp(s))) x at every pixel: log|det| = height * width * sum s. Starts as a random rotation.

    P, a permutation, and the signs are drawn once and stay; L is unit lower, U strictly upper triangular. Both ways are
    one product with a matrix (channels, channels), exact at any parameter value.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation.float())
        self.register_buffer("sign", diagonal.sign().float())
        self.log_diagonal = nn.Parameter(diagonal.abs().log().float())
        self.lower = nn.Parameter(lower.tril(-1).float())
        self.upper = nn.Parameter(upper.triu(1).float())

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        return _everywhere(self.permutation @ lower @ upper, x), self._log_det(x)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        middle = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
        return _everywhere(torch.linalg.solve_triangular(upper, middle, upper=True), z), -self._log_det(z)

    def _factors(self) -> tuple[Tensor, Tensor]:
        one = torch.eye(len(self.sign), dtype=self.lower.dtype, device=self.lower.device)
        diagonal = self.sign * self.log_diagonal.exp()
        return self.lower.tril(-1) + one, self.upper.triu(1) + diagonal.diag()

    def _log_det(self, x: Tensor) -> Tensor:
        pixels = x.shape[2] * x.shape[3]
        return (pixels * self.log_diagonal.sum()).expand(len(x))


def _everywhere(matrix: Tensor, x: Tensor) -> Tensor:
    # half precision would not invert: an autocast around the training step stops here
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x.to(matrix.dtype), matrix[:, :, None, None])
