"""Glow: a multiscale flow for images of levels, with learned noise between the levels (Kingma & Dhariwal 2018)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from jensen.dequantising import LearnedNoise, from_normal, to_normal
from jensen.errors import SpaceError, UsageError, nearest
from jensen.flow import Flow
from jensen.functional import share
from jensen.functional.counts import check_draws
from jensen.model import Model
from jensen.nn.elementwise import affine_map, spline_map
from jensen.space import Space
from jensen.transforms.image.multiscale import Multiscale

AT_ONCE = 1 << 18
"""Sites that go through the networks together where draws are many: tens of megabytes a layer."""
COUPLINGS = ("affine", "spline")
NOISES = ("variational", "uniform")


class Glow(Model):
    """A multiscale normalizing flow for images: a lower bound on their mass, and samples, both in one pass.

    Levels x become y = (x + u) / levels with noise u in (0, 1), and y becomes normal quantiles, whose density is a flow
    on several scales (`density`, a model of real images by itself). Of the noise's law q comes the bound

        log P(x | c) >= E log (1/k) sum_j p(x + u_j | c) / q(u_j | x, c),

    with q a small conditional flow trained along (`dequantise="variational"`) or uniform (`"uniform"`). As built the
    model is the uniform guess. Samples are drawn from the density and rounded down to levels, those beyond the ends
    onto the ends: the law that the bound bounds.

    `scales`: squeezes of 2x2 pixels, fewer where the sides allow fewer; None: three for 8x8 and 32x32, two for 28x28, four
    for 64x64. `transforms`: couplings on each; `width`: channels of the networks' hidden layers. `coupling`: "affine", or
    "spline" with `bins`. `noise_couplings`: of the variational noise. Raises SpaceError for one channel with odd sides.

    Sources: Kingma & Dhariwal 2018, Glow; Dinh, Sohl-Dickstein & Bengio 2017, RealNVP, section 3; Ho, Chen, Srinivas,
    Duan & Abbeel 2019, Flow++, section 3.1.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"levels", "binary"})
    takes_context: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        scales: int | None = None,
        transforms: int = 4,
        width: int = 64,
        *,
        coupling: str = "affine",
        bins: int = 8,
        dequantise: str = "variational",
        noise_couplings: int = 4,
        context: Space | None = None,
    ) -> None:
        super().__init__(space, context)
        if not space.is_image:
            raise SpaceError(
                "Glow models images (channels, height, width)", f"got {space.describe()}", "use spline-flow"
            )
        for name, given, known in (("coupling", coupling, COUPLINGS), ("dequantise", dequantise, NOISES)):
            if given not in known:
                raise UsageError(f"unknown {name}", f"got {given!r}", nearest(given, known))
        colours, high, wide = space.shape
        shape = (colours, high, wide)
        if scales is None:
            scales = max(3, round(math.log2(min(high, wide))) - 2)
        _check_counts(scales=scales, transforms=transforms, width=width, noise_couplings=noise_couplings)
        self.bounded_by = f"{dequantise} dequantisation"
        self.levels = space.max_levels or 2
        self.density = Flow(Space.real(shape), context)
        size = self.density.context_size
        each = affine_map() if coupling == "affine" else spline_map(bins)
        self.density.flow_through([Multiscale(shape, scales, transforms, width, each, size)])
        learned = dequantise == "variational"
        self.noise = LearnedNoise(shape, self.levels, noise_couplings, width, size) if learned else None

    def log_prob_lower(
        self, x: Tensor, c: Tensor | None = None, k: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """log (1/k) sum of k draws of p(x + u) / q(u | x) (n,), nats; the noise is independent from row to row."""
        return self.noise_weights(x, c, k, generator).logsumexp(0) - math.log(k)

    def noise_weights(
        self, x: Tensor, c: Tensor | None = None, k: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """log p(x + u | c) / q(u | x, c) for k independent draws of u a row, (k, n)."""
        check_draws(k)
        n, weight = len(x), next(self.parameters())
        features = self.density.features_of(c, n)
        if self.density.given is not None:
            c = self.density.given.shaped(c, n)
        seen = None if self.noise is None else self.noise.seen(x, weight.dtype, features)
        most = max(AT_ONCE // x.numel(), 1)
        return torch.cat(
            [self._weigh(x, c, seen, min(most, k - done), generator) for done in range(0, k, most)]
        )

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape) of levels."""
        y = from_normal(self.density.sample(n, c, generator))
        return (y * self.levels).floor().long().clamp(0, self.levels - 1)

    def _weigh(
        self, x: Tensor, c: Tensor | None, seen: Tensor | None, k: int, generator: torch.Generator | None
    ) -> Tensor:
        """k draws that go through the networks together, (k, n)."""
        n, weight = len(x), next(self.parameters())
        drawn = share.rand(
            k, n, *x.shape[1:], rows=1, generator=generator, dtype=weight.dtype, device=weight.device
        )
        u, log_q = drawn.flatten(0, 1), weight.new_zeros(())
        if self.noise is not None and seen is not None:
            u, log_q = self.noise(u, seen.repeat(k, 1, 1, 1))
        z, log_det = to_normal((x.repeat(k, 1, 1, 1) + u) / self.levels)
        log_det = log_det - self.space.dims * math.log(self.levels)
        log_p = self.density.log_prob(z, None if c is None else c.repeat(k, 1))
        return (log_p + log_det - log_q).view(k, n)


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UsageError(
                f"Glow has 1 or more {name}", f"got {name}={count}", "leave it out for the usual size"
            )
