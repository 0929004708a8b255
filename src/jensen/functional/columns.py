"""relu networks over columns, x (features, n) -> (out, n), with their own gradient: one node of autograd a network.

On a CPU the products of float32 go through oneDNN where torch has it: MKL, which `addmm` calls, uses half of the vector
unit on processors of other makers (110 against 230 to 260 GFLOP/s on one core of an AMD EPYC, Zen 5). The same sums but
for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

SMALL = 1 << 20
"""Products of fewer multiplications start faster in `mm`."""


def network(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """W_L relu(... relu(W_1 x + b_1) ...) + b_L for x (features, n), W (out, in), b (out, 1) or (out, n).

    Gradients to any order (the second and later through the plain version).

    >>> weights, biases = [torch.ones(2, 1), torch.ones(1, 2)], [torch.zeros(2, 1), torch.ones(1, 1)]
    >>> network(torch.tensor([[1.0, -1.0]]), weights, biases)
    tensor([[3., 1.]])
    """
    if not layers_may_be_fused(x):
        return _plain(x, weights, biases)
    if torch.is_grad_enabled():
        found: Tensor = _Network.apply(x, *weights, *biases)
        return found
    return _layers(x, weights, biases)[-1]


_TRANSFORMS = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
"""Whether torch.func is at work, as in `functional.spline`."""


def layers_may_be_fused(x: Tensor) -> bool:
    """Whether nobody rewrites single operations: a compiler, torch.func, autocast."""
    return not (torch.compiler.is_compiling() or _TRANSFORMS() or torch.is_autocast_enabled(x.device.type))


def product(a: Tensor, b: Tensor) -> Tensor:
    """a (m, k) @ b (k, n), without a gradient of its own."""
    if not _through_onednn(a, b.shape[1]):
        return a @ b
    found: Tensor = _ONEDNN(_dense(a), _dense(b).T, None, "none", [], "")
    return found


def _dense(a: Tensor) -> Tensor:
    """A matrix without gaps, by rows or by columns: oneDNN takes a hundred times as long over others."""
    return a if a.is_contiguous() or a.T.is_contiguous() else a.contiguous()


def linear(x: Tensor, weight: Tensor, bias: Tensor, relu: bool = False) -> Tensor:
    """x (n, in) @ weight.T (in, out) + bias (out,), and its relu if asked for, without a gradient of its own."""
    if not _through_onednn(x, len(weight)):
        found = torch.addmm(bias, x, weight.T)
        return found.relu_() if relu else found
    fused: Tensor = _ONEDNN(_dense(x), _dense(weight), bias, "relu" if relu else "none", [], "")
    return fused


def _through_onednn(a: Tensor, columns: int) -> bool:
    """Whether oneDNN is the faster one for a (m, k) times so many columns."""
    few = a.shape[0] * a.shape[1] * columns < SMALL
    return not (_ONEDNN is None or few or a.dtype != torch.float32 or a.device.type != "cpu")


def _onednn() -> Any:
    """The product of torch's compiler, private to torch: without it `mm` computes the same."""
    if not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_ONEDNN = _onednn()


def _plain(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        x = torch.addmm(bias, weight, x.relu() if i else x)
    return x


def _layers(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> list[Tensor]:
    """What every layer gives, the hidden ones after their relu."""
    found = []
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        x = product(weight, x.relu_() if i else x).add_(bias)
        found.append(x)
    return found


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *given: Tensor) -> Tensor:
        depth = len(given) // 2
        found = _layers(x, given[:depth], given[depth:])
        ctx.save_for_backward(x, *given, *found[:-1])
        return found[-1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        depth = (len(ctx.saved_tensors) + 1) // 3
        x, *rest = ctx.saved_tensors
        weights, biases, hidden = rest[:depth], rest[depth : 2 * depth], [x, *rest[2 * depth :]]
        if torch.is_grad_enabled():  # create_graph: this gradient will be differentiated again
            return again(_plain, x, weights, biases, grad, ctx.needs_input_grad)
        of_weights, of_biases = [], []
        for i in reversed(range(depth)):
            of_biases.append(grad.sum(1, keepdim=True) if biases[i].shape[1] == 1 else grad)
            of_weights.append(product(grad, hidden[i].T))
            if i:
                grad = torch.ops.aten.threshold_backward(product(weights[i].T, grad), hidden[i], 0)
        of_x = product(weights[0].T, grad) if ctx.needs_input_grad[0] else None
        return (of_x, *reversed(of_weights), *reversed(of_biases))


def again(
    plain: Callable[[Tensor, Sequence[Tensor], Sequence[Tensor]], Tensor],
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    grad: Tensor,
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients of x, weights and biases through the plain version of a network, as a graph."""
    wanted = [given for given, need in zip((x, *weights, *biases), needs) if need]
    found = iter(torch.autograd.grad(plain(x, weights, biases), wanted, grad, create_graph=True))
    return tuple(next(found) if need else None for need in needs)
