"""Bounds on log p(x) from importance weights: log_w (n, k) = log p(x, z_j) / q(z_j | x), z_j drawn from q, nats.

exp(log_w) has mean p(x), so that by Jensen's inequality the log of an average of them lies below log p(x) in expectation,
the closer the more are averaged (Burda, Grosse & Salakhutdinov 2016). Noise must be independent from row to row for
`certified`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.arguments import number
from jensen.errors import UsageError
from jensen.functional.counts import check_draws
from jensen.functional.given import reals
from jensen.functional.importance import log_mean_exp
from jensen.functional.intervals import certificate_margin

STEP = 0.4
"""Between two nodes of `subsets`: the trapezoid rule is then wrong by about exp(-pi^2 / STEP) = 2e-11."""
LEFT, RIGHT = 18.0, 3.7
"""Where the integrand of `subsets` begins and ends, beyond the largest and the smallest weight: 2e-16 on both sides."""
FARTHEST = 2000.0
"""Nats below its row's largest that a weight counts for."""
NUMBERS = 2**21
"""Numbers in a table of `subsets` at once: 16 MiB."""


def elbo(log_w: Tensor) -> Tensor:
    """The evidence lower bound: the mean of log_w (n, k) -> (n,). Lower bound in expectation, for any k.

    >>> elbo(torch.tensor([[0.0, 2.0]])).tolist()
    [1.0]
    """
    return _checked(log_w).mean(-1)


def iwae(log_w: Tensor) -> Tensor:
    """L_k: log of the mean weight, log_w (n, k) -> (n,). Lower bound in expectation, tighter for larger k.

    >>> iwae(torch.tensor([[0.0, 0.0], [1000.0, -torch.inf]])).tolist()
    [0.0, 999.306...]
    """
    return log_mean_exp(_checked(log_w))


def blocks(log_w: Tensor, k: int) -> Tensor:
    """L_k as the mean over disjoint blocks of k of the K draws, log_w (n, K) -> (n,); k divides K.

    For k that divides k', blocks(log_w, k) <= blocks(log_w, k') on every row and every draw, up to rounding: a block of
    k' is a union of blocks of k, and the log is concave. Where one does not divide the other it can fail.

    >>> log_w = torch.tensor([[0.0, 2.0, 1.0, 5.0]])
    >>> [round(blocks(log_w, k).item(), 3) for k in (1, 2, 4)]
    [2.0, 2.879, 3.686]
    """
    draws = _checked(log_w).shape[-1]
    check_draws(k)
    if draws % k:
        raise UsageError(
            "blocks of k need a number of draws that k divides", f"got k={k} of {draws} draws", "use subsets"
        )
    return log_mean_exp(log_w.unflatten(-1, (draws // k, k))).mean(-1)


def subsets(log_w: Tensor, k: int) -> Tensor:
    """L_k as the mean over all subsets of k of the K draws, log_w (n, K) -> (n,), in float64; 1 <= k <= K.

    Its expectation is that of L_k exactly, and its variance the least that the draws allow. It never falls as k grows,
    whatever the draws: a subset of k + 1 has the mean weight of its k + 1 subsets of k on average, and the log is concave.
    And exp of it has mean at most p(x).

    1. log s - log m = integral over u of exp(-m e^u) - exp(-s e^u)  (Frullani), m the mean of all weights, s of a subset.
    2. exp(-s e^u) is a product over the subset of a_i = exp(-w_i e^u / k), so that its mean over all subsets of k is an
       elementary symmetric polynomial over (K choose k): sums of positive numbers, nothing cancels.
    3. The integrand is smooth and ends like a double exponential: the trapezoid rule is right to about 1e-10.
    Cost: K k numbers a node and row, about 60 nodes and 2.5 more for every nat between the largest and smallest weight.
    A weight more than 2,000 nats below its row's largest counts as one of 2,000: no bound is broken by that, as the mean
    weight of all draws, which none of these values exceeds, stays the same to 1 part in 10^868.

    >>> log_w = torch.tensor([[0.0, 2.0, 1.0]])
    >>> pairs = [log_mean_exp(log_w[0, [i, j]]).item() for i, j in ((0, 1), (0, 2), (1, 2))]
    >>> abs(subsets(log_w, 2).item() - sum(pairs) / 3) < 1e-6
    True
    """
    draws = _checked(log_w).shape[-1]
    check_draws(k)
    if k > draws:
        raise UsageError("a subset has 1 to K draws", f"got k={k} of {draws}", "draw more, or lower k")
    log_w = log_w.double()
    if k == 1 or k == draws:
        return elbo(log_w) if k == 1 else iwae(log_w)
    finite = (log_w > -math.inf).sum(-1) > draws - k  # otherwise a subset has no weight
    usable = torch.where(finite.unsqueeze(-1), log_w, 0.0)
    usable = usable.maximum(usable.detach().amax(-1, keepdim=True) - FARTHEST)
    smallest = log_mean_exp(usable.detach().sort(-1).values[..., :k])
    spread = float((usable.detach().amax(-1) - smallest).max()) if len(log_w) else 0.0
    nodes = torch.arange(-LEFT, RIGHT + spread + math.log(k), STEP, dtype=torch.float64, device=log_w.device)
    at_once = max(1, NUMBERS // (len(nodes) * k))
    parts = [_mean_over_subsets(part, k, nodes) for part in usable.split(at_once)]
    return torch.where(finite, torch.cat(parts) if parts else log_w.sum(-1), -math.inf)


def _mean_over_subsets(log_w: Tensor, k: int, nodes: Tensor) -> Tensor:
    """(n, K) -> (n,)."""
    top, draws = log_w.detach().amax(-1, keepdim=True), log_w.shape[-1]
    # (K, n, nodes): a draw after the other
    # beyond exp(700) a factor is 0 in any case; the sum of logarithms, as 0 times infinity is nan
    scaled = ((log_w - top).T.unsqueeze(-1) + nodes).clamp(max=700).exp()
    factors = (-scaled / k).exp()
    # e_j of m draws over (K choose j), which takes in one more draw by e_j + a e_(j-1)
    ratio = torch.tensor([j / (draws - j + 1) for j in range(k + 1)], dtype=nodes.dtype, device=nodes.device)
    means = torch.zeros(k + 1, *factors.shape[1:], dtype=nodes.dtype, device=nodes.device)
    means[0] = 1
    for m, factor in enumerate(factors, 1):
        # below the first, the draws that are left do not reach k
        first, last = max(1, k - draws + m), min(m, k)
        below = ratio[first : last + 1, None, None] * means[first - 1 : last]
        means[first : last + 1].addcmul_(below, factor)
    integral = STEP * (means[-1] - (-scaled.mean(0)).exp()).sum(-1)
    return log_mean_exp(log_w) - integral


def renyi(log_w: Tensor, alpha: float) -> Tensor:
    """The variational Renyi bound log mean(w^(1 - alpha)) / (1 - alpha), log_w (n, k) -> (n,) (Li & Turner 2016).

    alpha 1: the ELBO; 0: L_k, and above 0 less on every draw: a power mean lies below the arithmetic one. So it is a lower
    bound in expectation for every alpha of 0 or more; below 0 it is none, and is refused.

    >>> log_w = torch.tensor([[0.0, 2.0]])
    >>> renyi(log_w, 0.0) == iwae(log_w), renyi(log_w, 1.0) == elbo(log_w)
    (tensor([True]), tensor([True]))
    """
    alpha = number("alpha of a Renyi bound", alpha, 0, do="0 is L_k, 1 the ELBO, 0.5 between them")
    if alpha == 1:
        return elbo(log_w)
    return log_mean_exp((1 - alpha) * _checked(log_w)) / (1 - alpha)


def jackknife(log_w: Tensor) -> Tensor:
    """JVI-1: K L_K - (K - 1) mean_i L_{K-1} without draw i, log_w (n, K) -> (n,) (Nowozin 2018). An estimate, no bound.

    It takes away the 1/K term of the bias of L_K, and can lie far above log p(x) where few draws carry the weight.

    >>> jackknife(torch.zeros(1, 3)).tolist()
    [0.0]
    """
    draws = _checked(log_w).shape[-1]
    if draws < 2:
        raise UsageError("a jackknife leaves one draw out", f"got {draws} draw", "pass two or more")
    before, after = log_w.logcumsumexp(-1), log_w.flip(-1).logcumsumexp(-1).flip(-1)
    nothing = torch.full_like(log_w[..., :1], -math.inf)
    without = torch.logaddexp(
        torch.cat([nothing, before[..., :-1]], -1), torch.cat([after[..., 1:], nothing], -1)
    )
    return draws * iwae(log_w) - (draws - 1) * (without - math.log(draws - 1)).mean(-1)


def upper(log_w_exact: Tensor, log_w: Tensor) -> Tensor:
    """U_k: log of the mean of one weight at an exact posterior draw (n,) and k - 1 at draws of q, (n, k - 1) -> (n,).

    An upper bound on log p(x) in expectation: E[1 / mean weight] = 1 / p(x). Exact posterior draws are to be had for rows
    that the model itself made (their z) and for no others.
    """
    return log_mean_exp(torch.cat([log_w_exact.unsqueeze(-1), log_w], -1))


def certified(bounds: Tensor, alpha: float = 0.05) -> Tensor:
    """A number () that the mean of log p over these rows exceeds with probability 1 - alpha, from their bounds (n,).

    mean - log(1 / alpha) / n. exp of each bound has mean at most p(x) and its noise is its own, so the product of
    exp(bound) / p(x) has mean at most one, and Markov's inequality does the rest: no normal law, no variance. It speaks
    of these rows and of Monte-Carlo noise alone. k, q and the seed are fixed beforehand: no best of several.

    >>> round(certified(torch.full((200,), -90.0)).item(), 4)
    -90.015
    """
    return reals("bounds", bounds).mean() - certificate_margin(len(bounds), alpha)


def certified_upper(bounds: Tensor, alpha: float = 0.05) -> Tensor:
    """The mirror of `certified` for upper bounds (n,) whose exp(-bound) has mean at most 1 / p(x)."""
    return reals("bounds", bounds).mean() + certificate_margin(len(bounds), alpha)


def _checked(log_w: Tensor) -> Tensor:
    if reals("log_w", log_w).ndim < 1 or log_w.shape[-1] < 1:
        raise UsageError(
            "expected log weights (n, k), a column a draw",
            f"got {tuple(log_w.shape)}",
            "draw at least one z a row",
        )
    return log_w
