"""A relu network over rows is the same function, with the same gradients, as its layers one by one."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from jensen.functional.dense import network


def layers(sizes: list[int], n: int, dtype: torch.dtype) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    pairs = list(itertools.pairwise(sizes))
    return draw(n, sizes[0]), [draw(b, a) for a, b in pairs], [draw(b) for _, b in pairs]


@pytest.mark.parametrize("sizes", [[3, 2], [3, 5, 2], [3, 5, 4, 2]])
def test_gradients_of_both_orders_are_those_of_finite_differences(sizes: list[int]) -> None:
    x, weights, biases = layers(sizes, 4, torch.float64)

    def run(x: Tensor, *given: Tensor) -> Tensor:
        return network(x, given[: len(weights)], given[len(weights) :])

    assert torch.autograd.gradcheck(run, (x, *weights, *biases))
    assert torch.autograd.gradgradcheck(run, (x, *weights, *biases))


def test_large_products_in_float32_are_those_of_float64_to_rounding() -> None:
    x, weights, biases = layers([64, 128, 128, 200], 512, torch.float32)
    given = (x, *weights, *biases)
    exact = [one.detach().double().requires_grad_() for one in given]
    truth = exact[0]
    for i, (weight, bias) in enumerate(zip(exact[1:4], exact[4:])):
        truth = F.linear(truth.relu() if i else truth, weight, bias)
    found = network(x, weights, biases)
    with torch.no_grad():
        torch.testing.assert_close(network(x, weights, biases), found.detach(), rtol=0, atol=0)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(found, given, direction)
    truths = torch.autograd.grad(truth, exact, direction.double())
    # sums of up to 512 terms, three deep: some hundred roundings of 6e-8 of the largest value
    for one, true in zip((found, *grads), (truth, *truths)):
        assert bool((one - true).detach().abs().max() < 1e-5 * true.detach().abs().max())
