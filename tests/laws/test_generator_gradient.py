"""The check of a generator's gradient finds what it is there for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from jensen.checks import run
from jensen.models.gan import GAN
from jensen.space import Space


def _detached(model: GAN) -> None:
    draw = model.draw
    model.draw = lambda *a: draw(*a).detach()  # type: ignore[method-assign]


def _unused(model: GAN) -> None:
    model.idle = torch.nn.Linear(2, 2)


def _dead(model: GAN) -> None:
    with torch.no_grad():
        model.net.net.first.weight.zero_()
        model.net.net.first.bias.fill_(-1)
        for block in model.net.net.blocks:
            block[3].weight.zero_()
            block[3].bias.zero_()


@pytest.mark.parametrize("fault", [_detached, _unused, _dead])
def test_a_weight_without_a_gradient_is_found(fault: Callable[[GAN], None]) -> None:
    model = GAN(Space.real(3), latents=4, width=16, depth=1)
    assert run("generator_gradient", model, None, model.space, seed=0).holds
    fault(model)
    assert run("generator_gradient", model, None, model.space, seed=0).holds is False


def test_it_applies_to_conditional_generators_and_to_nothing_else() -> None:
    model = GAN(Space.real(3), latents=4, width=16, depth=1, context=Space.categorical(1, 3))
    verdict = run("generator_gradient", model, None, model.space, seed=0)
    # one class: the columns of the other classes in the first layer are zero, yet not the whole weight
    assert verdict.holds, verdict.evidence
    assert run("generator_gradient", torch.nn.Linear(2, 2)).holds is None
