"""The exact samplers of a causal stack over images, the fastest first."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from jensen.sampling.rows import RowSampler
from jensen.sampling.stack import Stack
from jensen.sampling.walk import Walk
from jensen.sampling.wavefront import WavefrontSampler


def image_samplers(
    stack: Stack, shape: tuple[int, ...], encode: nn.Module, size: int, n: int
) -> dict[str, Callable[[Walk], None]]:
    """`rows`, and for images of one channel `wavefront`, in the order of their expected speed for n rows.

    `encode` maps pixels (m, colours, 1, 1) to features (m, colours, 1, 1, k). `size`: parameters a site.
    """
    colours, height, width = shape

    def features(sites: Tensor) -> Tensor:
        """(m, colours) -> (m, colours * k)."""
        found: Tensor = encode(sites[:, :, None, None])
        return found.reshape(len(sites), -1)

    image = (colours, height, width)
    found: dict[str, Callable[[Walk], None]] = {"rows": RowSampler(stack, image, features, size)}
    if colours > 1:
        return found
    front = WavefrontSampler(stack, image, features)
    if _prefers_wavefront(stack, height, width, n):
        return {"wavefront": front, **found}
    return {**found, "wavefront": front}


def _prefers_wavefront(stack: Stack, height: int, width: int, n: int) -> bool:
    """Whether the schedule is short enough: a step of the wavefront costs more than a pixel of the row sampler."""
    return stack.steps((height, width)) * 3 < height * width
