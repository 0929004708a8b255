"""Masks act inside the forward pass: dead weights stay dead, and torch's function transforms see the same model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from jensen.model import Model
from jensen.models.gated_pixelcnn import GatedPixelCNN
from jensen.models.made import MADE
from jensen.models.pixelcnn import PixelCNN
from jensen.models.transformer import Transformer
from jensen.nn.masked import MaskedConv2d, MaskedLinear
from jensen.space import Space

SPACE = Space.levels((1, 3, 4), 3)


def _made() -> Model:
    return MADE(
        SPACE, (16, 16), order=torch.randperm(12, generator=torch.Generator().manual_seed(3)).tolist()
    )


def _pixelcnn() -> Model:
    return PixelCNN(SPACE, 8, 2, kernel=5)


def _gated() -> Model:
    return GatedPixelCNN(SPACE, 8, 2, kernel=5)


def _transformer() -> Model:
    return Transformer(SPACE, 16, 2, 2, order="random")


@pytest.fixture(params=[_made, _pixelcnn])
def masked(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(0)
    built: Model = request.param()
    return built.eval()


@pytest.fixture(
    params=[_made, _pixelcnn, _gated, _transformer], ids=["made", "pixelcnn", "gated", "transformer"]
)
def model(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(0)
    built: Model = request.param()
    return built.eval()


@pytest.fixture
def rows() -> Tensor:
    return torch.randint(3, (8, 1, 3, 4), generator=torch.Generator().manual_seed(1))


def _masked(model: nn.Module) -> list[MaskedLinear | MaskedConv2d]:
    return [layer for layer in model.modules() if isinstance(layer, (MaskedLinear, MaskedConv2d))]


def test_dead_weights_get_a_gradient_of_exactly_zero(masked: Model, rows: Tensor) -> None:
    masked.log_prob(rows).sum().backward()
    for layer in _masked(masked):
        assert layer.weight.grad is not None
        assert bool((layer.weight.grad[layer.mask == 0] == 0).all())
        assert bool((layer.weight[layer.mask == 0] == 0).all())


def test_dead_weights_stay_zero_under_adamw(masked: Model, rows: Tensor) -> None:
    optimiser = torch.optim.AdamW(masked.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (-masked.log_prob(rows).mean()).backward()
        optimiser.step()
    dead = [layer.weight[layer.mask == 0] for layer in _masked(masked)]
    assert sum(part.numel() for part in dead) > 0
    assert all(bool((part == 0).all()) for part in dead)


def test_functional_call_is_the_model(model: Model, rows: Tensor) -> None:
    """Weights handed in from outside act as the model's own: nothing is changed in place."""
    scaled = {name: 1.5 * value for name, value in model.named_parameters()}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrapped = _Scored(model)
    outside = functional_call(wrapped, {f"model.{name}": value for name, value in scaled.items()}, (rows,))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.load_state_dict(scaled)
    assert torch.equal(outside, model.log_prob(rows))


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch maps its fused attention row by row
@pytest.mark.parametrize("inputs", ["scaled", "onehot"])
@pytest.mark.parametrize(
    ("cls", "hyper"),
    [
        (PixelCNN, {"channels": 8, "layers": 2, "kernel": 5}),
        (GatedPixelCNN, {"channels": 8, "layers": 2, "kernel": 5}),
        (Transformer, {"width": 16, "layers": 2, "heads": 2}),
    ],
    ids=["pixelcnn", "gated", "transformer"],
)
def test_gradients_a_row_by_vmap_add_up_to_the_gradient(
    cls: type[Model], hyper: dict[str, Any], inputs: str, rows: Tensor
) -> None:
    torch.manual_seed(0)
    wrapped = _Scored(cls(SPACE, **hyper, inputs=inputs).eval())
    weights = {name: value.detach() for name, value in wrapped.named_parameters()}

    def score(weights: dict[str, Tensor], row: Tensor) -> Tensor:
        value: Tensor = functional_call(wrapped, weights, (row.unsqueeze(0),))
        return value.sum()

    by_row = vmap(grad(score), in_dims=(None, 0))(weights, rows)
    wrapped(rows).sum().backward()
    for name, value in wrapped.named_parameters():
        assert value.grad is not None
        # eight rows, a few hundred products each: 1e-5 is a hundred roundings of float32
        torch.testing.assert_close(by_row[name].sum(0), value.grad, rtol=1e-4, atol=1e-5)


def test_exported_program_is_the_model(model: Model, rows: Tensor) -> None:
    wrapped = _Scored(model)
    program = torch.export.export(wrapped, (rows,))
    torch.testing.assert_close(program.module()(rows.flip(0)), wrapped(rows.flip(0)), rtol=1e-5, atol=1e-5)


class _Scored(nn.Module):
    """log_prob as the forward pass."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x)
