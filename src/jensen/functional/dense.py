"""relu networks over rows, x (n, inside) -> (n, out), with their own gradient: `functional.columns` turned on its side.

One node of autograd a network, and the products of float32 on a CPU go through oneDNN, bias and relu within them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from jensen.functional.columns import again, layers_may_be_fused, linear, product


def network(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """relu(... relu(x W_1^T + b_1) ...) W_L^T + b_L for x (n, inside), W (out, in), b (out,).

    Gradients to any order (the second and later through the plain version).

    >>> network(
    ...     torch.tensor([[1.0], [-1.0]]),
    ...     [torch.ones(2, 1), torch.ones(1, 2)],
    ...     [torch.zeros(2), torch.zeros(1)],
    ... )
    tensor([[2.],
            [0.]])
    """
    if not layers_may_be_fused(x):
        return _plain(x, weights, biases)
    if torch.is_grad_enabled():
        found: Tensor = _Network.apply(x, *weights, *biases)
        return found
    for weight, bias in zip(weights[:-1], biases[:-1]):
        x = linear(x, weight, bias, relu=True)
    return linear(x, weights[-1], biases[-1])


def _plain(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        x = F.linear(x.relu() if i else x, weight, bias)
    return x


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *given: Tensor) -> Tensor:
        depth = len(given) // 2
        weights, biases = given[:depth], given[depth:]
        found = [x]
        for i in range(depth):
            found.append(linear(found[-1], weights[i], biases[i], relu=i < depth - 1))
        ctx.save_for_backward(*found[:-1], *given)
        return found[-1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        depth = len(saved) // 3
        inputs, weights, biases = saved[:depth], saved[depth : 2 * depth], saved[2 * depth :]
        if torch.is_grad_enabled():  # create_graph: this gradient will be differentiated again
            return again(_plain, inputs[0], weights, biases, grad, ctx.needs_input_grad)
        of_weights, of_biases = [], []
        for i in reversed(range(depth)):
            of_biases.append(grad.sum(0))
            of_weights.append(product(grad.T, inputs[i]))
            if i:
                grad = torch.ops.aten.threshold_backward(product(grad, weights[i]), inputs[i], 0)
        of_x = product(grad, weights[0]) if ctx.needs_input_grad[0] else None
        return (of_x, *reversed(of_weights), *reversed(of_biases))
