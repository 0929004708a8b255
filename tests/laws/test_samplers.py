"""Every cached sampler is the naive one: the same rows from the same uniform numbers, the same parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jensen.autoregressive import Autoregressive
from jensen.checks.subject import View
from jensen.errors import Cannot, SpaceError, UsageError
from jensen.functional.receptive import dependence
from jensen.functional.schedule import parallel_schedule
from jensen.models.gated_pixelcnn import GatedPixelCNN
from jensen.models.made import MADE
from jensen.models.pixelcnn import PixelCNN
from jensen.models.transformer import Transformer
from jensen.sampling.stack import Link, Stack
from jensen.sampling.walk import Walk
from jensen.sampling.wavefront import WavefrontSampler
from jensen.space import Column, Space

TABLE = Space(
    (4,), (Column("categorical", 3), Column("categorical", 5), Column("levels", 2), Column("binary"))
)
CONTEXT = Space((2,), (Column("categorical", 3), Column("real")))
N = 6

# maps that are not square, orders that are not the identity: swapped axes and wrong permutations show
CASES: dict[str, tuple[type[Autoregressive], Space, dict[str, Any]]] = {
    "made, permuted table": (MADE, TABLE, {"hidden": (13, 7), "order": [2, 0, 3, 1]}),
    "made, fewer units than degrees": (MADE, Space.binary(9), {"hidden": (5, 4), "order": "random"}),
    "made, reals": (MADE, Space.real(5), {"hidden": (20, 20), "order": "random"}),
    "made, colours without hidden layer": (MADE, Space.binary((2, 3, 4)), {"hidden": ()}),
    "made, logistic mixture": (
        MADE,
        Space.levels((1, 5, 4), 17),
        {"hidden": (30,), "order": "reversed", "head": "logistic", "components": 2, "skip": False},
    ),
    "pixelcnn": (PixelCNN, Space.binary((1, 10, 7)), {"channels": 6, "layers": 2, "kernel": 5}),
    "pixelcnn, colours": (PixelCNN, Space.levels((3, 5, 4), 4), {"channels": 9, "layers": 2, "kernel": 3}),
    "pixelcnn, colours, logistic mixture": (
        PixelCNN,
        Space.levels((3, 3, 4), 9),
        {"channels": 6, "layers": 1, "kernel": 3, "head": "logistic", "components": 2},
    ),
    "pixelcnn, wide blocks": (
        PixelCNN,
        Space.levels((1, 6, 5), 3),
        {"channels": 4, "layers": 1, "kernel": 3, "block_kernel": 5},
    ),
    "gated": (GatedPixelCNN, Space.binary((1, 10, 7)), {"channels": 8, "layers": 3, "kernel": 5}),
    "gated, one row": (GatedPixelCNN, Space.binary((1, 1, 9)), {"channels": 8, "layers": 1, "kernel": 3}),
    "gated, one column": (GatedPixelCNN, Space.binary((1, 9, 1)), {"channels": 8, "layers": 1, "kernel": 3}),
    "gated, colours": (
        GatedPixelCNN,
        Space.levels((3, 5, 4), 4),
        {"channels": 9, "layers": 2, "kernel": 3},
    ),
    "gated, logistic mixture": (
        GatedPixelCNN,
        Space.levels((1, 6, 5), 5),
        {"channels": 6, "layers": 2, "head": "logistic", "components": 3},
    ),
    "gated, reals": (GatedPixelCNN, Space.real((1, 4, 5)), {"channels": 6, "layers": 1, "components": 2}),
    "transformer, permuted table": (
        Transformer,
        TABLE,
        {"width": 16, "layers": 2, "heads": 2, "order": [2, 0, 3, 1]},
    ),
    "transformer, reals": (Transformer, Space.real(5), {"width": 16, "layers": 2, "heads": 2}),
    "transformer, random order": (
        Transformer,
        Space.levels((1, 5, 4), 4),
        {"width": 16, "layers": 2, "heads": 4, "order": "random"},
    ),
    "transformer, colours": (Transformer, Space.levels((3, 3, 2), 4), {"width": 16, "layers": 1, "heads": 4}),
}


class Recorded(Walk):
    """A walk that keeps the parameters of every site."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.parameters: dict[int, Tensor] = {}

    def draw(self, parameters: Tensor, sites: Tensor) -> Tensor:
        for i, site in enumerate(sites.tolist()):
            assert site not in self.parameters
            self.parameters[site] = parameters[:, i].clone()
        return super().draw(parameters, sites)


def strong(name: str, conditional: bool = False) -> Autoregressive:
    """With weights as built the parameters hardly depend on the rows, and a broken cache would pass."""
    cls, space, hyper = CASES[name]
    torch.manual_seed(0)
    model = cls(space, **hyper, **({"context": CONTEXT} if conditional else {})).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter)
            parameter.copy_(0.4 * noise if parameter.ndim > 1 else parameter + 0.1 * noise)
    return model


def context_of(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    columns = [
        torch.randint(3, (n,), generator=generator).double(),
        torch.randn(n, generator=generator).double(),
    ]
    return torch.stack(columns, 1)


def walk_of(model: Autoregressive, n: int = N) -> Recorded:
    u = torch.rand(n, model.space.dims, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    dtype = torch.long if model.space.measure == "mass" else torch.float64
    return Recorded(model.head.sample, u, dtype)


ALL = [
    pytest.param(name, sampler, conditional, id=f"{name}-{sampler}{'-given' if conditional else ''}")
    for name in CASES
    for conditional in (False, True)
    for sampler in strong(name).samplers(N)
]


@pytest.mark.parametrize(("name", "sampler", "conditional"), ALL)
@torch.no_grad()
def test_same_uniforms_give_the_naive_samplers_rows_and_parameters(
    name: str, sampler: str, conditional: bool
) -> None:
    model = strong(name, conditional)
    c = context_of(N) if conditional else None
    plain, fast = walk_of(model), walk_of(model)
    model.walk(plain, c, "naive")
    model.walk(fast, c, sampler)
    # float64 throughout: sums of some hundred terms in another order
    torch.testing.assert_close(fast.x, plain.x, rtol=1e-9, atol=1e-9)
    assert fast.parameters.keys() == plain.parameters.keys() == set(range(model.space.dims))
    for site, parameters in plain.parameters.items():
        torch.testing.assert_close(fast.parameters[site], parameters, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "sampler", "conditional"), ALL)
@torch.no_grad()
def test_one_full_pass_on_the_sample_returns_the_samplers_parameters_in_float32(
    name: str, sampler: str, conditional: bool
) -> None:
    """Two fillers of what is not drawn yet cannot both match one pass: a sampler that peeks ahead fails."""
    model = strong(name, conditional).float()
    c = context_of(N).float() if conditional else None
    walk = walk_of(model)
    walk.x.random_(0, 2)
    if model.space.measure == "density":
        walk.x = walk.x.float()
    model.walk(walk, c, sampler)
    full = model.conditionals(walk.x.reshape(N, *model.space.shape), c).reshape(N, model.space.dims, -1)
    mine = torch.stack([walk.parameters[site] for site in range(model.space.dims)], 1)
    scale = 1 + full.abs().max()
    assert float((mine - full).abs().max() / scale) < 1e-5


@pytest.mark.parametrize(("name", "sampler", "conditional"), ALL)
@torch.no_grad()
def test_rows_that_are_chosen_midway_go_on_as_themselves(name: str, sampler: str, conditional: bool) -> None:
    """After every draw all go on as copies of row 3: at the end all rows and parameters are those of one history."""
    model = strong(name, conditional)
    c = context_of(1).expand(N, -1) if conditional else None

    class Chosen(Recorded):
        def draw(self, parameters: Tensor, sites: Tensor) -> Tensor:
            self.survivors = torch.full((N,), 3)
            return super().draw(parameters, sites)

    walk = Chosen(model.head.sample, walk_of(model).u, walk_of(model).x.dtype)
    model.walk(walk, c, sampler)
    assert bool((walk.x == walk.x[:1]).all())
    full = model.conditionals(walk.x.reshape(N, *model.space.shape), c).reshape(N, model.space.dims, -1)
    mine = torch.stack([walk.parameters[site][3] for site in range(model.space.dims)])
    torch.testing.assert_close(mine, full[3], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in CASES if "pixelcnn" in name or "gated" in name])
def test_taps_tell_the_receptive_field_and_the_schedule_that_taint_proves(name: str) -> None:
    cls, space, hyper = CASES[name]
    torch.manual_seed(0)
    model = cls(space, **hyper).eval()
    stack: Stack = model.stack()  # type: ignore[operator]
    colours, height, width = space.shape
    dtype = torch.int64 if space.measure == "mass" else None
    proven = dependence(View(model, model.conditionals), space.shape, dtype=dtype)
    assert proven.proven
    links = proven.matrix.reshape(colours, height * width, -1, colours, height * width).any(0).any(1).any(1)
    pixels = links.numpy()
    for row in range(height):
        for column in range(width):
            seen = stack.receptive_field((height, width), (row, column))
            own = row * width + column
            if colours > 1:
                seen[row, column] = pixels[own, own]
            np.testing.assert_array_equal(seen.flatten(), pixels[own])
    if colours == 1:
        levels = parallel_schedule(links)
        assert stack.steps((height, width)) == int(levels.max()) + 1


@pytest.mark.parametrize("layers", [0, 1, 2, 5, 12])
def test_the_two_stacks_have_no_blind_spot_at_any_depth(layers: int) -> None:
    """Of the rows above all columns within reach are seen, to the right as well: a rectangle, which grows to all.

    With 3 wide windows, layer k of the vertical stack sees k + 2 rows up to row - 1 and k + 1 columns to each side, and
    the horizontal layers after it step layers - k further to the left.
    """
    depth = layers + 1
    stack = GatedPixelCNN(Space.binary((1, 11, 12)), 4, layers, kernel=3).stack()
    r, c = np.mgrid[:11, :12]
    for row, column in np.ndindex(11, 12):
        above = (r < row) & (row - 1 - r <= depth) & (abs(c - column) <= depth)
        left = (r == row) & (column > c) & (column - c <= depth)
        np.testing.assert_array_equal(stack.receptive_field((11, 12), (row, column)), above | left)
    if layers == 12:
        np.testing.assert_array_equal(stack.receptive_field((11, 12), (10, 11)), 12 * r + c < 131)


def test_counts_of_earlier_pixels_and_steps_at_28x28() -> None:
    """First window 7 wide, place (14, 14): ten more layers see all 406 earlier pixels but the 15 of column 0, eleven
    see all. Exact parallel steps: W + (H - 1) s with s = 1 + the columns seen to the right one row up."""
    seen = {
        layers: int(
            GatedPixelCNN(Space.binary((1, 28, 28)), 2, layers)
            .stack()
            .receptive_field((28, 28), (14, 14))
            .sum()
        )
        for layers in (10, 11)
    }
    assert seen == {10: 391, 11: 406}
    assert GatedPixelCNN(Space.binary((1, 28, 28)), 2, 5, kernel=3).stack().steps((28, 28)) == 217
    assert PixelCNN(Space.binary((1, 28, 28)), 2, 1, kernel=3).stack().steps((28, 28)) == 82
    assert PixelCNN(Space.binary((1, 28, 28)), 2, 5).stack().steps((28, 28)) == 136


def test_full_size_samples_return_their_own_logits() -> None:
    torch.manual_seed(0)
    model = GatedPixelCNN(Space.binary((1, 28, 28)), 16, 4).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.8)
        for sampler in ("rows", "wavefront"):
            walk = walk_of(model, 2)
            model.walk(walk, None, sampler)
            full = model.conditionals(walk.x.reshape(2, 1, 28, 28)).reshape(2, 784, -1)
            mine = torch.stack([walk.parameters[site] for site in range(784)], 1)
            assert float((mine - full).abs().max()) < 1e-5


def test_a_wavefront_that_would_not_fit_gives_way_to_rows() -> None:
    model = PixelCNN(Space.binary((1, 28, 28)), 8, 5, kernel=3)
    assert next(iter(model.samplers(1))) == "wavefront"
    assert next(iter(model.samplers(100_000))) == "rows"


def test_a_stack_that_sees_its_own_pixel_is_refused() -> None:
    stack = Stack(1)
    stack.node(Link(0, ((0, -1), (0, 0)), torch.ones(2, 1, 1)), bias=torch.zeros(1))
    with pytest.raises(Cannot, match="not causal"):
        stack.slope()


def test_a_wavefront_refuses_colours() -> None:
    with pytest.raises(Cannot, match="one channel"):
        WavefrontSampler(Stack(3, 3), (3, 4, 4), torch.nn.Identity())


def test_tempered_bits_follow_the_tempered_conditionals() -> None:
    """One site: P(1) = sigmoid(logit / t). 4,000 rows, five standard errors."""
    model = MADE(Space.binary(1), (4,)).eval()
    with torch.no_grad():
        model.output.bias.fill_(1.0)
        for temperature in (0.25, 1.0, 4.0):
            x = model.sample(4000, temperature=temperature, generator=torch.Generator().manual_seed(0))
            p = float(
                torch.sigmoid(model.conditionals(torch.zeros(1, 1, dtype=torch.long))[0, 0, 0] / temperature)
            )
            assert abs(float(x.float().mean()) - p) < 5 * (p * (1 - p) / 4000) ** 0.5


def test_bad_arguments_say_what_to_do() -> None:
    model = MADE(Space.binary(3), (4,), context=Space.categorical(1, 3)).eval()
    for call in (
        lambda: model.sample(0, c=torch.tensor([1])),
        lambda: model.sample(2, c=torch.tensor([1]), temperature=0.0),
        lambda: model.sample(2, c=torch.tensor([1]), temperature=float("nan")),
        lambda: model.sample(2, c=torch.tensor([1]), sampler="quick"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.given and caught.value.do
    for call in (
        lambda: model.sample(2),
        lambda: model.sample(2, c=torch.tensor([3])),
        lambda: model.sample(2, c=torch.tensor([[0, 1]])),
        lambda: model.log_prob(torch.zeros(2, 3, dtype=torch.long), torch.zeros(3, 1)),
    ):
        with pytest.raises(SpaceError) as refused:
            call()
        assert refused.value.given and refused.value.do
    # an unchecked class is no other class: its likelihood is not a number
    assert bool(model.log_prob(torch.zeros(1, 3, dtype=torch.long), torch.tensor([7])).isnan())
    with pytest.raises(Cannot, match="without a context"):
        MADE(Space.binary(3), (4,)).log_prob(torch.zeros(1, 3, dtype=torch.long), torch.tensor([1]))
    with pytest.raises(UsageError, match="odd kernel"):
        GatedPixelCNN(Space.binary((1, 5, 5)), kernel=4)
