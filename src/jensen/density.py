"""A density that a model is fitted to instead of rows: the user's log density, checked, seen in the model's own numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.arguments import is_whole, said, whole
from jensen.codec import Chain, Codec, Standardise
from jensen.data.targets import TARGETS, Target, target
from jensen.errors import DataError, SpaceError, UsageError
from jensen.space import Space
from jensen.support import Support

LogDensity = Callable[[Tensor], Tensor]
Ends = float | Sequence[float]

STARTS = 512
"""Points at which a density is looked at before it is fitted."""

OUTSIDE = 0.1
"""A larger share of the starting points without density says that the support must be given."""


@dataclass(frozen=True)
class Density:
    """p(x) = exp(log_density(x)) / Z on the support of `codec.space`, Z unknown; a model sees z = codec.encode(x).

    `log_density`: tensors (n, dim) of `dtype` -> (n,), nats, differentiable. `exact`: draws of p, (n, generator) -> (n,
    dim), where there is a sampler; `truth`: log Z where it is known. `target`: its name among the targets where it was posed by
    that, and so at its default settings.
    """

    name: str
    log_density: LogDensity
    codec: Codec
    dtype: torch.dtype
    exact: Callable[[int, torch.Generator], Tensor] | None = None
    truth: float | None = None
    target: str = ""

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return self.codec.space.dims

    def __call__(self, z: Tensor) -> Tensor:
        """log p~ in the model's numbers z (n, dim): log density at x plus log|det dx/dz|, (n,) float64, with gradients.

        -inf where the density is zero. Raises DataError for nan and +inf.
        """
        x = self.codec.decode(z.double())
        _, log_det = self.codec.encode(x)
        return self.at(x) - log_det.double()

    def at(self, x: Tensor) -> Tensor:
        """log density (n,), float64, at points x (n, dim) in the user's numbers. Raises DataError for nan and +inf."""
        values = self.log_density(x.to(self.dtype))
        if not isinstance(values, Tensor) or values.shape != (len(x),):
            raise DataError(
                f"a log density gives one number a point, shape ({len(x)},)",
                f"got {tuple(values.shape) if isinstance(values, Tensor) else said(values)} for points {tuple(x.shape)}",
                "sum over the coordinates; x has one point a row",
            )
        bad = values.detach().isnan() | (values.detach() == torch.inf)
        if bool(bad.any()):
            place = int(bad.nonzero()[0])
            point = ", ".join(f"{v:.6g}" for v in x[place].detach().tolist()[:6])
            raise DataError(
                "a log density is a finite number, or -inf where there is no density",
                f"got {values[place].item()} at x = [{point}{', ...' if self.dim > 6 else ''}]",
                "repair it there, or give the support on which it is defined",
            )
        return values.double()


def pose(
    what: str | Target | LogDensity,
    dim: int | None = None,
    *,
    support: tuple[Ends, Ends] | None = None,
    location: Ends = 0.0,
    scale: Ends | None = None,
    seed: int = 0,
) -> Density:
    """The density of a name in `jensen.data.targets`, a Target, or a callable log density of `dim` coordinates.

    `support`: (low, high), numbers or one a coordinate, where the density is positive; a model then fits numbers that
    run over all of R; a Target may bring its own. `location`, `scale`: where to start, in those numbers; None: of the
    centred Gaussians with one scale, the one nearest to the density in reverse KL. Raises UsageError for a missing dimension, DataError for a log
    density of the wrong shape, not finite, or without gradient, SpaceError for a support that does not hold it.
    """
    by_name = what if isinstance(what, str) else ""
    if isinstance(what, str):
        what = target(what, **({} if dim is None or what not in _SIZED else {"dim": dim}))
    known = what if isinstance(what, Target) else None
    if known is not None and dim is not None and dim != known.dim:
        raise UsageError(f"{known.name} has {known.dim} coordinates", f"got dim={dim}", "leave dim out")
    if not callable(what):
        raise UsageError(
            "expected a log density to call, or the name of a target",
            f"got {type(what).__name__}",
            f"known: {', '.join(TARGETS)}",
        )
    dim = known.dim if known is not None else dim
    if not is_whole(dim, 1, MOST_SITES):
        raise UsageError("a density has 1 or more coordinates", f"got dim={said(dim)}", "pass dim=2, say")
    seed = whole("seed", seed, 0)
    if support is not None and not (isinstance(support, (tuple, list)) and len(support) == 2):
        raise UsageError("a support is (low, high)", f"got {said(support)}", "pass (0.0, 1.0), say")
    space = Space.real(int(dim))
    support = known.ends if support is None and known is not None else support
    inner = None if support is None else Support(space, *(_ends(end, space.dims) for end in support))
    name = known.name if known is not None else getattr(what, "__name__", "density")
    try:
        raw = Density(name, what, inner or _identity(space), _dtype(what, inner, space.dims))
        centre = _ends(location, space.dims)
        spread = _best_scale(raw, centre, seed) if scale is None else _ends(scale, space.dims)
    except (DataError, SpaceError, UsageError):
        raise
    except Exception as error:
        raise DataError(
            "the log density broke",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
            f"it is called with a tensor (n, {dim}), float64 or float32, and gives (n,)",
        ) from error
    whiten = Standardise(space, centre, spread)
    codec: Codec = whiten if inner is None else Chain([inner, whiten])
    exact = None if known is None else known.sample
    found = Density(name, what, codec, raw.dtype, exact, None if known is None else known.log_z, by_name)
    _check_start(found, seed)
    return found


MOST_SITES = 1 << 24
"""Coordinates of the largest density that is asked for anything."""

_SIZED = ("funnel", "banana", "mixture", "many-well", "rings")
"""Targets that take `dim`."""


def _ends(value: Ends, dim: int) -> Tensor:
    """One number for all coordinates, or one each: (dim,), float64."""
    try:
        ends = torch.as_tensor(value, dtype=torch.float64).flatten()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise UsageError(
            f"expected one number, or one for each of {dim} coordinates", f"got {said(value)}", "pass either"
        ) from None
    if len(ends) not in (1, dim):
        raise UsageError(
            f"expected one number, or one for each of {dim} coordinates", f"got {len(ends)}", "pass either"
        )
    return ends.expand(dim).clone()


def _identity(space: Space) -> Codec:
    one = torch.ones(space.dims, dtype=torch.float64)
    return Standardise(space, 0 * one, one)


def _dtype(log_density: LogDensity, inner: Codec | None, dim: int) -> torch.dtype:
    """float64, unless the density holds float32 tensors that do not multiply with it."""
    point = torch.zeros(2, dim, dtype=torch.float64)
    point = point if inner is None else inner.decode(point)
    try:
        log_density(point)
    except RuntimeError as error:
        if "dtype" not in str(error) and "scalar type" not in str(error):
            raise
        return torch.float32
    return torch.float64


def _best_scale(density: Density, location: Tensor, seed: int) -> Tensor:
    """s of 2^-10 .. 2^13 with the largest E log p~ + dim log s under N(location, s^2), one for each coordinate (dim,).

    A centre that stays where it is cannot fall into one of several modes, as a fitted one would.
    """
    noise = _noise(STARTS, density.dim, seed)
    best, found = -torch.inf, 1.0
    with torch.no_grad():
        for power in range(-10, 14):
            s = 2.0**power
            mean = (
                float(density(location + s * noise).clamp(min=-1e30).mean())
                + density.dim * power * 0.6931471805599453
            )
            if mean > best:
                best, found = mean, s
    return torch.full_like(location, found)


def _check_start(density: Density, seed: int) -> None:
    """Raise what a first look at standard normal points finds."""
    z = _noise(STARTS, density.dim, seed).requires_grad_()
    values = density(z)
    nowhere = float((values == -torch.inf).double().mean())
    if nowhere > OUTSIDE:
        raise SpaceError(
            "the support of the density is smaller than that of the model, all of R",
            f"{nowhere:.0%} of {STARTS} starting points have log density -inf",
            "give its ends with support=(low, high), or another location and scale",
        )
    if not values.requires_grad:
        raise DataError(
            "a log density must be differentiable",
            "got values without a gradient",
            "compute it from x with torch operations, without detach, item or numpy",
        )
    (slope,) = torch.autograd.grad(values[values > -torch.inf].sum(), z)
    if not bool(slope.isfinite().all()):
        place = int((~slope.isfinite()).any(1).nonzero()[0])
        raise DataError(
            "the gradient of a log density is finite",
            f"got {slope[place].tolist()[:6]} near x = {density.codec.decode(z.detach())[place].tolist()[:6]}",
            "keep nan out of both branches of torch.where: clamp first",
        )


def _noise(n: int, dim: int, seed: int) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
