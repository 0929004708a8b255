"""The arithmetic of the fast spline and of its gradient, over flat tensors: no autograd, as few passes as we found.

Everything is (rows, n) with n elements side by side, so that softmax, cumulative sums and comparisons over the K bins
are plain vector operations over whole rows. Per element of n and K = 8: 16 exponentials and about 100 values read or
written for the logits, then some 30 operations on the one bin that was found, 50 in the backward pass.
Comparisons are made in place, which leaves 0.0 and 1.0 in the same type: masks in `bool` cost ten times as much on CPU.
Selecting with `where` costs more than the arithmetic it selects from.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import hardshrink, softplus

from jensen.functional.spline_plain import STRAIGHT, unit_logit

SHORT = 2048
"""Rows of so many elements take longer to start K - 1 additions than to add: at 512 cumsum takes a quarter of the time."""


class Found(NamedTuple):
    """What the backward pass needs; (n,) unless said otherwise. Sizes are shares of the box [0, 1] x [0, 1]."""

    q: Tensor  # (2, K, n) softmax of the width and height logits
    after: Tensor  # (K - 1, n) 1 where the element's bin is j or later, j = 1..K-1
    place: Tensor  # (n,) where q[0] of the element's bin lies in q, flattened
    mass: Tensor  # (2, n) q of the bin
    before: Tensor  # (2, n) the sum of q over the bins before it
    size: Tensor  # (2, n) width and height of the bin
    slope: Tensor  # (2, n) at its ends
    logit: Tensor  # (2, n) what softplus took to make them
    t: Tensor  # how far into the bin, 0 to 1
    value: Tensor  # how far up the bin, 0 to 1
    below: Tensor  # the denominator of value
    bend: Tensor  # the numerator of the slope
    inside: Tensor  # 1 within the bound, else 0


def spline(
    x: Tensor, logits: Tensor, bound: float, minimum: float, inverse: bool
) -> tuple[Tensor, Tensor, Found]:
    """x (n,) and logits (3K-1, n), contiguous, to the image and the log slope there, each (n,).

    >>> y, log_slope, _ = spline(torch.tensor([0.5]), torch.zeros(5, 1), 1.0, 1e-3, False)
    >>> y, log_slope
    (tensor([0.5000]), tensor([0.]))
    """
    bins = (len(logits) + 1) // 3
    share = 1 - bins * minimum
    q = logits[: 2 * bins].view(2, bins, -1).softmax(1)
    ends = _cumulate(q)
    u = x.clamp(-bound, bound).mul_(0.5 / bound).add_(0.5)
    after, index = _find(u, ends[int(inverse)], minimum / share, share)
    place = torch.arange(len(x), device=x.device).add_(index.long(), alpha=len(x))

    both = _two(place, bins * len(x))
    mass = _take(q, both)
    before = _take(ends, both).sub_(mass)
    size = mass.mul(share).add_(minimum)
    left, bottom = before.mul(share).add_(index, alpha=minimum)
    logit = _take(_with_ends(logits[2 * bins :]), _two(place, len(x))).add_(unit_logit(minimum))
    slope = softplus(logit, threshold=STRAIGHT).add_(minimum)

    s = size[1] / size[0]
    e = (slope[0] + slope[1]).sub_(s, alpha=2)
    t = _root(u - bottom, size[1], slope[0], s, e) if inverse else u.sub_(left).div_(size[0])
    value, below, bend = _curve(t.clamp_(0, 1), slope[0], slope[1], s, e)
    log_slope = (s / below).log_().mul_(2).add_(bend.log())
    image = torch.addcmul(left, size[0], t) if inverse else torch.addcmul(bottom, size[1], value)
    image.mul_(2 * bound).sub_(bound)

    # hardshrink is x outside the bound and 0 within: selected without `where`, exact for finite x, and inf stays inf
    outer = hardshrink(x, bound)
    inside = outer.eq(0).to(x.dtype)
    image = torch.addcmul(outer, image, inside)
    log_slope = (log_slope.neg_() if inverse else log_slope).mul_(inside)
    found = Found(q, after, place, mass, before, size, slope, logit, t, value, below, bend, inside)
    return image, log_slope, found


def _cumulate(q: Tensor) -> Tensor:
    """`q.cumsum(1)` for (2, K, n); for long rows by K - 1 vector additions, up to three times as fast."""
    if q.shape[2] <= SHORT:
        return q.cumsum(1)
    ends = torch.empty_like(q)
    out, last = ends.unbind(1), q.select(1, 0)
    out[0].copy_(last)
    for row, end in zip(q.unbind(1)[1:], out[1:]):
        last = torch.add(last, row, out=end)
    return ends


def _with_ends(inner: Tensor) -> Tensor:
    """(K - 1, n) slope logits to (K + 1, n): 0 at both ends, slope 1, as outside."""
    every = inner.new_empty(len(inner) + 2, inner.size(1))
    every[0].zero_()
    every[1:-1].copy_(inner)
    every[-1].zero_()
    return every


def _find(u: Tensor, ends: Tensor, step: float, share: float) -> tuple[Tensor, Tensor]:
    """Masks (K - 1, n) and number (n,), as floats, of the bin of u: ends_j share + j minimum <= u, for ends_j alone."""
    steps = torch.arange(1, len(ends), device=u.device, dtype=u.dtype).mul_(step)
    after = torch.sub(u / share, steps[:, None]).ge_(ends[:-1])
    return after, after.sum(0)


def _two(place: Tensor, apart: int) -> Tensor:
    """Two places `apart`, (2n,): one index for a pair of rows."""
    return torch.cat((place, place + apart))


def _take(table: Tensor, places: Tensor) -> Tensor:
    """(2, n): index_select over a flat table is two to three times as fast as gather across rows."""
    return table.view(-1).index_select(0, places).view(2, -1)


def _root(v: Tensor, height: Tensor, d0: Tensor, s: Tensor, e: Tensor) -> Tensor:
    """`spline_plain._root`, which says why there are two formulas."""
    bent = e * v
    a = torch.addcmul(bent, height, s - d0)
    b = (height * d0).sub_(bent)
    c = v.mul_(s)
    far = (b * b).add_(a * c, alpha=4).clamp_(min=0).sqrt_().add_(b.abs())
    up = b >= 0
    return torch.where(up, c.mul_(2), far).div_(torch.where(up, far, a.mul_(2)))


def _curve(t: Tensor, d0: Tensor, d1: Tensor, s: Tensor, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """value = t (s t + d0 (1-t)) / below; below = s + e t (1-t); bend = d1 t^2 + (1-t) (2 s t + d0 (1-t))."""
    rest = 1 - t
    below = torch.addcmul(s, e, t * rest)
    st = s * t
    sum_ = torch.addcmul(st, d0, rest)
    value = (sum_ * t).div_(below)
    bend = torch.addcmul((d1 * t).mul_(t), rest, sum_.add_(st))
    return value, below, bend


def gradients(
    found: Found, grad_image: Tensor, grad_log: Tensor, bound: float, minimum: float, inverse: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of x (n,) and of the logits (3K-1, n) from those of the image and of the log slope.

    (1) With g, l the gradients of v = value and of log v': per bin variable as written in `_bin_gradients`.
    (2) The inverse x = F^-1(y) with log slope -log F'(x): dx = (dy - F_k dk) / F' for any parameter k, so that its
        gradients are those of F at x, with -l and with g = (-grad_x + l (log F')') / F'; the gradient of y is -g.
    (3) Bin variables to logits, for P the mass of the bin, L the mass before it, and their gradients gP, gL:
        dlogit_k = (1 - K m) q_k (gL [k < bin] + gP [k = bin] - gL L - gP P).

    >>> x, logits = torch.tensor([0.5]), torch.zeros(5, 1)
    >>> gradients(spline(x, logits, 1.0, 1e-3, False)[2], torch.ones(1), torch.zeros(1), 1.0, 1e-3, False)[0]
    tensor([1.])
    """
    inner, log = grad_image * found.inside, grad_log * found.inside
    outer = grad_image - inner
    grad_in, edges, sizes, slopes = _bin_gradients(found, inner.mul_(2 * bound), log, inverse)
    return outer.add_(grad_in, alpha=0.5 / bound), _logit_gradients(found, edges, sizes, slopes, minimum)


def _bin_gradients(
    found: Found, g: Tensor, log: Tensor, inverse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u (n,), of the lower edges (2, n), of the sizes (2, n) and of the slopes (2, n).

    With r = 1 - t, a = t r, e = d0 + d1 - 2 s, A = g h / below, G = l / bend, S = A value + 2 l / below:
    d0: G r^2 + a (A - S); d1: G t^2 - a S; s: A t^2 - S + 2 a (S + G) + 2 l / s, and
    l dlog/dt = 2 (G (d1 t - d0 r + s (r - t)) - (l / below) e (r - t)).
    """
    (w, h), (d0, d1), t, below, bend = found.size, found.slope, found.t, found.below, found.bend
    edges, sizes, slopes = (
        torch.empty_like(found.size),
        torch.empty_like(found.size),
        torch.empty_like(found.size),
    )
    s = h / w
    r, t2 = 1 - t, t * t
    c = r - t
    if inverse:
        log = log.neg()
    scaled, G = log / below, log / bend
    along = (d1 * t).addcmul_(d0, r, value=-1).addcmul_(s, c).mul_(G)
    along.addcmul_((d0 + d1).sub_(s, alpha=2).mul_(c), scaled, value=-1).mul_(2).div_(w)
    steep = (s / below).square_().mul_(bend)
    if inverse:
        gu = g.neg()
        g = torch.sub(gu, along).div_(steep)
        grad_in = g.neg()
    else:
        gu = grad_in = along.addcmul_(g, steep)
    torch.neg(gu, out=edges[0])
    edges[1].copy_(g)

    A = (g * h).div_(below)
    S = (A * found.value).add_(scaled, alpha=2)
    a = t - t2
    torch.mul(G, r * r, out=slopes[0]).addcmul_(a, A - S)
    torch.mul(G, t2, out=slopes[1]).addcmul_(a, S, value=-1)
    gs = A.mul_(t2).sub_(S).addcmul_(a, S.add_(G), value=2).addcdiv_(log, s, value=2).div_(w)
    torch.addcmul(gs, g, found.value, out=sizes[1])
    torch.mul(gs, s, out=sizes[0]).addcmul_(t, gu).neg_()
    return grad_in, edges, sizes, slopes


def _logit_gradients(found: Found, edges: Tensor, sizes: Tensor, slopes: Tensor, minimum: float) -> Tensor:
    """Step (3) of `gradients`. Writes over its arguments."""
    _, bins, n = found.q.shape
    share = 1 - bins * minimum
    out = edges.new_empty(3 * bins, n)  # one row more than there are logits, for the slope after the last bin
    # the slope before the first bin falls on the last row of the heights, which is written over below
    out[2 * bins - 1 :].zero_()
    slopes.mul_(found.logit.sigmoid())
    out.view(-1).scatter_(0, _two(found.place + (2 * bins - 1) * n, n), slopes.view(-1))

    edges.mul_(share)
    sizes.mul_(share)
    rest = (edges * found.before).addcmul_(sizes, found.mass).neg_()
    both = out[: 2 * bins].view(2, bins, n)
    torch.addcmul(rest[:, None], edges[:, None], found.after, out=both[:, :-1])
    both[:, -1].copy_(rest)
    both.view(-1).scatter_(0, _two(found.place, bins * n), rest.add_(sizes).view(-1))
    both.mul_(found.q)
    return out[:-1]
