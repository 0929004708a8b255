"""The integral of a density by importance sampling from a wide law around known rows, with what to doubt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from jensen.checks.subject import in_chunks
from jensen.checks.verdict import Verdict
from jensen.functional.importance import Tail, effective_share, pareto_k

CENTRES = 512
"""Rows that the narrow part of the proposal sits on."""
ERRORS = 4.0
"""Standard errors to each side: a right density lies outside once in 16,000."""


class Weighed(NamedTuple):
    """`total` within `error` (four standard errors); effective share of the draws, and the tail of their weights."""

    total: float
    error: float
    share: float
    tail: Tail

    @property
    def text(self) -> str:
        """The figures in words."""
        k = "not known" if self.tail.k is None else f"{self.tail.k:.2f}"
        return (
            f"{self.total:.4f} within {self.error:.2g} (four standard errors) by importance sampling, "
            f"{self.tail.values} draws, effective share {self.share:.2g}, k-hat {k}"
        )

    @property
    def sound(self) -> bool:
        """Whether the weights allow an interval at all."""
        return self.tail.reliable and self.share * self.tail.values > 400


def decided(
    name: str, text: str, found: Weighed, close: float, back: Callable[[], Weighed] | None
) -> Verdict:
    """Whether a total that draws gave is one. `close`: half the width of the widest interval around one that says "one".

    A total below one may leave out what lies elsewhere. `back`, where it is to be had, weighs samples of the density's own:
    E_p[law / p] is one over the total, whatever the law misses.
    """
    details = {"total": found.total, "allowed": found.error, "k_hat": found.tail.k}
    if not found.sound:
        return Verdict(name, None, f"{text}: not precise enough to decide", details)
    off = found.total - 1
    if abs(off) <= found.error:
        return Verdict(name, True if found.error <= close else None, text, details)
    if off < 0:
        own = None if back is None else back()
        if own is not None:
            text += f"; from samples of its own, one over {own.total:.4f} within {own.error:.2g}"
        if own is None or not own.sound or not own.total - own.error > 1:
            return Verdict(name, None, f"{text}: a part of it may lie elsewhere", details)
    return Verdict(name, False, text, details)


class Around:
    """A law around rows (n, d): half of it normal kernels on some of them, a quarter their normal law widened by half,
    a quarter a Student law of 3 degrees of freedom: no tail that is lighter than that is out of reach."""

    def __init__(self, rows: Tensor) -> None:
        rows = rows.double().cpu()
        n, d = rows.shape
        self.d, self.mean = d, rows.mean(0)
        away = rows - self.mean
        covariance = away.T @ away / max(n - 1, 1)
        ridge = 1e-6 * covariance.diagonal().mean().clamp(min=1e-12)
        self.root = torch.linalg.cholesky(covariance + ridge * torch.eye(d, dtype=torch.float64))
        self.centres = rows[:CENTRES]
        # Silverman's rule, which is too wide for what is no normal law, and so never too narrow
        self.width = (4 / (d + 2) / len(self.centres)) ** (1 / (d + 4))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n points (n, d)."""
        kind = torch.randint(4, (n, 1), generator=generator)
        u = torch.randn(n, self.d, generator=generator, dtype=torch.float64)
        chi = torch.randn(n, 3, generator=generator, dtype=torch.float64).square().mean(1, keepdim=True)
        which = torch.randint(len(self.centres), (n,), generator=generator)
        scale = torch.where(kind < 2, self.width, torch.where(kind == 2, 1.5, 1 / chi.sqrt()))
        centre = torch.where(kind < 2, self.centres[which], self.mean)
        return centre + (scale * u) @ self.root.T

    def log_prob(self, x: Tensor) -> Tensor:
        """log density (n,), nats."""
        return torch.cat([self._log_prob(part) for part in x.double().cpu().split(2048)])

    def _log_prob(self, x: Tensor) -> Tensor:
        d, log_volume = self.d, self.root.diagonal().log().sum()
        whiten = lambda rows: torch.linalg.solve_triangular(self.root, rows.T, upper=False).T  # noqa: E731
        u, at = whiten(x - self.mean), whiten(self.centres - self.mean)
        normal = -d * math.log(2 * math.pi) / 2 - log_volume
        kernels = -0.5 * torch.cdist(u, at).square() / self.width**2 - d * math.log(self.width)
        square = u.square().sum(1)
        student = (
            math.lgamma((3 + d) / 2) - math.lgamma(1.5) - d * math.log(3 * math.pi) / 2 - log_volume
        ) - (3 + d) / 2 * torch.log1p(square / 3)
        parts = [
            math.log(0.5) + normal + kernels.logsumexp(1) - math.log(len(at)),
            math.log(0.25) + normal - square / 2 / 1.5**2 - d * math.log(1.5),
            math.log(0.25) + student,
        ]
        return torch.stack(parts).logsumexp(0)


def integral(log_prob: Callable[[Tensor], Tensor], law: Around, n: int, seed: int) -> Weighed:
    """The integral of exp(log_prob) over R^d, `log_prob` of float64 points (n, d), from n draws of the law."""
    x = law.draw(n, torch.Generator().manual_seed(seed))
    return weighed(in_chunks(log_prob, x) - law.log_prob(x))


def weighed(log_w: Tensor) -> Weighed:
    """The mean of the weights exp(log_w), (n,), and how far it can be trusted."""
    weights = log_w.exp()
    error = ERRORS * float(weights.std()) / math.sqrt(len(weights))
    return Weighed(float(weights.mean()), error, effective_share(log_w), pareto_k(log_w))
