"""The Sylvester flow both ways: x = z + Q R tanh(S Q'z + b), Q with orthonormal columns, R and S upper triangular.

van den Berg, Hasenclever, Tomczak, Welling 2018, Sylvester normalizing flows (their R~ is S here). M planar flows in
one, M the number of columns of Q; M = 1 is the planar flow. Feature-major: z (d, n), Q (d, M), R and S (M, M), b (M,),
or with one value a column of z: (d, M, n), (M, M, n), (M, n). Only the upper triangles of R and S are read; the
diagonal of R is moved, as u of the planar flow, so that r_ii s_ii = m_i > -1. R = 0 is the identity.

The inverse (ours). (1) With y = Q'z and y' = Q'x, y' = y + R tanh(S y + b), because Q'Q = 1. (2) Row i holds y_j for j >= i
alone, so the last is solved first: with c_i = b_i + sum_{j>i} s_ij y_j and g_i = y'_i - sum_{j>i} r_ij t_j known,
a = s_ii y_i solves a + m_i tanh(a + c_i) = s_ii g_i, a rising function of a. (3) t_i = tanh(a + c_i), y_i = g_i - r_ii t_i,
no division by s_ii, and at the end z = x - Q R t.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.tanh_root import DELTA, constrain, slope, solve


def orthonormal(raw: Tensor) -> Tensor:
    """The columns of raw (d, M) or (d, M, n) made orthonormal, one after the other, M <= d; differentiable at full rank.

    >>> orthonormal(torch.tensor([[2.0, 1.0], [0.0, 3.0]])).abs()
    tensor([[1., 0.],
            [0., 1.]])
    """
    if raw.dim() not in (2, 3) or raw.size(1) > raw.size(0):
        raise UsageError(
            "expected (d, M) or (d, M, n) with M <= d", f"got {tuple(raw.shape)}", "use fewer columns"
        )
    batched = raw.movedim(-1, 0) if raw.dim() == 3 else raw
    q, r = torch.linalg.qr(batched)
    sign = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(
        q.dtype
    )  # so that it is Gram and Schmidt's
    q = q * sign.unsqueeze(-2)
    return q.movedim(0, -1) if raw.dim() == 3 else q


def safe(r: Tensor, s: Tensor, delta: float = DELTA) -> tuple[Tensor, Tensor, Tensor]:
    """R and S upper triangular, R with its diagonal moved, and m_i = r_ii s_ii > -1 + delta, (M,) or (M, n).

    >>> R, S, m = safe(torch.tensor([[-3.0, 1.0], [7.0, 0.0]]), torch.eye(2))
    >>> R, m
    (tensor([[-0.9092,  1.0000],
            [ 0.0000,  0.0000]]), tensor([-0.9092,  0.0000]))
    """
    upper = torch.ones(r.shape[:2], dtype=torch.bool, device=r.device).triu()
    upper = upper[..., None] if r.dim() == 3 else upper
    r, s = torch.where(upper, r, 0), torch.where(upper, s, 0)
    on_r, on_s = (one.diagonal(dim1=0, dim2=1).movedim(-1, 0) for one in (r, s))
    kept, m = constrain(on_s[None], on_r[None], delta)
    moved = kept[0] - on_r
    eye = torch.eye(len(r), dtype=r.dtype, device=r.device)
    r = r + (eye[..., None] * moved[:, None] if r.dim() == 3 else eye * moved[:, None])
    return r, s, m


def forward(
    z: Tensor, q: Tensor, r: Tensor, s: Tensor, b: Tensor, *, delta: float = DELTA
) -> tuple[Tensor, Tensor]:
    """x (d, n) and log|det dx/dz| (n,) = sum_i log1p(m_i (1 - tanh^2)), exact. `q` as `orthonormal` makes it: not checked.

    >>> eye = torch.eye(2)
    >>> x, log_det = forward(torch.zeros(2, 1), eye, eye, eye, torch.zeros(2))
    >>> log_det
    tensor([1.0989])
    """
    q, r, s, b = _given(z, q, r, s, b)
    r, s, m = safe(r, s, delta)
    t = torch.tanh(_times(s, _times(_transposed(q), z)) + b)
    return z + _times(q, _times(r, t)), torch.log1p(slope(t, _wide(m))).sum(0)


def inverse(
    x: Tensor, q: Tensor, r: Tensor, s: Tensor, b: Tensor, *, delta: float = DELTA
) -> tuple[Tensor, Tensor, Tensor]:
    """z (d, n), log|det dz/dx| (n,), and the error (n,) of Q'z to first order. Computed in float64, returned like x.

    `error` is the largest over the M coordinates, carried from each to those before it, for an x that was rounded once
    in its own type. Cost: M bisections of (n,). Gradients to second order, by the implicit function theorem.

    >>> generator = torch.Generator().manual_seed(0)
    >>> q, r, s = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
    >>> z, b = torch.randn(3, 8, generator=generator, dtype=torch.float64), r[0]
    >>> x, log_det = forward(z, orthonormal(q), r, s, b)
    >>> back, log_back, error = inverse(x, orthonormal(q), r, s, b)
    >>> bool((back - z).abs().max() < 1e-12), bool(error.max() < 1e-12)
    (True, True)
    """
    kept, epsilon = x.dtype, torch.finfo(x.dtype).eps
    q, r, s, b = (given.double() for given in _given(x, q, r, s, b))
    x = x.double()
    r, s, m = safe(r, s, delta)
    target = _times(_transposed(q), x)
    with torch.no_grad():
        noise = epsilon * _times(_transposed(q).abs(), x.abs()) + _skew(q, r)
    t, error = _back_substitute(target, r, s, _wide(m), b.expand_as(target), noise, epsilon)
    log_det = -torch.log1p(slope(t, _wide(m))).sum(0)
    return (x - _times(q, _times(r, t))).to(kept), log_det.to(kept), error.to(kept)


def _skew(q: Tensor, r: Tensor) -> Tensor:
    """How far y' may be from y + R tanh(...) because Q'Q is not quite 1: |Q'Q - 1| |R| 1, (M, 1) or (M, n)."""
    ones = torch.ones(len(r), 1, dtype=r.dtype, device=r.device)
    eye = torch.eye(len(r), dtype=r.dtype, device=r.device)
    if q.dim() == 3:
        product, eye = torch.einsum("dmn,dkn->mkn", q, q), eye[..., None]
    else:
        product = q.T @ q
    return _times(
        (product - eye).abs(), _times(r.abs(), ones if r.dim() == 2 else ones.expand(-1, r.size(-1)))
    )


def _back_substitute(
    target: Tensor, r: Tensor, s: Tensor, m: Tensor, b: Tensor, noise: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """t = tanh(S y + b) (M, n) for y + R t = target, from the last row upwards, and the largest error of y (n,)."""
    m = m.expand_as(target)
    y: list[Tensor] = []  # row i + 1, i + 2, ...; likewise below
    t: list[Tensor] = []
    y_error: list[Tensor] = []
    t_error: list[Tensor] = []
    for i in reversed(range(len(target))):
        c, g = b[i] + _dot(s[i, i + 1 :], y), target[i] - _dot(r[i, i + 1 :], t)
        a = solve(s[i, i] * g, m[i], c)
        t.insert(0, torch.tanh(a + c))
        y.insert(0, g - r[i, i] * t[0])
        with torch.no_grad():
            flat = (1 - t[0]) * (1 + t[0])
            on_r, on_s, after_r, after_s = (
                r[i, i].abs(),
                s[i, i].abs(),
                r[i, i + 1 :].abs(),
                s[i, i + 1 :].abs(),
            )
            # what is left of row i at what was found, and the rounding of its sums
            left = (y[0] + r[i, i] * torch.tanh(s[i, i] * y[0] + c) - g).abs()
            sizes = [one.abs() for one in y]
            inner = epsilon * (b[i].abs() + on_s * sizes[0] + _dot(after_s, sizes[1:]))
            outer = noise[i] + epsilon * (on_r + _dot(after_r, [one.abs() for one in t[1:]]))
            c_error = inner + _dot(after_s, y_error)
            g_error = outer + _dot(after_r, t_error)
            y_error.insert(0, (left + g_error + on_r * flat * c_error) / (1 + m[i] * flat))
            t_error.insert(0, flat * (on_s * y_error[0] + c_error))
    return torch.stack(t), torch.stack(y_error).amax(0)


def _dot(weights: Tensor, rows: list[Tensor]) -> Tensor:
    """sum_j weights_j rows_j: weights (k,) or (k, n), rows of (n,); a zero where there are none."""
    total = weights.new_zeros(())
    for weight, row in zip(weights, rows):
        total = total + weight * row
    return total


def _times(matrix: Tensor, z: Tensor) -> Tensor:
    """(p, k) or (p, k, n) times (k, n)."""
    return matrix @ z if matrix.dim() == 2 else torch.einsum("pkn,kn->pn", matrix, z)


def _transposed(matrix: Tensor) -> Tensor:
    return matrix.transpose(0, 1)


def _wide(m: Tensor) -> Tensor:
    return m[:, None] if m.dim() == 1 else m


def _given(z: Tensor, q: Tensor, r: Tensor, s: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The parameters, with b as (M, 1) or (M, n), and R and S both with columns if one of them has."""
    d, n = z.shape if z.dim() == 2 else (-1, -1)
    M = q.size(1) if q.dim() > 1 else -1
    fits = _is(q, (d, M), n) and _is(r, (M, M), n) and _is(s, (M, M), n) and _is(b, (M,), n) and 0 < M <= d
    if not fits:
        raise UsageError(
            "expected z (d, n), Q (d, M), R and S (M, M), b (M,), M <= d, or with n values at the end",
            f"got {', '.join(str(tuple(one.shape)) for one in (z, q, r, s, b))}",
            "features come first here: transpose rows",
        )
    if r.dim() != s.dim():
        r, s = (one if one.dim() == 3 else one[..., None].expand(M, M, n) for one in (r, s))
    return q, r, s, _wide(b)


def _is(given: Tensor, shape: tuple[int, ...], n: int) -> bool:
    return tuple(given.shape) in (shape, (*shape, n))
