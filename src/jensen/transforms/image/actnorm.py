"""Scale and shift of every channel, standardising on the first batch (Kingma & Dhariwal 2018, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.functional import affine
from jensen.functional.gather import of_whole_batch
from jensen.transforms.image import ImageMap


class ImageActNorm(ImageMap):
    """z = x exp(s) + shift for every channel: log|det| = height * width * sum s.

    The first batch in training mode sets s and shift so that z has mean 0 and deviation 1; `ready`, part of the state,
    says that this has happened. A context of `context` features moves s, bounded, and shift; it starts with no effect.
    """

    ready: Tensor

    def __init__(self, channels: int, context: int = 0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.given = nn.Conv2d(context, 2 * channels, 1, bias=False) if context else None
        if self.given is not None:
            nn.init.zeros_(self.given.weight)
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))
        self._known_ready = False

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and not self._known_ready:
            self._start(x)
        log_scale, shift = self._scale_shift(x, c)
        return torch.addcmul(shift, x, log_scale.exp()), _total(log_scale, x)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_shift(z, c)
        return (z - shift) * (-log_scale).exp(), -_total(log_scale, z)

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        # reading a buffer waits for the device: once it is known to be set, nobody looks again
        if not bool(self.ready):
            deviation, mean = torch.std_mean(of_whole_batch(x), (0, 2, 3), correction=0)
            usable = torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation))
            self.log_scale.copy_(-usable.log())
            self.shift.copy_(-mean / usable)
            self.ready.fill_(True)
        self._known_ready = True

    def _scale_shift(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        """s and shift, (1 or n, channels, 1 or height, 1 or width)."""
        log_scale, shift = self.log_scale[:, None, None], self.shift[:, None, None]
        if self.given is None or c is None:
            return log_scale[None], shift[None]
        more, moved = self.given(c).to(x.dtype).chunk(2, 1)
        return log_scale + affine.bounded(more), shift + moved


def _total(log_scale: Tensor, x: Tensor) -> Tensor:
    """The sum (n,) of log scales over the pixels of every row of x."""
    pixels = x.shape[2] * x.shape[3] / (log_scale.shape[2] * log_scale.shape[3])
    return (pixels * log_scale.sum((1, 2, 3))).expand(len(x))
