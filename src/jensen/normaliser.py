"""What a model fitted to a density tells of log Z, and a search for the mass that it misses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.arguments import one_of, whole
from jensen.density import Density, pose
from jensen.errors import Cannot, SpaceError, UsageError
from jensen.fitted import Fitted
from jensen.functional.evidence import Bounds, Evidence, evidence
from jensen.functional.explore import annealed_chains, local_t
from jensen.model import Can
from jensen.quantity import Kind, Quantity
from jensen.scoring import place

LABEL = "estimate; low if the model misses mass"
CHAINS = 128
PLACES = 24
FREEDOM = 5.0
WIDE = 3.0
BATCH = 2048
MATTERS = 0.005


@dataclass(frozen=True)
class Missed:
    """What a search from scattered starts found where the model is thin.

    `found`: of `chains` chains, those that ended where the target is over n times as dense as the model, so that n samples
    cannot be expected to see it. `share`: of the mass, about how much lies in such places; 0 where none was found.
    """

    chains: int
    found: int
    share: float

    @property
    def matters(self) -> bool:
        """Whether the share moves log Z by more than 0.005 nats."""
        return self.share > MATTERS


@dataclass(frozen=True)
class LogZ:
    """log Z of a density by importance sampling from a fitted model.

    `value`: the estimate, low in expectation, and low by as much as is missed; where the search found places that the model
    leaves out, from the model and proposals there. `alone`: from the model alone. `bounds`: of `functional.evidence`, from
    the model alone, with effective share and k-hat; those from above need exact samples of the density. `missed`: the
    search. `outside`: the share of samples without density. `truth`: log Z where it is known.
    """

    value: Quantity
    alone: Quantity
    bounds: Evidence
    missed: Missed
    outside: float
    truth: float | None = None

    @property
    def doubts(self) -> list[str]:
        """What speaks against the model or the estimate, in sentences; empty where nothing was found."""
        below, missed, found = self.bounds.below, self.missed, []
        if missed.matters:
            found.append(
                f"the model misses about {missed.share:.2g} of the mass: {missed.found} of {missed.chains} searching chains "
                "ended where it has next to none"
            )
        if not below.tail.reliable:
            k = "not known" if below.tail.k is None else f"{below.tail.k:.2f}"
            found.append(
                f"k-hat of the model's weights is {k}, over {below.tail.threshold:.2f}: few samples carry the sum"
            )
        above = self.bounds.above
        if above is not None and above.mean.value - self.value.value > 1.0:
            found.append(
                f"at exact samples the mean log weight is {above.mean.value:.3f}: KL(p || q) is about "
                f"{above.mean.value - self.value.value:.2f} nats"
            )
        if self.outside:
            found.append(
                f"{self.outside:.2%} of the samples lie where the density is zero: KL(q || p) is infinite"
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        missed = self.missed
        return {
            "value": self.value.to_dict(),
            "alone": self.alone.to_dict(),
            "label": LABEL,
            "below": _bounds(self.bounds.below),
            "above": None if self.bounds.above is None else _bounds(self.bounds.above),
            "missed": {
                "chains": missed.chains,
                "found": missed.found,
                "share": missed.share,
                "matters": missed.matters,
            },
            "outside": self.outside,
            "truth": self.truth,
            "doubts": self.doubts,
        }


def log_z(
    fitted: Fitted,
    target: Any,
    *,
    n: int = 20_000,
    exact: Tensor | None = None,
    search: bool = True,
    seed: int = 0,
) -> LogZ:
    """log Z of `target` from n weighted samples of a model fitted to it.

    `target`: as in `jensen.fit`, or what `jensen.pose` made. `exact`: samples (m, dim) of the density by other means,
    which give bounds from above; a Target with a sampler gives its own. `search`: walk chains from scattered starts and
    say whether they found mass where the model has none. No interval covers what neither samples nor chains met.

    Raises Cannot for a model without log_prob and samples, SpaceError for one of another dimension.
    """
    needs = Can.SAMPLE | Can.LOG_PROB
    if needs & ~fitted.can:
        raise Cannot("log Z needs samples and their log_prob", f"{fitted.name} lacks one", "fit a flow")
    n, seed = whole("n", n, 1, do="20000 is usual"), whole("seed", seed, 0)
    one_of("exact", exact, (Tensor, type(None)), "a tensor (n, dim) of exact draws", "leave it out")
    if n < 100 or int(n) != n:
        raise UsageError("log Z needs 100 samples or more", f"got n={n}", "20000 is usual")
    density = target if isinstance(target, Density) else pose(target, fitted.space.dims)
    if density.dim != fitted.space.dims:
        raise SpaceError(
            f"the model has {fitted.space.dims} coordinates",
            f"the density has {density.dim}",
            "fit it to this density",
        )
    if exact is not None and (exact.ndim != 2 or exact.shape[1] != density.dim or exact.is_meta):
        raise UsageError("exact draws are rows (n, dim)", f"got shape {tuple(exact.shape)}", "a draw a row")
    q, p = _Proposal(fitted), density_in(fitted, density)
    source = torch.Generator().manual_seed(seed)
    z = q.draw(n, source)
    log_p, log_q = p(z), q(z)
    log_w = log_p - log_q
    found = evidence(log_w, _at_exact(fitted, density, q, p, exact, n, source))
    alone = _estimate(found, seed, "the model")
    if search:
        missed, joined = _search(q, p, (z, log_p, log_q), alone.value, source)
    else:
        missed, joined = Missed(0, 0, 0.0), None
    value = (
        alone if joined is None else _estimate(joined, seed, "the model, and Student laws where chains ended")
    )
    return LogZ(value, alone, found, missed, float((log_w == -math.inf).double().mean()), density.truth)


def _estimate(found: Evidence, seed: int, proposals: str) -> Quantity:
    tight = found.below.tight
    how = {**tight.how, "seed": seed, "samples": proposals, "note": LABEL}
    return Quantity(tight.value, Kind.ESTIMATE, "nats", interval=tight.interval, level=tight.level, how=how)


def density_in(fitted: Fitted, density: Density) -> Callable[[Tensor], Tensor]:
    """The target in the numbers of the fitted model, float64: log p~ at x plus log|det dx/dz| of its codec."""
    seen = Density(density.name, density.log_density, fitted.codec, density.dtype)
    return lambda z: torch.cat([seen(part) for part in z.split(BATCH)])


class _Proposal:
    """The fitted model as a law to draw from, in its own numbers, with log_prob in float64."""

    def __init__(self, fitted: Fitted) -> None:
        self.model = fitted.model.eval()
        self.device, self.type = place(fitted.model)

    @torch.no_grad()
    def draw(self, n: int, source: torch.Generator) -> Tensor:
        parts = [self.model.sample(min(BATCH, n - i), generator=source) for i in range(0, n, BATCH)]
        return torch.cat(parts).flatten(1).double().cpu()

    @torch.no_grad()
    def __call__(self, z: Tensor) -> Tensor:
        parts = [
            self.model.log_prob(part.to(self.device, self.type)).double().cpu() for part in z.split(BATCH)
        ]
        return torch.cat(parts)


def _at_exact(
    fitted: Fitted,
    density: Density,
    q: _Proposal,
    p: Callable[[Tensor], Tensor],
    exact: Tensor | None,
    n: int,
    source: torch.Generator,
) -> Tensor | None:
    """Log weights at exact samples of the density, None without them."""
    if exact is None:
        if density.exact is None:
            return None
        exact = density.exact(n, source)
    z, _ = fitted.codec.encode(torch.as_tensor(exact).double())
    return p(z) - q(z)


@torch.no_grad()
def _search(
    q: _Proposal,
    p: Callable[[Tensor], Tensor],
    samples: tuple[Tensor, Tensor, Tensor],
    log_z: float,
    source: torch.Generator,
) -> tuple[Missed, Evidence | None]:
    """Chains from scattered starts; where they end beyond the model's reach, Student laws join it as proposals.

    Half the starts are wide of the base, half wide of the samples. A place is beyond reach where w > n Z: n samples put
    fewer than one there, whatever its share of the mass. With half of the samples from Student laws at those places, the
    mean of p~ over the mixture of both is unbiased for Z again, and says how much of it lies beyond reach. `samples`: of
    the model, with log p~ and log q there.
    """
    z, at_p, at_q = samples
    n, d = z.shape
    half = CHAINS // 2
    wide = WIDE * torch.randn(half, d, generator=source, dtype=torch.float64)
    mean, spread = z.mean(0), z.std(0).clamp(min=1e-3)
    around = mean + WIDE * spread * torch.randn(CHAINS - half, d, generator=source, dtype=torch.float64)
    with torch.enable_grad():
        ends = annealed_chains(p, torch.cat([wide, around]), source)
    reach = log_z + math.log(n)
    heights = p(ends)
    far = heights - q(ends) > reach
    chosen = ends[far]
    if not len(chosen):
        return Missed(CHAINS, 0, 0.0), None
    places = chosen[heights[far].argsort(descending=True)][:PLACES]
    with torch.enable_grad():
        scale, log_det = local_t(p, places)
    pick = torch.randint(len(places), (n,), generator=source)
    gauss = torch.randn(n, d, generator=source, dtype=torch.float64)
    chi = 2 * torch._standard_gamma(torch.full((n,), FREEDOM / 2, dtype=torch.float64), generator=source)
    drawn = places[pick] + (scale[pick] @ (gauss / (chi / FREEDOM).sqrt()[:, None])[:, :, None])[:, :, 0]
    points = torch.cat([z, drawn])
    log_p, log_q = torch.cat([at_p, p(drawn)]), torch.cat([at_q, q(drawn)])
    log_w = log_p - torch.logaddexp(log_q, _log_students(points, places, scale, log_det)) + math.log(2)
    beyond = log_p - log_q > reach
    share = float((log_w[beyond].logsumexp(0) - log_w.logsumexp(0)).exp()) if bool(beyond.any()) else 0.0
    return Missed(CHAINS, len(chosen), share), evidence(log_w)


def _log_students(x: Tensor, places: Tensor, scale: Tensor, log_det: Tensor) -> Tensor:
    """log of the mean of Student densities (n,) at x (n, d), with centres (j, d) and scale factors (j, d, d)."""
    d = x.shape[1]
    constant = math.lgamma((FREEDOM + d) / 2) - math.lgamma(FREEDOM / 2) - d / 2 * math.log(FREEDOM * math.pi)
    parts = []
    for centre, factor, log_size in zip(places, scale, log_det):
        u = torch.linalg.solve(factor, (x - centre).T)
        parts.append(constant - log_size - (FREEDOM + d) / 2 * torch.log1p(u.square().sum(0) / FREEDOM))
    return torch.stack(parts).logsumexp(0) - math.log(len(places))


def _bounds(bounds: Bounds) -> dict[str, Any]:
    return {
        "mean": bounds.mean.to_dict(),
        "tight": bounds.tight.to_dict(),
        "surely": bounds.surely,
        "ess": bounds.share,
        "k_hat": bounds.tail.k,
        "k_threshold": bounds.tail.threshold,
    }
