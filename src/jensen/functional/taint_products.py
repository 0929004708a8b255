"""Taint rules of products: matrices, convolutions, and other sums of products. They count paths."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jensen.functional.taint_call import Call, Traced, axes, rule, spread


def bilinear(call: Call, multiply: Callable[[Tensor, Tensor], Tensor], a: Traced, b: Traced) -> Tensor:
    """Counts paths: taint of one factor through the elements of the other that may be non-zero."""
    if b.taint is None:
        return multiply(call.bits(a).float(), b.may_be_nonzero().float()) > 0.5
    second = multiply(a.may_be_nonzero().float(), b.taint.float()) > 0.5
    if a.taint is None:
        return second
    return second | (multiply(a.taint.float(), b.may_be_nonzero().float()) > 0.5)


@rule("mm", "bmm", "matmul")
def matrix_product(call: Call) -> Tensor:
    return bilinear(call, torch.matmul, call["self"], call["mat2" if "mat2" in call.args else "other"])


@rule("mv", "dot", "vdot")
def with_vector(call: Call) -> Tensor:
    a, b = call["self"], next(call[n] for n in ("vec", "tensor", "other") if n in call.args)
    row = (
        a.value.ndim == 1
    )  # torch.matmul would take a (slots, k) taint for a matrix: give vectors their own axis
    result = bilinear(call, lambda x, y: _row(x, row) @ y.unsqueeze(-1), a, b)
    return result.reshape(call.slots, *call.out.shape)


def _row(x: Tensor, row: bool) -> Tensor:
    return x.unsqueeze(-2) if row else x


@rule("addmm", "baddbmm", "addmv", "addbmm", "_addmm_activation")
def plus_matrix_product(call: Call) -> Tensor:
    names = [n for n in ("mat1", "batch1", "mat", "mat2", "batch2", "vec") if n in call.args]
    a, b = (call[n] for n in names)
    vector = b.value.ndim == 1
    result = bilinear(call, lambda x, y: x @ (y.unsqueeze(-1) if vector else y), a, b)
    result = result.squeeze(-1) if vector else result
    result = result.any(1) if call.base == "addbmm" else result
    start = call["self"]  # nn.MultiheadAttention adds its mask here: a constant -inf absorbs the product
    if call.args.get("beta") == 0:  # torch does not read it then
        return result
    absorbed = spread(start.infinite(call.bound)[None], call.out.shape)
    return (result | spread(call.bits(start), call.out.shape)) & ~absorbed


@rule("addr")
def plus_outer(call: Call) -> Tensor:
    a, b = call["vec1"], call["vec2"]
    result = bilinear(call, lambda x, y: x.unsqueeze(-1) * y.unsqueeze(-2), a, b)
    return result | spread(call.bits(call["self"]), call.out.shape)


@rule("convolution")
def convolution(call: Call) -> Tensor:
    signal, weight, bias = call["input"], call["weight"], call["bias"]
    options = [call[n] for n in ("stride", "padding", "dilation", "transposed", "output_padding", "groups")]

    def convolve(x: Tensor, w: Tensor) -> Tensor:
        if w.ndim == weight.value.ndim:  # slots join the batch: one large convolution
            out = torch.convolution(x.flatten(0, 1), w, None, *options)
            return out.view(x.shape[0], -1, *out.shape[1:])
        return torch.stack([torch.convolution(x, one, None, *options) for one in w])

    result = bilinear(call, convolve, signal, weight)
    if bias is not None and bias.taint is not None:
        result |= bias.taint.view(call.slots, 1, -1, *[1] * (call.out.ndim - 2))
    return result


@rule("_trilinear")
def three_factors(call: Call) -> Tensor:
    """nn.Bilinear: a sum over some dims of a product of three tensors; the weight is the second."""
    first, weight, second = call["i1"], call["i2"], call["i3"]
    if weight.taint is not None:
        raise NotImplementedError("bilinear layer whose weight depends on the input")
    expanded = []
    for traced, dims in ((first, call["expand1"]), (second, call["expand3"])):
        bits, alive = call.bits(traced).float(), traced.may_be_nonzero().float()
        for dim in sorted(dims):
            bits, alive = bits.unsqueeze(dim + 1), alive.unsqueeze(dim)
        expanded.append((bits, alive))
    kernel = weight.may_be_nonzero().float()
    for dim in sorted(call["expand2"]):
        kernel = kernel.unsqueeze(dim)
    (a, a_alive), (b, b_alive) = expanded
    over = axes(call["sumdim"], kernel.ndim)
    return ((a * kernel * b_alive).sum(over) + (a_alive * kernel * b).sum(over)) > 0.5


@rule("_cdist_forward", "_euclidean_dist")
def distances(call: Call) -> Tensor:
    a, b = (call.bits(traced).any(-1) for traced in (call["x1"], call["x2"]))
    return a.unsqueeze(-1) | b.unsqueeze(-2)
