"""Forward taint of functional code: an expression a case, held against changed inputs."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from jensen.functional.receptive import dependence


def constant(*shape: int) -> Tensor:
    """Numbers of both signs that do not depend on the input (random ones would count as varying)."""
    return (12.9898 * torch.arange(1, prod(shape) + 1, dtype=torch.float64).view(shape)).sin()


def sparse(*shape: int) -> Tensor:
    weight = constant(*shape)
    return weight * (weight > 0.2)


def later(n: int) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).triu(1)


def changed(function: Callable[[Tensor], Tensor], shape: tuple[int, ...], tries: int) -> Tensor:
    """Pairs (outputs, inputs) that are linked at some random row: the output changes, bit for bit, with the input."""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(tries):
        rows = torch.rand(2, *shape, generator=generator, dtype=torch.float64)
        before, links = function(rows.clone())[0].flatten(), []
        for place in range(rows[0].numel()):
            other = rows.clone()
            other[0].view(-1)[place] = torch.rand((), generator=generator, dtype=torch.float64)
            links.append(function(other)[0].flatten() != before)
        found.append(torch.stack(links, 1))
    return torch.stack(found).any(0)


def masked_attention(x: Tensor) -> Tensor:
    scores = x @ constant(2, 2) @ x.mT
    return scores.masked_fill(later(3), -inf).softmax(-1) @ x


def ratio_attention(x: Tensor) -> Tensor:
    weight = (x @ constant(2, 2) @ x.mT).exp() * (~later(3)).double()
    return (weight / weight.sum(-1, keepdim=True)) @ x


def finite_mask_attention(x: Tensor) -> Tensor:
    scores = x @ x.mT + torch.zeros(3, 3, dtype=x.dtype).masked_fill(later(3), torch.finfo(x.dtype).min)
    return scores.softmax(-1) @ x


def attend(**options: object) -> Callable[[Tensor], Tensor]:
    return lambda x: F.scaled_dot_product_attention(*x.unsqueeze(1).repeat(3, 1, 1, 1, 1), **options)[:, 0]


def assigned(x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    out[:, 0], out[:, 1:] = x[:, 2], x[:, :2] * 2
    return out


def half_written_view(x: Tensor) -> Tensor:
    y = x.clone()
    y.view(len(x), -1)[:, 1::2].zero_()
    return y


def loop(x: Tensor) -> Tensor:
    state, states = torch.zeros_like(x[:, 0]), []
    for step in x.unbind(1):
        state = (state * 0.5 + step).tanh()
        states.append(state)
    return torch.stack(states, 1)


def scattered(x: Tensor) -> Tensor:
    index = torch.tensor([[2, 0, 1]]).expand(len(x), 3)
    return torch.zeros_like(x).scatter(1, index, x) + torch.ones_like(x).scatter_add(1, index * 0, x)


def masked_assignment(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, torch.tensor([True, False, True])] = 0.0
    return y


def written_where_large(x: Tensor) -> Tensor:
    y = x.clone()
    y[y > 0.5] = 0.25
    return y


EXACT: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "sparse matmul": (lambda x: x @ sparse(4, 4), (4,)),
    "matrix times vector": (lambda x: x @ sparse(4), (3, 4)),
    "constant matrix from the left": (lambda x: sparse(3, 4) @ x, (4, 2)),
    "product with itself": (lambda x: x @ x.mT, (2, 3)),
    "bmm": (lambda x: torch.bmm(x, sparse(2, 3, 2)[:1].expand(len(x), 3, 2)), (2, 3)),
    "baddbmm": (lambda x: torch.baddbmm(x, constant(1, 2, 3).expand(len(x), 2, 3), x.mT @ x), (2, 3)),
    "addmm": (lambda x: torch.addmm(constant(2), x, sparse(3, 2)), (3,)),
    "einsum": (lambda x: torch.einsum("nij,jk,nlk->nil", x, sparse(3, 3), x), (2, 3)),
    "tensordot": (lambda x: torch.tensordot(x, sparse(2, 3, 2), dims=2), (2, 3)),
    "outer": (lambda x: x.unsqueeze(-1) * x.unsqueeze(-2), (3,)),
    "mask times weight": (lambda x: F.linear(x, constant(4, 4) * (~later(4)).double()), (4,)),
    "product with a mask": (lambda x: x * constant(4).gt(0), (4,)),
    "x * 0": (lambda x: x * 0.0 + 1, (2,)),
    "cat": (lambda x: torch.cat([x[:, 2:], constant(2, 1).expand(len(x), 2)[:, :1], x], 1), (3,)),
    "stack": (lambda x: torch.stack([x, x.flip(1)], 1), (3,)),
    "chunk": (lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1], (4, 2)),
    "split": (lambda x: torch.cat(x.split([1, 2], 1)[::-1], 1), (3,)),
    "pad": (lambda x: F.pad(x, (1, -1, 2, 0), value=3.0), (2, 3)),
    "roll": (lambda x: x.roll((1, 2), (1, 2)), (3, 4)),
    "flip": (lambda x: x.flip(-1, -2), (2, 3)),
    "rot90": (lambda x: x.rot90(1, (1, 2)), (2, 3)),
    "permute and reshape": (lambda x: x.permute(0, 2, 1).reshape(len(x), 3, 2), (2, 3)),
    "expand": (lambda x: x.unsqueeze(1).expand(-1, 3, -1) + 0, (2,)),
    "repeat": (lambda x: x.repeat(1, 2), (3,)),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), (3,)),
    "slices": (lambda x: x[:, 1::2, :-1], (4, 3)),
    "windows": (lambda x: x.unfold(1, 2, 1).sum(-1), (4,)),
    "index_select": (lambda x: x.index_select(1, torch.tensor([2, 0, 2])), (3, 2)),
    "advanced index": (lambda x: x[:, torch.tensor([1, 0]), torch.tensor([2, 1])], (2, 3)),
    "gather": (lambda x: x.gather(1, torch.tensor([[1, 1, 0]]).expand(len(x), 3)), (3,)),
    "scatter": (scattered, (3,)),
    "index_add": (lambda x: torch.zeros_like(x).index_add(1, torch.tensor([0, 0, 2]), x), (3, 2)),
    "index_copy": (lambda x: x.index_copy(1, torch.tensor([2]), x[:, :1]), (3,)),
    "tril": (lambda x: x.tril().sum(-1), (3, 3)),
    "diagonal": (lambda x: x.diagonal(dim1=1, dim2=2), (3, 3)),
    "diag_embed": (lambda x: torch.diag_embed(x), (2,)),
    "sum": (lambda x: x.sum(2), (2, 3)),
    "mean, keepdim": (lambda x: x.mean((1, 3), keepdim=True), (2, 2, 2)),
    "logsumexp": (lambda x: x.logsumexp(1), (2, 3)),
    "logsumexp with -inf": (lambda x: x.masked_fill(constant(3).gt(0), -inf).logsumexp(1), (3,)),
    "variance": (lambda x: x.var(1), (3,)),
    "norm": (lambda x: x.norm(dim=-1), (2, 3)),
    "product of elements": (lambda x: x.prod(1), (3,)),
    "cumsum": (lambda x: x.cumsum(1), (4,)),
    "cumprod": (lambda x: x.cumprod(-1), (2, 3)),
    "logcumsumexp": (lambda x: x.logcumsumexp(1), (4,)),
    "normalised": (lambda x: F.normalize(x, dim=-1), (2, 3)),
    "sorted": (lambda x: x.sort(1).values, (3,)),
    "largest": (lambda x: x.amax(1), (3,)),
    "softmax with -inf": (lambda x: (x.unsqueeze(1) + minus(3)).softmax(-1), (3,)),
    "attention, masked_fill": (masked_attention, (3, 2)),
    "attention, finite mask": (finite_mask_attention, (3, 2)),
    "sdpa": (attend(), (3, 2)),
    "sdpa, causal": (attend(is_causal=True), (3, 2)),
    "sdpa, bool mask": (attend(attn_mask=~later(3)), (3, 2)),
    "sdpa, float mask": (attend(attn_mask=torch.zeros(3, 3).double().masked_fill(later(3), -inf)), (3, 2)),
    "where": (lambda x: torch.where(constant(3) > 0, x, x.flip(1)), (3,)),
    "where the input is large": (lambda x: torch.where(x > 0.5, x.flip(1), constant(3)), (3,)),
    "comparison": (lambda x: (x > x.roll(1, 1)).double(), (3,)),
    "clamp": (lambda x: x.clamp(0.3, 0.6), (3,)),
    "maximum": (lambda x: torch.max(x, x.flip(1)), (3,)),
    "lerp": (lambda x: torch.lerp(x, constant(3), x.roll(1, 1)), (3,)),
    "addcmul": (lambda x: torch.addcmul(x, x.flip(1), constant(3) * constant(3).gt(0)), (3,)),
    "division": (lambda x: constant(3) / (1 + x) + x.roll(1, 1) / 2, (3,)),
    "log_prob of a normal": (
        lambda x: torch.distributions.Normal(x.roll(1, 1), x.flip(1).exp()).log_prob(x),
        (3,),
    ),
    "detach": (lambda x: x.detach().sin(), (3,)),
    "data": (lambda x: x.data + 1, (2,)),
    "assignment": (assigned, (3,)),
    "write in place to a view": (half_written_view, (2, 3)),
    "write by a constant mask": (masked_assignment, (3,)),
    "write where the input is large": (written_where_large, (3,)),
    "chain in place": (lambda x: x.clone().mul_(2).add_(x.flip(1)).relu_()[:, 1:], (3,)),
    "comparison in place": (lambda x: x.clone().gt_(x.roll(1, 1)), (3,)),
    "threshold in place": (lambda x: F.mish(F.threshold(x + 0, 0.5, 0.1, inplace=True), inplace=True), (3,)),
    "ones in place": (lambda x: torch.ones_like(x).mul_(x), (3,)),
    "constants in place": (lambda x: (x * 1).copy_(constant(3)), (3,)),
    "recurrence in a loop": (loop, (3, 2)),
    "vmap": (lambda x: torch.func.vmap(lambda row: row.cumsum(0))(x), (3,)),
    "absolute complex": (
        lambda x: torch.polar(x, x.roll(1, 1)).abs() * 0 + torch.view_as_real(x + 0j)[..., 0],
        (3,),
    ),
    "fft": (lambda x: torch.fft.rfft(x).real[:, :1], (4,)),
    "distances": (lambda x: torch.cdist(x, constant(1, 2, 2).expand(len(x), 2, 2)), (3, 2)),
    "triangular solve": (
        lambda x: torch.linalg.solve_triangular(
            torch.eye(3).double() + constant(3, 3).tril(-1), x, upper=False
        ),
        (3, 2),
    ),
    "cross entropy": (
        lambda x: F.cross_entropy(x, torch.tensor([1]).expand(len(x)), reduction="none"),
        (3,),
    ),
    "interpolate": (
        lambda x: F.interpolate(x.unsqueeze(1), scale_factor=1.5, mode="linear")[:, 0],
        (4,),
    ),
    "bucketize": (lambda x: torch.bucketize(x, torch.tensor([0.2, 0.5, 0.8]).double()).double(), (3,)),
    "one_hot": (lambda x: F.one_hot((x * 3).long(), 3).double() @ constant(3, 2), (2,)),
    "embedding": (lambda x: F.embedding((x * 3).long(), constant(3, 2)), (2,)),
    "index by the input": (lambda x: constant(3, 2)[(x * 3).long()], (2,)),
    "argmax": (lambda x: x.argmax(1, keepdim=True).double(), (3,)),
}


def minus(n: int) -> Tensor:
    return torch.zeros(n, n, dtype=torch.float64).masked_fill(later(n), -inf)


COARSE: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "attention, a ratio": (ratio_attention, (3, 2)),
    "complex numbers": (lambda x: torch.complex(x, x.flip(1)).conj().imag, (3,)),
    "cancelled": (lambda x: x - x + constant(3), (3,)),
    "write by a varying index": (lambda x: x.scatter(1, (x[:, :1] * 3).long(), 7.0), (3,)),
    "gather by a varying index": (lambda x: x.gather(1, (x * 3).long()), (3,)),
    "second axis by a mask that varies": (lambda x: second_axis(x), (2, 2)),
    "svd": (lambda x: torch.linalg.svdvals(x), (2, 2)),
    "inverse": (lambda x: torch.linalg.inv(x + 2 * torch.eye(2).double()), (2, 2)),
    "determinant": (lambda x: torch.linalg.slogdet(x + 2 * torch.eye(2).double())[1][:, None], (2, 2)),
    "topk": (lambda x: x.topk(2, 1).values, (3,)),
    "median": (lambda x: x.median(1).values, (3,)),
    "grid_sample": (
        lambda x: F.grid_sample(x[:, :1], x[:, 1:].movedim(1, -1), align_corners=False),
        (3, 2, 2),
    ),
    "by boundaries that vary": (
        lambda x: torch.searchsorted(x.sort(1).values, x.flip(1).contiguous()).double(),
        (2,),
    ),
    "average with a negative divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=-3), (1, 2, 3)),
    "pow": (lambda x: x ** x.flip(1), (2,)),
    "split by parity": (lambda x: torch.stack([x[:, 0], x[:, 1] * x[:, 0]], 1), (2,)),
}


def second_axis(x: Tensor) -> Tensor:
    """The mask is of the second axis of y, as a view of it would not be."""
    y = x[0].clone()
    y[:, x[0, :, 0] > 0.5] = 0.5
    return y.expand(len(x), 2, 2)


@pytest.mark.parametrize("name", EXACT)
def test_taint_of_a_function_is_what_changed_inputs_show(name: str) -> None:
    function, shape = EXACT[name]
    found = dependence(function, shape, dtype=torch.float64)
    assert found.proven, found.reasons
    assert torch.equal(found.require(), changed(function, shape, 12))


@pytest.mark.parametrize("name", COARSE)
def test_taint_never_says_less_than_changed_inputs_show(name: str) -> None:
    function, shape = COARSE[name]
    found = dependence(function, shape, dtype=torch.float64)
    assert found.proven, found.reasons
    assert not (changed(function, shape, 12) & ~found.require()).any()
