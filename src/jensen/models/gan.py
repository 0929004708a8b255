"""Generator of an adversarial game (Goodfellow et al. 2014); its adversaries belong to the objective."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional import share
from jensen.functional.neighbours import kth_distance, nearest
from jensen.generator import Generator
from jensen.model import Note
from jensen.nn.adversaries import DenseGenerator, ImageGenerator, adversary_net
from jensen.nn.relaxed import Relaxed
from jensen.space import Space

NEIGHBOURS = 5
COLLAPSED = 1 / 3
"""Samples that reach less than this share of what other data reach leave out a part of the data."""


class GAN(Generator):
    """Rows from noise in one pass, sharp where other families blur; it has no likelihood and may leave out a part of the data.

    `latents`: dimensions of the noise; default 64 for images, 16 for vectors. `net`: "mlp", "conv" (batch norm, doubling the image from 4x4), "residual" (without
    normalisation); auto: conv for images, mlp for vectors. `width`, `depth`: of the mlp; `channels`: of the convolutions at
    the image's own size. `outputs`: "straight" rounds levels and categories while training, the gradient passing as if not,
    "soft" only when sampling; auto: soft for images of more than two levels, straight for the rest. `temperature`: of
    categories while training.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "levels", "categorical", "real", "mixed"})
    takes_context: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        latents: int | None = None,
        *,
        net: str = "auto",
        width: int = 128,
        depth: int = 2,
        channels: int = 64,
        outputs: str = "auto",
        temperature: float = 0.5,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        latents = (64 if space.is_image else 16) if latents is None else latents
        if min(latents, width) < 1 or depth < 0:
            raise UsageError(
                "expected latents and width of 1 or more, depth of 0 or more",
                f"got latents={latents}, width={width}, depth={depth}",
                "16, 128 and 2 are usual",
            )
        self.latents = latents
        self.net_name = adversary_net(space, net)
        grey = space.is_image and space.kind == "levels"
        self.reads = Relaxed(
            space, ("soft" if grey else "straight") if outputs == "auto" else outputs, temperature
        )
        inside, size = latents + self.context_size, self.reads.size
        self.net: nn.Module
        if self.net_name == "mlp":
            self.net = DenseGenerator(inside, width, depth, space.shape, size)
        else:
            self.net = ImageGenerator(inside, channels, space.shape, size, self.net_name == "residual")

    def draw(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Features (n, *shape, size) of n rows, with a gradient to the weights."""
        device = self.reads.top.device
        z = share.randn(n, self.latents, generator=generator, device=device).to(self.reads.top.dtype)
        given = self.features_of(c, n)
        return self.reads(self.net(z if given is None else torch.cat([z, given], 1)), generator)

    def notes(self, x: Tensor, c: Tensor | None = None) -> list[Note]:
        """How much of the data the samples reach, measured as coverage, beside what other rows of the data reach."""
        half = len(x) // 2
        if half <= NEIGHBOURS:
            return []
        source = torch.Generator().manual_seed(0)
        fake = self.sample(half, None if c is None else c[half : 2 * half], source)
        real, other, fake = (
            self.features(side).flatten(1).double() for side in (x[:half], x[half : 2 * half], fake)
        )
        radius = kth_distance(real, NEIGHBOURS)
        # "at most", not "less": equal rows of a table have no radius
        reached, by_data = (
            float((nearest(real, side)[0] <= radius).double().mean()) for side in (fake, other)
        )
        text = f"samples reach {reached:.0%} of the neighbourhoods of training rows, other training rows {by_data:.0%}"
        if reached < COLLAPSED * by_data:
            return [
                Note(
                    "collapse",
                    f"{text}: the samples leave out much of the data; train longer, or with r1 and r2",
                    True,
                )
            ]
        return [Note("reach", text)]
