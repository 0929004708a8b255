"""What an audit relies on: planted leaks are found, clean models pass, and what is not proven is said to be so."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import jensen
from jensen.errors import Cannot, UsageError
from jensen.functional.jacobian import jacobian_lower_bound
from jensen.functional.masks import conv_mask
from jensen.functional.receptive import dependence
from jensen.models.made import MADE
from jensen.models.pixelcnn import PixelCNN
from jensen.nn.masked import MaskedConv2d, MaskedLinear
from jensen.space import Space


def stack(*between: nn.Module, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    masks = [conv_mask("A", 2, 1, 3), *[conv_mask("B", 2, 2, 3)] * 2, conv_mask("B", 1, 2, 1)]
    first, *rest = (MaskedConv2d(mask) for mask in masks)
    return nn.Sequential(first, *between, *(layer for conv in rest for layer in (activation(), conv)))


def leaks(module: nn.Module, side: int = 5) -> int:
    return int(dependence(module, (1, side, side)).require().triu().sum())


def test_clean_stack_has_no_leak_and_every_link_is_used() -> None:
    net = stack(activation=nn.Tanh)
    matrix = dependence(net, (1, 5, 5)).require()
    assert not matrix.triu().any()
    assert torch.equal(matrix, jacobian_lower_bound(net.double(), (1, 5, 5), inputs=12))


def test_weight_of_1e_30_is_a_leak_that_gradients_underflow_on() -> None:
    net = stack()
    with torch.no_grad():
        for layer in net[2], net[4]:
            layer.mask[0, 0, 1, 2] = 1
            layer.weight[0, 0, 1, 2] = 1e-30
    found = dependence(net, (1, 5, 5)).require()
    seen = jacobian_lower_bound(net, (1, 5, 5))
    assert not (seen & ~found).any()
    assert found.triu().sum() > seen.triu().sum()


def test_weight_of_exactly_zero_is_no_leak() -> None:
    net = stack()
    net[2].mask[:, :, 1, 2] = 1
    with torch.no_grad():
        net[2].weight[:, :, 1, 2] = 0
    assert leaks(net) == 0


def test_centre_tap_in_the_first_layer_is_a_leak() -> None:
    net = stack()
    net[0].mask[0, 0, 1, 1] = 1
    with torch.no_grad():
        net[0].weight[0, 0, 1, 1] = 1e-30
    assert dependence(net, (1, 5, 5)).require().diagonal().all()


def test_group_norm_over_space_is_a_leak_and_layer_norm_over_channels_is_not() -> None:
    class Channels(nn.LayerNorm):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    assert leaks(stack(nn.GroupNorm(1, 2))) > 0
    assert leaks(stack(Channels(2))) == 0


def test_batch_norm_mixes_rows_and_positions_in_training_only() -> None:
    net = stack(nn.BatchNorm2d(2))
    before = net[1].running_mean.clone(), net[1].num_batches_tracked.clone()
    found = dependence(net.train(), (1, 5, 5))
    assert found.rows_mix and found.require().triu().any()
    assert torch.equal(before[0], net[1].running_mean) and before[1] == net[1].num_batches_tracked
    found = dependence(net.eval(), (1, 5, 5))
    assert found.rows_mix is False and not found.require().triu().any()


def test_rows_that_mix_are_told_whatever_mixes_them() -> None:
    assert dependence(lambda x: x.flip(0), (2,)).rows_mix
    assert dependence(lambda x: x - x.mean(0), (2,)).rows_mix
    assert dependence(lambda x: x.cumsum(0), (2,)).rows_mix
    assert dependence(lambda x: x @ torch.ones(2, 2), (2,)).rows_mix is False


def test_a_dead_relu_hides_no_leak() -> None:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.bias, -1e6)
    assert dependence(nn.Sequential(layer, nn.ReLU()), (2,)).require().all()
    assert not jacobian_lower_bound(nn.Sequential(layer, nn.ReLU()), (2,)).any()


MODELS: dict[str, Callable[[Space], Any]] = {
    "made": lambda space: MADE(space),
    "made, one-hot": lambda space: MADE(space, inputs="onehot"),
    "pixelcnn": lambda space: PixelCNN(space, 12, 2),
}
SPACES = {"grey": Space.levels((1, 8, 8), 17), "colour": Space.levels((3, 4, 5), 4)}


def ordered(model: Any, space: Space) -> Tensor:
    """Between sites, in the model's order: OR over the parameters of a site."""
    found = dependence(model.conditionals, space.shape, dtype=torch.int64)
    assert found.proven and found.rows_mix is False
    sites = found.require().view(space.dims, -1, space.dims).any(1)
    return sites[model.order][:, model.order]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", MODELS)
def test_conditionals_depend_on_earlier_sites_only_at_any_weights(name: str, space: str) -> None:
    torch.manual_seed(3)
    model = MODELS[name](SPACES[space]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 10.0)
    links = ordered(model, SPACES[space])
    assert not links.triu().any()
    if name.startswith("made"):
        assert torch.equal(links, torch.ones_like(links).tril(-1))


def test_a_leak_planted_in_a_made_is_found_at_its_site() -> None:
    space = Space.levels((6,), 3)
    model = MADE(space).eval()
    last = [layer for layer in model.modules() if isinstance(layer, MaskedLinear)][-1]
    last.mask.fill_(1)
    with torch.no_grad():
        last.weight[last.weight == 0] = 1e-30
    assert ordered(model, space).triu().any()


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_integer_inputs_through_embedding_and_one_hot(dtype: torch.dtype) -> None:
    table = nn.Embedding(3, 2)
    mask = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 0, 0.0]])

    def model(x: Tensor) -> Tensor:
        both = torch.cat([table(x.long()), F.one_hot(x.long(), 3)], -1)
        return torch.einsum("nif,oi->nof", both, mask)

    found = dependence(model, (3,), dtype=dtype)
    assert found.require().view(3, 5, 3).any(1).int().tolist() == mask.int().tolist()
    seen = jacobian_lower_bound(model, (3,), dtype=dtype, levels=2)
    assert not (seen & ~found.require()).any()


def test_constants_of_one_times_integer_zeros_keep_the_link() -> None:
    found = dependence(lambda x: torch.ones(len(x), 2).mul_(x), (2,), dtype=torch.int64)
    assert found.require().tolist() == [[True, False], [False, True]]


def branch(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


def through_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(np.sin(x.numpy()))


def in_another_thread(x: Tensor) -> Tensor:
    """Modes of torch end at the thread: nothing there is followed."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.flip, x, (1,)).result()


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (branch, "_local_scalar_dense"),
        (lambda x: x * x[0, 0].item(), "_local_scalar_dense"),
        (lambda x: x * float(x.mean()), "_local_scalar_dense"),
        (lambda x: x * x.tolist()[0][0], "tolist"),
        (through_numpy, "numpy"),
        (lambda x: x.clone().apply_(lambda value: value), "apply_"),
        (lambda x: x[x[:, 0] > 0].expand(len(x), 3), "index"),
        (lambda x: x * len(x.nonzero()), "nonzero"),
        (lambda x: torch.histc(x, 3).expand(len(x), 3), "histc"),
        (lambda x: x if torch.equal(x, x.flip(1)) else -x, "equal"),
        (lambda x: x.to_sparse().to_dense(), "sparse"),
        (lambda x: x.to_sparse(), "sparse"),
        (in_another_thread, "outside torch's dispatcher"),
    ],
)
def test_what_has_no_rule_is_named(function: Callable[[Tensor], Tensor], named: str) -> None:
    found = dependence(function, (3,))
    assert not found.proven and found.matrix is None and found.rows_mix is None
    assert named in "; ".join(found.reasons)
    with pytest.raises(Cannot, match=named):
        jensen.receptive_field(function, (3,), 0)


def test_custom_operation_is_named() -> None:
    with torch.library._scoped_library("jensen_test", "FRAGMENT") as library:
        library.define("mystery(Tensor x) -> Tensor")
        library.impl("mystery", lambda x: x + 1, "CPU")
        found = dependence(lambda x: torch.ops.jensen_test.mystery(x), (2,))
    assert found.reasons == ("jensen_test.mystery",)


def test_random_numbers_are_no_constants() -> None:
    found = dependence(lambda x: x * (torch.rand(2) > 2), (2,))
    assert found.require().tolist() == [[True, False], [False, True]]
    assert dependence(nn.Dropout(0.5), (2,)).require().tolist() == [[True, False], [False, True]]
    assert dependence(lambda x: x * torch.zeros(2).random_(0, 1), (2,)).require().diagonal().all()


def test_positions() -> None:
    conv = nn.Conv2d(1, 3, 3, padding=1)
    field = jensen.receptive_field(conv, (1, 5, 5), (2, 2))
    assert field.dtype == bool and field.shape == (1, 5, 5)
    assert field[0, 1:4, 1:4].all() and field.sum() == 9
    assert np.array_equal(field, jensen.receptive_field(conv, (1, 5, 5), (1, 2, 2)))
    assert jensen.receptive_field(conv, (1, 5, 5), (slice(None), 0, None)).sum() == 10
    sequence = nn.Sequential(nn.Embedding(2, 4), nn.Linear(4, 3))
    assert jensen.receptive_field(sequence, (6,), 4, dtype=torch.int64).nonzero()[0].tolist() == [4]


@pytest.mark.parametrize("position", [(5, 0), (-1, 0), (0, 0, 0, 0), (), "ab", 1.5, (0, 0.5)])
def test_wrong_positions_are_refused_in_three_parts(position: Any) -> None:
    with pytest.raises(UsageError) as error:
        jensen.receptive_field(nn.Conv2d(1, 1, 3, padding=1), (1, 5, 5), position)
    assert error.value.wrong and error.value.given and error.value.do


@pytest.mark.parametrize(
    ("function", "shape"),
    [(nn.Linear(3, 1), (4,)), (nn.Linear(3, 1), (0,)), (lambda x: (x, x), (2,)), (lambda x: x.sum(), (2,))],
)
def test_modules_that_do_not_fit_are_refused(
    function: Callable[[Tensor], Any], shape: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError):
        dependence(function, shape)


def test_buffers_random_state_and_switches_are_left_as_they_were() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.arange(4.0))

        def forward(self, x: Tensor) -> Tensor:
            self.seen[:1] += 1
            self.seen[1:] *= 2
            return x + torch.rand(())

    net, state = Counter(), torch.get_rng_state()
    dependence(net, (2,))
    assert net.seen.tolist() == [0, 1, 2, 3]
    assert torch.equal(state, torch.get_rng_state()) and torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled() and torch.backends.mkldnn.enabled
