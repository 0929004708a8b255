"""Taint rules of linear algebra: a whole matrix mixes, except where a constant triangular one says otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.functional.taint_call import Call, Traced, rule, spread


@rule(
    *(
        "linalg_inv_ex",
        "_linalg_det",
        "_linalg_slogdet",
        "linalg_cholesky_ex",
        "cholesky",
        "linalg_qr",
        "linalg_lu",
    ),
    *("cholesky_inverse", "linalg_lu_factor_ex", "_linalg_eigh", "_linalg_svd", "linalg_matrix_exp"),
)
def whole_matrix(call: Call) -> list[Tensor]:
    """Every output of a batch element depends on the whole matrix of that element."""
    return [_per_matrix(call, call.traced()[0], out) for out in call.outs]


def _per_matrix(call: Call, matrix: Traced, out: Tensor) -> Tensor:
    batch = call.bits(matrix).any((-2, -1))
    batch = batch.view(*batch.shape, *[1] * (out.ndim + 1 - batch.ndim))
    return batch.expand(-1, *out.shape).clone()


@rule("linalg_solve_triangular", "_linalg_solve_ex")
def solved(call: Call) -> list[Tensor]:
    """A X = B is linear in B. A^-1 is a polynomial in A (Cayley-Hamilton), so where the graph of A has no path,
    A^-1 has a zero. If A varies, all of X depends on all of A."""
    matrix, right = call.traced()
    result = call.out.unsqueeze(-1) if (vector := call.out.ndim < matrix.value.ndim) else call.out
    bits = call.bits(right).unsqueeze(-1) if vector else call.bits(right)
    bits = spread(bits, result.shape).float()
    paths = _closure(_used(call, matrix)).float()
    taint = (paths @ bits if call["left"] else bits @ paths) > 0.5
    if matrix.taint is not None:
        taint |= spread(matrix.taint.any((-2, -1), keepdim=True), result.shape)
    taint = taint.squeeze(-1) if vector else taint
    return [taint, *(_per_matrix(call, matrix, out) for out in call.outs[1:])]


def _used(call: Call, matrix: Traced) -> Tensor:
    pattern = matrix.may_be_nonzero()
    if call.base != "linalg_solve_triangular":
        return pattern
    return pattern.triu() if call["upper"] else pattern.tril()


def _closure(pattern: Tensor) -> Tensor:
    """Reflexive and transitive closure, by repeated squaring."""
    size = pattern.shape[-1]
    reach = pattern | torch.eye(size, dtype=torch.bool, device=pattern.device)
    for _ in range(max(size - 1, 1).bit_length()):
        reach = (reach.float() @ reach.float()) > 0.5
    return reach
