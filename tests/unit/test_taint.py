"""Forward taint against changed inputs: it never says less than a change shows, and no more where nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.functional.receptive import dependence


def constant(*shape: int) -> Tensor:
    """Random numbers that do not depend on the input, the same in every call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def changed(module: Callable[[Tensor], Tensor], shape: tuple[int, ...], tries: int = 6) -> Tensor:
    """Pairs (outputs, inputs) that are linked at some random row: the output changes, bit for bit, with the input."""
    generator, found = torch.Generator().manual_seed(0), None
    for _ in range(tries):
        rows = torch.rand(2, *shape, generator=generator, dtype=torch.float64)
        before = module(rows.clone())[0].flatten()
        links = torch.zeros(before.numel(), rows[0].numel(), dtype=torch.bool)
        for place in range(rows[0].numel()):
            other = rows.clone()
            other[0].view(-1)[place] = torch.rand((), generator=generator, dtype=torch.float64) * 3 - 1
            links[:, place] = module(other)[0].flatten() != before
        found = links if found is None else found | links
    assert found is not None
    return found


@torch.no_grad()
def check(module: Callable[[Tensor], Tensor], shape: tuple[int, ...], exact: bool) -> None:
    found = dependence(module, shape, dtype=torch.float64)
    assert found.proven, found.reasons
    links, matrix = changed(module, shape), found.require()
    assert not (links & ~matrix).any()
    if exact:
        assert torch.equal(links, matrix)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(4, 3), (4,)),
    "linear over places": (lambda: nn.Linear(3, 2), (2, 3)),
    "bilinear of one input": (lambda: Twice(nn.Bilinear(3, 3, 2)), (3,)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 6)),
    "conv1d dilated": (lambda: nn.Conv1d(1, 1, 3, dilation=2), (1, 9)),
    "conv1d causal": (lambda: nn.Sequential(nn.ConstantPad1d((2, 0), 1.0), nn.Conv1d(1, 1, 3)), (1, 6)),
    "conv2d": (lambda: nn.Conv2d(2, 2, 3, padding=1), (2, 4, 5)),
    "conv2d stride": (lambda: nn.Conv2d(1, 2, 3, stride=2, padding=1), (1, 5, 6)),
    "conv2d rectangle": (lambda: nn.Conv2d(1, 1, (1, 3), stride=(2, 1), dilation=(1, 2)), (1, 4, 6)),
    "conv2d groups": (lambda: nn.Conv2d(4, 2, 3, padding=1, groups=2), (4, 3, 3)),
    "conv2d depthwise": (lambda: nn.Conv2d(2, 4, 3, padding=1, groups=2), (2, 3, 4)),
    "conv2d same": (lambda: nn.Conv2d(1, 1, (2, 3), padding="same"), (1, 4, 4)),
    "conv2d circular": (lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), (1, 4, 4)),
    "conv2d reflect": (lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), (1, 4, 4)),
    "conv2d replicate": (lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate"), (1, 4, 4)),
    "conv3d": (lambda: nn.Conv3d(1, 1, 2, padding=1, stride=2), (1, 3, 3, 2)),
    "transposed conv1d": (lambda: nn.ConvTranspose1d(1, 2, 3, stride=2), (1, 4)),
    "transposed conv2d": (lambda: nn.ConvTranspose2d(2, 2, 3, stride=2, output_padding=1), (2, 3, 2)),
    "transposed conv2d groups": (lambda: nn.ConvTranspose2d(2, 2, 2, groups=2, dilation=2), (2, 3, 3)),
    "transposed conv3d": (lambda: nn.ConvTranspose3d(1, 1, 2), (1, 2, 2, 2)),
    "unfold and fold": (lambda: nn.Sequential(nn.Unfold(2), nn.Fold((3, 3), 2)), (1, 3, 3)),
    "layer norm": (lambda: nn.LayerNorm(3), (2, 3)),
    "layer norm over two dims": (lambda: nn.LayerNorm((3, 2)), (2, 3, 2)),
    "group norm": (lambda: nn.GroupNorm(2, 4), (4, 2, 2)),
    "instance norm": (lambda: nn.InstanceNorm2d(2, affine=True), (2, 2, 2)),
    "rms norm": (lambda: nn.RMSNorm(3), (2, 3)),
    "batch norm, eval": (lambda: nn.BatchNorm2d(2).eval(), (2, 3, 2)),
    "batch norm, train": (lambda: nn.BatchNorm2d(2), (2, 2, 2)),
    "batch norm 1d, train": (lambda: nn.BatchNorm1d(3, track_running_stats=False), (3,)),
    "local response norm": (lambda: nn.LocalResponseNorm(2), (4, 3)),
    "max pool": (lambda: nn.MaxPool2d(2, stride=1, padding=1), (1, 3, 4)),
    "max pool 1d": (lambda: nn.MaxPool1d(3, stride=2), (2, 7)),
    "average pool": (lambda: nn.AvgPool2d(2, ceil_mode=True), (2, 3, 3)),
    "average pool 1d": (lambda: nn.AvgPool1d(3, padding=1), (1, 7)),
    "adaptive average pool": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (1, 5, 4)),
    "adaptive max pool": (lambda: nn.AdaptiveMaxPool1d(3), (1, 7)),
    "lp pool": (lambda: nn.LPPool1d(3, 2), (1, 6)),
    "upsample nearest": (lambda: nn.Upsample(scale_factor=2), (1, 2, 3)),
    "upsample bilinear": (lambda: nn.Upsample(size=(5, 4), mode="bilinear"), (1, 3, 3)),
    "upsample bilinear, corners": (
        lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        (1, 3, 2),
    ),
    "upsample linear": (lambda: nn.Upsample(size=5, mode="linear"), (1, 3)),
    "upsample trilinear": (lambda: nn.Upsample(size=(2, 3, 4), mode="trilinear"), (1, 2, 2, 2)),
    "upsample bicubic": (lambda: nn.Upsample(size=(5, 5), mode="bicubic"), (1, 4, 4)),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), (4, 2, 2)),
    "pixel unshuffle": (lambda: nn.PixelUnshuffle(2), (1, 4, 4)),
    "channel shuffle": (lambda: nn.ChannelShuffle(2), (4, 2, 2)),
    "activations": (lambda: nn.Sequential(nn.ELU(), nn.SiLU(), nn.GELU(), nn.Softplus(), nn.Tanh()), (3,)),
    "more activations": (lambda: nn.Sequential(nn.PReLU(), nn.Mish(), nn.CELU(), nn.LogSigmoid()), (3,)),
    "hard activations": (lambda: nn.Sequential(nn.Hardswish(), nn.LeakyReLU(), nn.Hardtanh(-4, 4)), (3,)),
    "glu": (lambda: nn.GLU(0 + 1), (4, 2)),
    "softmax": (lambda: nn.Softmax(-1), (2, 3)),
    "log softmax": (lambda: nn.LogSoftmax(1), (2, 3)),
    "flatten": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Unflatten(1, (2, 1))), (2, 2)),
    "dropout, eval": (lambda: nn.Dropout(0.5).eval(), (3,)),
    "residual": (lambda: Residual(nn.Conv1d(1, 1, 3, padding=1)), (1, 5)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), (3,)),
    "attention": (lambda: Attention(), (3, 4)),
    "attention, causal": (lambda: Attention(mask=triangle(3)), (3, 4)),
    "attention, causal float mask": (lambda: Attention(mask=minus_infinity(3)), (3, 4)),
    "encoder layer": (lambda: Encoder(), (3, 4)),
    "encoder layer, causal": (lambda: Encoder(minus_infinity(3)), (3, 4)),
    "encoder layer, eval": (lambda: Encoder(minus_infinity(3)).eval(), (3, 4)),
    "gru": (lambda: First(nn.GRU(2, 2, batch_first=True)), (3, 2)),
    "lstm": (lambda: First(nn.LSTM(2, 2, num_layers=2, batch_first=True)), (3, 2)),
    "rnn, both ways": (lambda: First(nn.RNN(2, 2, batch_first=True, bidirectional=True)), (3, 2)),
    "gru cell": (lambda: nn.GRUCell(2, 3), (2,)),
}


class Twice(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x.flip(-1))


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class First(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]


class Attention(nn.Module):
    def __init__(self, mask: Tensor | None = None) -> None:
        super().__init__()
        self.inner, self.mask = nn.MultiheadAttention(4, 2, batch_first=True), mask

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, attn_mask=self.mask, need_weights=False)[0]


class Encoder(nn.Module):
    def __init__(self, mask: Tensor | None = None) -> None:
        super().__init__()
        self.inner, self.mask = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), mask

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, src_mask=self.mask, is_causal=self.mask is not None)


def triangle(n: int) -> Tensor:
    """True where attention is forbidden."""
    return torch.ones(n, n, dtype=torch.bool).triu(1)


def minus_infinity(n: int) -> Tensor:
    return torch.zeros(n, n, dtype=torch.float64).masked_fill(triangle(n), -torch.inf)


@pytest.mark.parametrize("name", MODULES)
def test_taint_of_a_layer_is_what_changed_inputs_show(name: str) -> None:
    torch.manual_seed(1)
    factory, shape = MODULES[name]
    check(factory().double(), shape, exact=True)


@pytest.mark.parametrize("seed", range(24))
def test_taint_holds_for_random_compositions(seed: int) -> None:
    torch.manual_seed(seed)
    check(Composed(6).double(), (2, 3, 4), exact=False)


@pytest.mark.parametrize("seed", range(8))
def test_taint_of_random_sparse_linear_stacks_is_exact(seed: int) -> None:
    torch.manual_seed(seed)
    layers = [nn.Linear(5, 5) for _ in range(3)]
    for layer in layers:
        layer.weight.data *= torch.rand(5, 5) < 0.35
    check(nn.Sequential(*layers).double(), (5,), exact=True)


class Composed(nn.Module):
    """A seeded chain of operations that keep the shape (channels, height, width), with sparse weights."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(length))
        self.kinds = torch.randint(12, (length,)).tolist()
        for conv in self.convs:
            conv.weight.data *= torch.rand_like(conv.weight) < 0.2

    def forward(self, x: Tensor) -> Tensor:
        for kind, conv in zip(self.kinds, self.convs):
            x = self.step(kind, conv, x)
        return x

    def step(self, kind: int, conv: nn.Module, x: Tensor) -> Tensor:
        steps: list[Callable[[Tensor], Tensor]] = [
            lambda x: conv(x),
            lambda x: x + conv(x).tanh(),
            lambda x: x.roll(1, -1) * constant(3, 4).gt(0),
            lambda x: torch.cat([x[:, 1:], x[:, :1].sigmoid()], 1),
            lambda x: x.transpose(-1, -2).reshape(x.shape),
            lambda x: x.cumsum(-1).sin(),
            lambda x: torch.where(x > 0.3, x, conv(x)),
            lambda x: F.pad(x, (1, 0))[..., :-1].exp().clamp(max=3.0),
            lambda x: written(x, conv),
            lambda x: x.masked_fill(constant(3, 4) > 1, 0.0).softmax(-1),
            lambda x: F.layer_norm(x, (4,)) + x.flip(2).detach(),
            lambda x: torch.einsum("nchw,wv->nchv", x, constant(4, 4).tril()),
        ]
        return steps[kind](x)


def written(x: Tensor, conv: nn.Module) -> Tensor:
    """Writes in place through views."""
    out = torch.zeros_like(x)
    out[:, 0] = x[:, 1]
    out.view(len(x), 2, -1)[:, 1, ::2] += conv(x).flatten(2)[:, 0, 1::2]
    out[..., 0].mul_(2).add_(x[..., -1])
    return out
