"""NT-Xent, the contrastive loss of SimCLR: exact loss and gradient in O(n) memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from jensen.arguments import number
from jensen.errors import UsageError
from jensen.functional.given import reals

STRAIGHT = 40.0
"""Beyond it softplus is a straight line, to the last digit of float64; torch's own 20 is off by 2e-9."""

KEPT = 1 << 24
"""Bytes of similarities that are kept for the backward pass; those of larger batches are computed again."""

SPAN = {torch.float32: 80.0, torch.float64: 700.0}
"""Similarities span 2 / temperature; while exp of this span is a normal number, one constant shift does for all."""


def nt_xent(a: Tensor, b: Tensor, temperature: float, *, tile: int | None = None) -> Tensor:
    """The mean over all 2n views of -log softmax(similarity / temperature) at the view's partner, nats, a scalar.

    a, b (n, d): two views of the same n rows; only their directions matter. Each view has to pick its partner out of
    the other 2n - 1 views; `chance_level` is the loss of a guess. Exact up to rounding (float32: 2e-5 relative in loss
    and gradient at any temperature, also where the loss is nearly zero), in a few times 2n x d + tile^2 numbers of
    memory. Backward computes the similarities of large batches again. Half precision is computed and returned in
    float32. A view of length zero has no direction: its similarities are 0 and it gets no gradient. `tile`: side of the
    blocks of the similarity matrix, by default chosen by device and threads.

    Raises UsageError for fewer than two rows, shapes that differ, a temperature that is not above 0.

    Source: Chen, Kornblith, Norouzi, Hinton 2020, equation 1.

    >>> views = torch.eye(4)
    >>> round(float(nt_xent(views, views, 0.5)), 4)  # log(1 + 6 exp(-2))
    0.5944
    """
    _check(a, b, temperature)
    if tile is None:
        tile = _tile(a.device)
    with torch.autocast(a.device.type, enabled=False):
        z = unit_rows(torch.cat([a, b]))
        loss: Tensor = _Streamed.apply(z, float(temperature), tile)
    return loss


@torch.no_grad()
def view_losses(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """The loss (2n,) of every view, of which `nt_xent` is the mean; without gradient.

    The two losses of a row stand n apart.
    """
    _check(a, b, temperature)
    sims = _Similarities(unit_rows(torch.cat([a, b])), float(temperature), _tile(a.device))
    return sims.losses(sims.partners())


def chance_level(n: int) -> float:
    """The loss log(2n - 1), nats, of a guess among the other views of n pairs: where all similarities are equal.

    >>> round(chance_level(512), 3)
    6.93
    """
    return math.log(2 * n - 1)


def unit_rows(x: Tensor) -> Tensor:
    """Rows (n, d) of length one, in float32 or float64; a row of length zero stays zero and gets no gradient."""
    x = x if x.dtype == torch.float64 else x.float()
    # a row of tiny numbers has a square that underflows: divided by its largest number first, it has not
    largest = x.detach().abs().amax(1, keepdim=True)
    x = x / torch.where(largest > 0, largest, 1)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return torch.where(largest > 0, x / torch.where(length > 0, length, 1), 0)


class _Streamed(torch.autograd.Function):
    """The loss of unit rows z (2n, d), partners n apart.

    With S_ij = z_i.z_j / T and p the partner of i, the partner is kept apart from the others:

        n_i = log sum over j not in {i, p} of exp(S_ij),   l_i = softplus(n_i - S_ip),   loss = mean l_i

    which stays exact where l_i is tiny; a softmax with the partner in the sum loses 1 + tiny. With lse_i = S_ip + l_i and
    1 - (probability of the partner) = c_i = -expm1(-l_i),

        dloss/dz_i = [sum over j not in {i, p} of (exp(S_ij - lse_i) + exp(S_ij - lse_j)) z_j - (c_i + c_p) z_p] / (2n T).

    S is symmetric: a block right of the diagonal serves its rows and, transposed, its columns.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float, tile: int) -> Tensor:
        sims = _Similarities(z, temperature, tile, keep=ctx.needs_input_grad[0])
        partner = sims.partners()
        loss = sims.losses(partner)
        ctx.save_for_backward(z, partner, loss)
        ctx.sims = sims
        return loss.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        z, partner, loss = ctx.saved_tensors
        dz = ctx.sims.pull(partner + loss)
        # the two terms of a pair, moved to where its partner is
        missing = -torch.expm1(-loss)
        both = missing + missing.roll(len(z) // 2)
        dz.addcmul_(both.unsqueeze(1), z.roll(len(z) // 2, 0), value=-1)
        return dz.mul_(grad * ctx.sims.inverse / len(z)), None, None


class _Similarities:
    """The blocks of S = z z^T / T on and right of the diagonal, without what a view has with itself and its partner."""

    def __init__(self, z: Tensor, temperature: float, tile: int, keep: bool = False) -> None:
        self.z, self.inverse = z.detach(), 1 / temperature
        size = len(z)
        self.keep = keep and (size + tile) * size * z.element_size() // 2 <= KEPT
        self.kept: dict[tuple[int, int], Tensor] = {}
        self.parts = [slice(start, min(start + tile, size)) for start in range(0, size, tile)]
        # |S| <= 1/T: the shift 1/T stands in for the largest entry of a row
        self.shifted = 2 * self.inverse < SPAN[z.dtype]
        self.shift = z.new_full((), -self.inverse)

    def partners(self) -> Tensor:
        """S_ip (2n,)."""
        first, second = self.z.chunk(2)
        return ((first * second).sum(1) * self.inverse).repeat(2)

    def losses(self, partner: Tensor) -> Tensor:
        """l_i (2n,)."""
        return softplus(self.log_sums() - partner, threshold=STRAIGHT)

    def log_sums(self) -> Tensor:
        """log sum over j not in {i, p} of exp(S_ij), (2n,)."""
        if self.shifted:
            sums = self.z.new_zeros(len(self.z))
            for rows, columns, block in self._blocks(0.0):
                sums[rows] += block.sum(1)
                if rows != columns:
                    sums[columns] += block.sum(0)
            return sums.log_() - self.shift
        sums = self.z.new_full((len(self.z),), -math.inf)
        for rows, columns, block in self._blocks(-math.inf):
            sums[rows] = torch.logaddexp(sums[rows], block.logsumexp(1))
            if rows != columns:
                sums[columns] = torch.logaddexp(sums[columns], block.logsumexp(0))
        return sums

    def pull(self, lse: Tensor) -> Tensor:
        """sum over j not in {i, p} of (exp(S_ij - lse_i) + exp(S_ij - lse_j)) z_j, (2n, d)."""
        out = torch.zeros_like(self.z)
        scale = (-self.shift - lse).exp_() if self.shifted else None
        for rows, columns, block in self._blocks(0.0 if self.shifted else -math.inf):
            if scale is not None:
                weights = (scale[rows, None] + scale[columns]).mul_(block)
            else:
                weights = (block - lse[rows, None]).exp_().add_((block - lse[columns]).exp_())
            out[rows].addmm_(weights, self.z[columns])
            if rows != columns:
                out[columns].addmm_(weights.T, self.z[rows])
        return out

    def _blocks(self, absent: float) -> Iterator[tuple[slice, slice, Tensor]]:
        """(rows, columns, block): exp(S - 1/T) where that is safe, else S; `absent` for itself and the partner."""
        for i, rows in enumerate(self.parts):
            for columns in self.parts[i:]:
                place = rows.start, columns.start
                block = self.kept.get(place)
                if block is None:
                    block = self._block(rows, columns, absent)
                    if self.keep:
                        self.kept[place] = block
                yield rows, columns, block

    def _block(self, rows: slice, columns: slice, absent: float) -> Tensor:
        block = torch.addmm(self.shift, self.z[rows], self.z[columns].T, alpha=self.inverse)
        if self.shifted:
            block.exp_()
        else:
            block -= self.shift
        half = len(self.z) // 2
        for apart in (0, half, -half):
            _diagonal(block, apart + rows.start - columns.start, absent)
        return block


def _diagonal(block: Tensor, offset: int, value: float) -> None:
    if -block.size(0) < offset < block.size(1):
        block.diagonal(offset).fill_(value)


def _tile(device: torch.device) -> int:
    """One thread works in its cache; several, or a GPU, need blocks that are worth sharing.

    Two threads on contended cores took 6 times as long with 512 as with 2048 at 8192 views (waiting actively).
    """
    if device.type != "cpu":
        return 4096
    return 512 if torch.get_num_threads() == 1 else 2048


def _check(a: Tensor, b: Tensor, temperature: float) -> None:
    a, b = reals("a", a), reals("b", b)
    if a.ndim != 2 or b.shape != a.shape:
        raise UsageError(
            "two views are two matrices (n, d) of floats of the same shape",
            f"got {tuple(a.shape)} {a.dtype} and {tuple(b.shape)} {b.dtype}",
            "pool maps to vectors first, and pair the views row by row",
        )
    if len(a) < 2:
        raise UsageError(
            "a contrastive loss needs two rows or more to tell apart", f"got {len(a)}", "use a larger batch"
        )
    number("a temperature", temperature, 0, do="0.1 to 0.5 is usual", inside=True)
