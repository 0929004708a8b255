"""Claims A2, A3 and A4, and how many steps a parallel schedule takes, number by number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import jensen
from jensen.errors import Cannot, UsageError
from jensen.functional.masks import conv_mask
from jensen.functional.receptive import dependence
from jensen.functional.schedule import blind_spot_curve, parallel_schedule
from jensen.nn.masked import MaskedConv2d


def masked(kinds: str, kernels: tuple[int, ...] | int = 3, channels: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    sizes = (kernels,) * len(kinds) if isinstance(kernels, int) else kernels
    widths = [1, *[channels] * (len(kinds) - 1), 1]
    masks = [conv_mask(k, o, i, s) for k, o, i, s in zip(kinds, widths[1:], widths, sizes)]
    return nn.Sequential(*(MaskedConv2d(mask) for mask in masks))


A2 = {
    "AA": "11 12 13 14 15 / 21 22 23 / 31",
    "AB": "11 12 13 14 15 / 21 22 23 24 / 31 32",
    "BA": "11 12 13 14 15 / 21 22 23 24 / 31 32",
    "BB": "11 12 13 14 15 / 21 22 23 24 / 31 32 33",
}


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("kinds", A2)
def test_a2_receptive_field_of_pixel_33_of_two_masked_layers(kinds: str, channels: int) -> None:
    field = jensen.receptive_field(masked(kinds, channels=channels), (1, 5, 5), (2, 2))
    seen = [f"{row + 1}{column + 1}" for _, row, column in zip(*field.nonzero())]
    assert seen == A2[kinds].replace("/", "").split()


PATHS = {
    "AA": ["12321", "22200", "10000"],
    "AB": ["12321", "23310", "11000"],
    "BA": ["12321", "23310", "11000"],
    "BB": ["12321", "24420", "12100"],
}


@pytest.mark.parametrize("kinds", PATHS)
def test_number_of_paths_to_pixel_33(kinds: str) -> None:
    net = masked(kinds).double()
    for layer in net:
        nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    (paths,) = torch.autograd.grad(net(x)[0, 0, 2, 2], x)
    rows = ["".join(str(round(v)) for v in row) for row in paths[0, 0].tolist()]
    assert rows == [*PATHS[kinds], "00000", "00000"]
    field = jensen.receptive_field(net, (1, 5, 5), (2, 2))
    assert torch.equal(torch.from_numpy(field), paths[0] > 0)


DEPTHS = {1: 11, 2: 21, 5: 69, 10: 209, 15: 328, 30: 328}


def test_a3_the_blind_spot_stays_at_any_depth() -> None:
    curve = blind_spot_curve(list(DEPTHS))
    assert curve.reached.tolist() == list(DEPTHS.values())
    assert curve.earlier == 406 and curve.layers.tolist() == list(DEPTHS)
    assert torch.allclose(curve.share, curve.reached / 406)


@pytest.mark.parametrize("depth", [1, 5, 15])
def test_a3_a_module_reaches_as_many_pixels_as_the_curve_says(depth: int) -> None:
    field = jensen.receptive_field(masked("A" + "B" * depth), (1, 28, 28), (14, 14))
    assert field.sum() == DEPTHS[depth]
    assert not field.reshape(-1)[14 * 28 + 14 :].any()


def test_a3_two_stacks_with_one_shift_at_the_link_have_no_blind_spot() -> None:
    torch.manual_seed(0)
    size, side = 5, 9
    vertical = nn.ModuleList(nn.Conv2d(1, 1, (2, 3)) for _ in range(size))
    horizontal = nn.ModuleList(nn.Conv2d(1, 1, (1, 2)) for _ in range(size))

    def model(x: Tensor) -> Tensor:
        v, h = x, F.pad(x, (1, -1))  # h begins left of the pixel
        for down, right in zip(vertical, horizontal):
            v = torch.tanh(down(F.pad(v, (1, 1, 1, 0))))
            link = F.pad(v, (0, 0, 1, -1))  # one row down: v sees its own row
            h = torch.tanh(right(F.pad(h, (1, 0))) + link)
        return h

    matrix = dependence(model, (1, side, side)).require()
    assert not matrix.triu().any()
    stack = dependence(masked("A" + "B" * 12), (1, side, side)).require()
    place = 4 * side + 4
    assert matrix[place, side : 4 * side].all()  # all but what five layers cannot reach from above
    assert not stack[place, :place].all()


class Transformer(nn.Module):
    def __init__(self, causal: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.embed, self.place = nn.Embedding(5, 8), nn.Parameter(torch.randn(7, 8))
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head, self.causal = nn.Linear(8, 5), causal

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(7) if self.causal else None
        return self.head(self.body(self.embed(x) + self.place, mask=mask, is_causal=self.causal))


@pytest.mark.parametrize("training", [False, True])
def test_a4_the_same_audit_proves_a_causal_mask(training: bool) -> None:
    found = dependence(Transformer(True).train(training), (7,), dtype=torch.int64)
    places = found.require().view(7, 5, 7).any(1)
    assert torch.equal(places, torch.ones(7, 7, dtype=torch.bool).tril())
    assert found.rows_mix is False
    assert dependence(Transformer(False).train(training), (7,), dtype=torch.int64).require().all()


def test_a4_an_attention_mask_off_by_one_is_found() -> None:
    def model(x: Tensor) -> Tensor:
        later = torch.ones(6, 6, dtype=torch.bool).triu(2)
        return (x @ x.mT).masked_fill(later, -torch.inf).softmax(-1) @ x

    places = dependence(model, (6, 2)).require().view(6, 2, 6, 2).any(3).any(1)
    assert torch.equal(places, torch.ones(6, 6, dtype=torch.bool).tril(1))


STACKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "A and B, 3x3": (lambda: masked("AB"), 82),
    "A 7x7 and five B": (lambda: masked("ABBBBB", (7, 3, 3, 3, 3, 3)), 136),
}


@pytest.mark.parametrize("name", STACKS)
def test_levels_of_a_schedule_at_28x28(name: str) -> None:
    factory, levels = STACKS[name]
    matrix = dependence(factory(), (1, 28, 28)).require()
    level = parallel_schedule(matrix)
    assert level.max() + 1 == levels
    outputs, inputs = matrix.nonzero(as_tuple=True)
    assert (level[inputs] < level[outputs]).all()  # all that a pixel depends on is drawn before it
    for later in level.unique()[1:]:  # and no pixel could come earlier
        assert ((level[inputs] == later - 1) & (level[outputs] == later)).any()


def test_full_causal_attention_takes_one_step_a_pixel() -> None:
    assert torch.equal(parallel_schedule(torch.ones(784, 784).tril(-1)), torch.arange(784))


def test_schedule_of_sites_that_need_each_other_is_refused() -> None:
    with pytest.raises(Cannot, match=r"site (0 <- 1 <- 0|1 <- 0 <- 1)"):
        parallel_schedule([[0, 1], [1, 0]])
    with pytest.raises(Cannot):
        parallel_schedule(dependence(masked("BB"), (1, 5, 5)).require())
    with pytest.raises(UsageError):
        parallel_schedule(torch.zeros(4, 4), sites=3)


def test_schedule_folds_channels() -> None:
    mask = conv_mask("A", 2, 2, 3)
    matrix = dependence(MaskedConv2d(mask), (2, 4, 3)).require()
    one = dependence(MaskedConv2d(mask[:1, :1]), (1, 4, 3)).require()
    assert torch.equal(parallel_schedule(matrix, sites=12), parallel_schedule(one))
