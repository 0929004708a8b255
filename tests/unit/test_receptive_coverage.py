"""What people build autoregressive networks from, held against autograd: the taint never says less than derivatives.

The oracle is the Jacobian in float64 at random inputs and weights: a derivative that is not zero is a link. Where
nothing cancels and nothing is dead the two agree; the table says where the taint is allowed to say more, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.functional.masks import conv_mask
from jensen.functional.receptive import dependence
from jensen.nn.masked import MaskedConv2d

Function = Callable[[Tensor], Tensor]
MAP = (2, 4, 4)
SEQUENCE = (4, 3)
TRIES = 6


def derivatives(module: Function, shape: tuple[int, ...]) -> Tensor:
    """Links (outputs, inputs) of row 0 of two rows: a derivative that is not zero at one of some random inputs."""
    generator, links = torch.Generator().manual_seed(0), []
    for _ in range(TRIES):
        others = torch.randn(1, *shape, generator=generator, dtype=torch.float64)
        row = torch.randn(shape, generator=generator, dtype=torch.float64)

        def first(x: Tensor, others: Tensor = others) -> Tensor:
            return module(torch.cat([x[None], others]))[0].flatten()

        jacobian = torch.autograd.functional.jacobian(first, row, vectorize=False)
        links.append(jacobian.reshape(len(jacobian), -1).ne(0))
    return torch.stack(links).any(0)


@dataclass(frozen=True)
class Case:
    """What to build, its input, and why the taint may say more than derivatives show (empty: it must not)."""

    make: Callable[[], Function]
    shape: tuple[int, ...] = MAP
    coarse: str = ""
    rows_mix: bool = False


class Heads(nn.Module):
    """nn.MultiheadAttention on itself."""

    def __init__(self, mask: Tensor | None = None) -> None:
        super().__init__()
        self.inner, self.mask = nn.MultiheadAttention(4, 2, batch_first=True), mask
        self.into, self.out = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.into(x)
        return self.out(self.inner(h, h, h, attn_mask=self.mask, need_weights=False)[0])


class Attend(nn.Module):
    """F.scaled_dot_product_attention between learnt queries, keys and values."""

    def __init__(self, causal: bool = False, mask: Tensor | None = None) -> None:
        super().__init__()
        self.parts, self.causal, self.mask = nn.Linear(3, 12), causal, mask

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x).chunk(3, -1)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, is_causal=self.causal)


class Over(nn.Module):
    """A layer over the channels of each position."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.movedim(1, -1)).movedim(-1, 1)


class Applied(nn.Module):
    """A function of the input and of what a layer makes of it."""

    def __init__(self, inner: nn.Module, use: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.use = inner, use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(x, self.inner(x))


def later(n: int, above: int = 1) -> Tensor:
    return torch.ones(n, n, dtype=torch.bool).triu(above)


def minus_infinity(n: int) -> Tensor:
    return torch.zeros(n, n, dtype=torch.float64).masked_fill(later(n), -torch.inf)


def conv(**options: object) -> Callable[[], Function]:
    return lambda: nn.Conv2d(2, 2, 3, **options)  # type: ignore[arg-type]


def two_stacks(x: Tensor, h: Tensor) -> Tensor:
    """The link of two stacks: one row down, then one column to the right."""
    return F.pad(h, (0, 0, 1, -1)) + F.pad(x, (1, -1))


def gated(x: Tensor, h: Tensor) -> Tensor:
    a, b = h.chunk(2, 1)
    return x + a.tanh() * b.sigmoid()


def sampled(x: Tensor) -> Tensor:
    return F.interpolate(F.interpolate(x, scale_factor=0.5, mode="area"), scale_factor=2, mode="nearest")


INDEX = torch.tensor([3, 0, 0, 2])
WEIGHT = torch.linspace(-1, 1, 16, dtype=torch.float64).add(0.01).reshape(4, 4)
DEAD = "one element of a window has the derivative, whichever is the largest at this input"

CASES: dict[str, Case] = {
    "attention, no mask": Case(lambda: Attend(), SEQUENCE),
    "attention, causal": Case(lambda: Attend(causal=True), SEQUENCE),
    "attention, mask of booleans": Case(lambda: Attend(mask=~later(4)), SEQUENCE),
    "attention, mask of -inf": Case(lambda: Attend(mask=minus_infinity(4)), SEQUENCE),
    "attention, a mask of holes": Case(lambda: Attend(mask=torch.eye(4).bool() | later(4, 2)), SEQUENCE),
    "MultiheadAttention, no mask": Case(lambda: Heads(), SEQUENCE),
    "MultiheadAttention, causal": Case(lambda: Heads(later(4)), SEQUENCE),
    "MultiheadAttention, mask of -inf": Case(lambda: Heads(minus_infinity(4)), SEQUENCE),
    "GroupNorm, one group": Case(lambda: nn.GroupNorm(1, 2)),
    "GroupNorm, two groups": Case(lambda: nn.GroupNorm(2, 4), (4, 2, 2)),
    "LayerNorm over channels": Case(lambda: Over(nn.LayerNorm(3)), (3, 3, 2)),
    "LayerNorm over space": Case(lambda: nn.LayerNorm((4, 4)), MAP),
    "LayerNorm over all": Case(lambda: nn.LayerNorm(MAP)),
    "InstanceNorm": Case(lambda: nn.InstanceNorm2d(2)),
    "InstanceNorm with statistics, eval": Case(lambda: nn.InstanceNorm2d(2, track_running_stats=True).eval()),
    "BatchNorm, train": Case(lambda: nn.BatchNorm2d(2), rows_mix=True),
    "BatchNorm, eval": Case(lambda: nn.BatchNorm2d(2).eval()),
    "BatchNorm without statistics, eval": Case(
        lambda: nn.BatchNorm2d(2, track_running_stats=False).eval(), rows_mix=True
    ),
    "padding zeros": Case(conv(padding=1)),
    "padding circular": Case(conv(padding=1, padding_mode="circular")),
    "padding reflect": Case(conv(padding=1, padding_mode="reflect")),
    "padding replicate": Case(conv(padding=1, padding_mode="replicate")),
    "dilation": Case(conv(padding=2, dilation=2)),
    "stride": Case(conv(padding=1, stride=2)),
    "ConvTranspose, stride 2": Case(lambda: nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1)),
    "ConvTranspose, dilation and groups": Case(lambda: nn.ConvTranspose2d(2, 2, 2, dilation=2, groups=2)),
    "down and up by strides": Case(
        lambda: nn.Sequential(nn.Conv2d(2, 2, 2, 2), nn.Tanh(), nn.ConvTranspose2d(2, 2, 2, 2))
    ),
    "Upsample nearest": Case(lambda: nn.Upsample(scale_factor=2, mode="nearest"), (1, 3, 3)),
    "Upsample bilinear": Case(lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 3, 3)),
    "Upsample bilinear, corners": Case(
        lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), (1, 3, 3)
    ),
    "down by area, up by nearest": Case(lambda: sampled),
    "AvgPool": Case(lambda: nn.AvgPool2d(2)),
    "AvgPool with padding": Case(lambda: nn.AvgPool2d(3, 1, 1)),
    "MaxPool": Case(lambda: nn.MaxPool2d(3, 2, 1), coarse=DEAD),
    "PixelShuffle": Case(lambda: nn.PixelShuffle(2), (4, 2, 3)),
    "PixelUnshuffle": Case(lambda: nn.PixelUnshuffle(2)),
    "channel order, mask A": Case(lambda: MaskedConv2d(conv_mask("A", 6, 3, 3, channel_groups=3)), (3, 3, 4)),
    "channel order, mask A then B": Case(
        lambda: nn.Sequential(
            MaskedConv2d(conv_mask("A", 6, 3, 3, channel_groups=3)),
            nn.Tanh(),
            MaskedConv2d(conv_mask("B", 3, 6, 3, channel_groups=3)),
        ),
        (3, 3, 4),
    ),
    "residual": Case(lambda: Applied(nn.Conv2d(2, 2, 3, padding=1), lambda x, h: x + h.tanh())),
    "residual in place": Case(lambda: Applied(nn.Conv2d(2, 2, 3, padding=1), lambda x, h: (h * 2).add_(x))),
    "cat of a skip": Case(lambda: Applied(nn.Conv2d(2, 2, 1), lambda x, h: torch.cat([h, x], 1))),
    "gate of two halves by chunk": Case(lambda: Applied(nn.Conv2d(2, 4, 3, padding=1), gated)),
    "gate by split of other sizes": Case(
        lambda: Applied(nn.Conv2d(2, 3, 1), lambda x, h: h.split([2, 1], 1)[0] * h.split([2, 1], 1)[1]), MAP
    ),
    "gate by GLU": Case(lambda: nn.Sequential(nn.Conv2d(2, 4, 1), nn.GLU(1))),
    "shift by pad": Case(lambda: lambda x: F.pad(x, (1, -1, 2, -2))),
    "shift by slice and cat": Case(
        lambda: lambda x: torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], -1)
    ),
    "two stacks with a link": Case(lambda: Applied(nn.Conv2d(2, 2, 3, padding=1), two_stacks)),
    "roll": Case(lambda: lambda x: x.roll((1, 2), (1, 3)) * 2),
    "einsum of a triangle": Case(lambda: lambda x: torch.einsum("ncij,jk->ncik", x, WEIGHT.tril(-1)), MAP),
    "einsum of the input with itself": Case(lambda: lambda x: torch.einsum("nid,njd->nij", x, x), SEQUENCE),
    "index of positions": Case(lambda: lambda x: x[:, :, INDEX][..., INDEX] ** 2),
    "index_select": Case(lambda: lambda x: x.index_select(2, INDEX).sin()),
    "gather": Case(lambda: lambda x: x.gather(1, INDEX[None, :, None].expand(len(x), 4, 3)), SEQUENCE),
    "assignment by index": Case(lambda: assigned),
    "masked scatter": Case(
        lambda: lambda x: torch.zeros_like(x).masked_scatter(later(4), x * 2), rows_mix=True
    ),
    "random slopes": Case(lambda: nn.RReLU()),
    "masked fill": Case(lambda: lambda x: x.masked_fill(later(4), 0.0).cumsum(-1)),
    "where": Case(lambda: lambda x: torch.where(later(4), x.flip(-1), x)),
    "transposed order": Case(lambda: lambda x: x.mT.reshape(len(x), 2, 4, 4)),
    "embedded positions": Case(lambda: Applied(nn.Identity(), lambda x, h: h + WEIGHT)),
}


def assigned(x: Tensor) -> Tensor:
    out = x * 2
    out[:, :, INDEX[:2]] = x[:, :, 1:3]
    return out


@pytest.mark.parametrize("name", CASES)
def test_taint_is_what_the_jacobian_shows(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    module = case.make()
    if isinstance(module, nn.Module):
        module.double()
        with torch.no_grad():
            for parameter in module.parameters():  # biases too: at 0 some layers start without a slope
                parameter.normal_()
    found = dependence(module, case.shape, dtype=torch.float64)
    links = derivatives(module, case.shape)
    assert found.proven, found.reasons
    assert not (links & ~found.require()).any()
    assert found.rows_mix is case.rows_mix
    if not case.coarse:
        assert torch.equal(links, found.require())
    else:
        assert not torch.equal(links, found.require()), "it is exact: say so in the table"


# --- integers: an embedding has no derivative, so that every value is tried ------------------------------------------


def changed(module: Function, sites: int, levels: int) -> Tensor:
    """Links (outputs, inputs) at any of all rows of small integers: the output changes with the input."""
    rows = torch.cartesian_prod(*[torch.arange(levels)] * sites)
    out = module(rows).flatten(1)
    links = torch.zeros(out.shape[1], sites, dtype=torch.bool)
    for site in range(sites):
        other = rows.clone()
        other[:, site] = (other[:, site] + 1) % levels
        links[:, site] = (module(other).flatten(1) != out).any(0)
    return links


class Tokens(nn.Module):
    """An embedding with positions, a causal layer, and logits."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(3, 4), nn.Parameter(torch.randn(4, 4))
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True, activation="gelu")
        self.head, self.causal = nn.Linear(4, 3), causal

    def forward(self, x: Tensor) -> Tensor:
        mask = later(4) if self.causal else None
        return self.head(self.layer(self.table(x) + self.places, src_mask=mask))


INTEGERS: dict[str, Callable[[], Function]] = {
    "embedding": lambda: nn.Embedding(3, 2),
    "embedding bag of a window": lambda: lambda x: F.embedding(x.unfold(1, 2, 1), WEIGHT[:3, :2]).sum(2),
    "embedding bag": lambda: (
        lambda x: torch.stack([F.embedding_bag(x[:, i:], WEIGHT[:3]) for i in range(3)], 1)
    ),
    "one-hot": lambda: lambda x: F.one_hot(x, 3).double() @ WEIGHT[:3],
    "table by index": lambda: lambda x: WEIGHT[x],
    "transformer, causal": lambda: Tokens(True),
    "transformer, no mask": lambda: Tokens(False),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_taint_of_integers_is_what_all_rows_show(name: str) -> None:
    torch.manual_seed(0)
    module = INTEGERS[name]()
    if isinstance(module, nn.Module):
        module.double()
    with torch.no_grad():
        links = changed(module, 4, 3)
    found = dependence(module, (4,), dtype=torch.int64)
    assert found.proven, found.reasons
    assert torch.equal(links, found.require())


# --- what cannot be followed is named --------------------------------------------------------------------------------

UNKNOWN: dict[str, tuple[Function, str]] = {
    "a branch on a value": (lambda x: x if x.mean() > 0 else -x, "_local_scalar_dense"),
    "a shape from values": (lambda x: x[x > -9].reshape(x.shape), "index"),
    "numpy": (lambda x: torch.from_numpy(x.detach().numpy().copy()), "numpy"),
    "a mask from values": (lambda x: torch.zeros_like(x).masked_scatter(x > 0, x), "masked_scatter"),
    "a histogram": (lambda x: x + torch.histc(x, 4).sum(), "histc"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_rule_is_named_and_nothing_is_proven(name: str) -> None:
    function, named = UNKNOWN[name]
    found = dependence(function, (3,))
    assert found.matrix is None and not found.proven
    assert named in "; ".join(found.reasons)


# --- the leaks that normalisation over space makes --------------------------------------------------------------------


def stack(norm: nn.Module) -> nn.Module:
    masks = [conv_mask("A", 2, 1, 3), conv_mask("B", 1, 2, 3)]
    return nn.Sequential(MaskedConv2d(masks[0]), norm, nn.ReLU(), MaskedConv2d(masks[1]))


LEAKY: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "no norm": (nn.Identity, False),
    "LayerNorm over channels": (lambda: Over(nn.LayerNorm(2)), False),
    "LayerNorm over space": (lambda: nn.LayerNorm((5, 5)), True),
    "GroupNorm": (lambda: nn.GroupNorm(2, 2), True),
    "InstanceNorm": (lambda: nn.InstanceNorm2d(2), True),
    "BatchNorm, train": (lambda: nn.BatchNorm2d(2), True),
    "BatchNorm, eval": (lambda: nn.BatchNorm2d(2).eval(), False),
    "circular shift": (lambda: Applied(nn.Identity(), lambda x, h: x.roll(1, 3)), True),
    "squeeze and excite": (lambda: Applied(nn.AdaptiveAvgPool2d(1), lambda x, h: x * h.sigmoid()), True),
}


@pytest.mark.parametrize("name", LEAKY)
def test_normalisation_over_space_is_a_leak_of_a_masked_stack(name: str) -> None:
    torch.manual_seed(0)
    make, leaks = LEAKY[name]
    found = dependence(stack(make()), (1, 5, 5))
    assert bool(found.require().triu().any()) is leaks
    assert found.rows_mix is (name == "BatchNorm, train")
