"""A relu network over columns is the same function, with the same gradients, as its layers one by one."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from jensen.functional.columns import network


def layers(
    sizes: list[int], n: int, dtype: torch.dtype, wide: bool
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    pairs = list(itertools.pairwise(sizes))
    return draw(sizes[0], n), [draw(b, a) for a, b in pairs], [draw(b, n if wide else 1) for _, b in pairs]


def plain(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        x = weight @ (x.relu() if i else x) + bias
    return x


@pytest.mark.parametrize("wide", [False, True], ids=["one bias", "a bias a column"])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 5, 2], [3, 5, 4, 2]])
def test_gradients_of_both_orders_are_those_of_finite_differences(sizes: list[int], wide: bool) -> None:
    x, weights, biases = layers(sizes, 4, torch.float64, wide)

    def run(x: Tensor, *given: Tensor) -> Tensor:
        return network(x, given[: len(weights)], given[len(weights) :])

    assert torch.autograd.gradcheck(run, (x, *weights, *biases))
    assert torch.autograd.gradgradcheck(run, (x, *weights, *biases))


def test_large_products_in_float32_are_those_of_float64_to_rounding() -> None:
    x, weights, biases = layers([64, 128, 128, 200], 512, torch.float32, False)
    given = (x, *weights, *biases)
    exact = [one.detach().double().requires_grad_() for one in given]
    found, truth = network(x, weights, biases), plain(exact[0], exact[1:4], exact[4:])
    with torch.no_grad():
        torch.testing.assert_close(network(x, weights, biases), found.detach(), rtol=0, atol=0)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad(found, given, direction)
    truths = torch.autograd.grad(truth, exact, direction.double())
    # sums of up to 512 terms, three deep: some hundred roundings of 6e-8 of the largest value
    for one, true in zip((found, *grads), (truth, *truths)):
        assert bool((one - true).detach().abs().max() < 1e-5 * true.detach().abs().max())
