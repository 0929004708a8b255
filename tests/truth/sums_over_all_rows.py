"""Autoregressive models of small discrete spaces: the masses of all rows, enumerated, sum to one, and so do conditionals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from problem import Exact

from jensen.checks.twin import strengthen
from jensen.codec import Integers
from jensen.fitted import Fitted
from jensen.functional.enumerate import all_rows
from jensen.model import Model
from jensen.models import model_class
from jensen.space import Column, Space

Pairs = Iterator[tuple[Any, Any]]

BITS = Space.binary(7)
COLUMNS = Space(
    (4,), (Column("categorical", 3), Column("categorical", 5), Column("levels", 3), Column("binary"))
)
GREY = Space.levels((1, 2, 3), 3)
COLOUR = Space.levels((3, 1, 2), 3)
MARKS = Space.binary((1, 3, 4))
LABELS = {
    id(BITS): "7 bits",
    id(COLUMNS): "4 unlike columns",
    id(GREY): "2x3 grey pixels",
    id(COLOUR): "2 coloured pixels",
    id(MARKS): "3x4 black and white pixels",
}
IMAGE = {"channels": 9, "layers": 1, "kernel": 3}
SMALL = {"width": 16, "layers": 2, "heads": 2}


def strong(name: str, space: Space, **hyper: Any) -> Model:
    """A model in float64 whose sites depend strongly on each other: as built, a wrong one would pass."""
    torch.manual_seed(0)
    model = model_class(name)(space, **hyper)
    strengthen(model, seed=1)
    return model.double().eval()


def total(name: str, space: Space, **hyper: Any) -> Exact:
    """log of the sum of the masses of all rows, by the product's own `score`, is 0."""

    def compute() -> Pairs:
        rows = all_rows(space.levels_by_site(), space.shape)
        values = Fitted(strong(name, space, **hyper), Integers(space), [], {}).score(rows.numpy()).values
        yield 1.0, math.fsum(map(math.exp, values))

    told = ", ".join(f"{key}={value}" for key, value in hyper.items() if key in ("order", "head", "inputs"))
    title = f"{name} of {LABELS[id(space)]}: masses sum to 1" + (f" ({told})" if told else "")
    return Exact(title, "autoregressive", compute)


def given_contexts() -> Pairs:
    """One sum for each of three contexts."""
    space = Space.binary(5)
    torch.manual_seed(0)
    model = model_class("made")(space, hidden=(24,), context=Space.real(2)).double().eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.6)
    rows = all_rows(space.levels_by_site(), space.shape)
    with torch.no_grad():
        for c in torch.tensor([[0.0, 0.0], [1.0, -2.0], [3.0, 0.5]], dtype=torch.float64):
            yield 0.0, model.log_prob(rows, c.expand(len(rows), 2)).logsumexp(0)


def counted() -> Pairs:
    """The independent model is that of counts, with one pretended row a level."""
    space = Space((2,), (Column("categorical", 3), Column("binary")))
    rows = torch.tensor([[0, 1], [0, 0], [2, 1], [0, 1], [1, 1]])
    model = model_class("independent")(space)
    model.solve(rows)
    with torch.no_grad():
        found = model.log_prob(all_rows([3, 2]))
    first, second = [4 / 8, 2 / 8, 2 / 8], [2 / 7, 5 / 7]
    yield [math.log(a * b) for a in first for b in second], found


PROBLEMS = (
    total("made", BITS, hidden=(24, 24)),
    total("made", COLUMNS, hidden=(24, 24)),
    total("made", BITS, hidden=(24,), order=(3, 1, 6, 0, 5, 2, 4)),
    total("made", GREY, hidden=(24, 24), head="logistic", components=3),
    total("pixelcnn", MARKS, **IMAGE),
    total("pixelcnn", GREY, **IMAGE),
    total("pixelcnn", COLOUR, **IMAGE),
    total("gated-pixelcnn", GREY, **IMAGE),
    total("gated-pixelcnn", COLOUR, **IMAGE),
    total("gated-pixelcnn", GREY, **IMAGE, head="logistic", components=3),
    total("transformer", BITS, **SMALL),
    total("transformer", COLUMNS, **SMALL),
    total("transformer", BITS, **SMALL, order=(6, 0, 3, 1, 5, 2, 4)),
    total("independent", COLUMNS),
    Exact("made given a context: masses sum to 1 for each", "autoregressive", given_contexts),
    Exact("independent: smoothed counts", "autoregressive", counted),
)
