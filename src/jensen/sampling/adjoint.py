"""Back-substitution through a masked dense network: every hidden unit's cotangent is computed once, last feature first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def solve_adjoint(
    g: Tensor,
    slope: Tensor,
    by_parameter: Tensor,
    weights: Sequence[Tensor],
    active: Sequence[Tensor],
    degrees: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """u (d, n) with J'u = g for the Jacobian J of z_i = m(x_i; p_i), p = a masked relu network of x, and the cotangents
    u'dz/dy of every layer's pre-activations y, each (units, n), the output's (P d, n) last.

    `slope` (d, n) is dm/dx, `by_parameter` (P, d, n) dm/dp. `weights`: of each layer, (units, inputs), under its mask,
    the output's with the d features of a parameter together. `active`: 1 where a hidden relu passes, (units, n).
    `degrees` of the units of each hidden layer, sorted: a unit of degree m sees the features <= m and is seen by those > m.

    J is lower triangular, u_i = (g_i - sum_j>i J_ji u_j) / slope_i. The sum is a backward pass that is known by then: of
    the units that see x_i only features after it read them. So the units of degree i follow once u_i+1 is there, and all
    of it is the arithmetic of one backward pass, less the zeros, in a few small products a feature.
    """
    count, d, n = by_parameter.shape
    transposed = [weight.T.contiguous() for weight in weights[:-1]]
    # the parameters of a feature side by side: what is known is a run of rows
    transposed.append(weights[-1].view(count, d, -1).permute(2, 1, 0).reshape(-1, d * count))
    starts = [torch.searchsorted(one, torch.arange(d + 1)).tolist() for one in degrees]
    u = torch.empty_like(g)
    cotangents = [torch.empty_like(one) for one in active]
    by_feature = by_parameter.transpose(0, 1).contiguous()
    for i in reversed(range(d)):
        after, known = by_feature.view(d * count, n), (i + 1) * count
        for level in reversed(range(len(active))):
            first, end = starts[level][i], starts[level][i + 1]
            if first < end:
                mine = cotangents[level][first:end]
                torch.mm(transposed[level + 1][first:end, known:], after[known:], out=mine)
                mine.mul_(active[level][first:end])
            after, known = cotangents[level], first
        below = transposed[0][i : i + 1, known:] @ after[known:]
        torch.div(g[i] - below[0], slope[i], out=u[i])
        by_feature[i].mul_(u[i])
    return u, [*cotangents, by_feature.transpose(0, 1).reshape(count * d, n)]
