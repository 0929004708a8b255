"""The models of the catalogue, small, and the kinds of small spaces that each takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jensen.checks.subject import some_rows
from jensen.errors import SpaceError
from jensen.model import Model
from jensen.models import CATALOGUE, model_class
from jensen.space import Column, Space

SPACES = {
    "bits": Space.binary(6),
    "columns": Space(
        (4,), (Column("categorical", 3), Column("categorical", 5), Column("levels", 2), Column("binary"))
    ),
    "grey": Space.levels((1, 2, 3), 4),
    "grey, too large to enumerate": Space.levels((1, 3, 4), 17),
    "black and white": Space.binary((1, 3, 4)),
    "colour": Space.levels((3, 1, 2), 3),
    "colour, too large to enumerate": Space.levels((3, 2, 3), 2),
    "line": Space.real(1),
    "plane": Space.real(2),
    "five real columns": Space.real(5),
    "numbers beside categories": Space((3,), (Column("real"), Column("categorical", 3), Column("binary"))),
    "gaps": Space(
        (4,),
        (
            Column("real", gaps="value"),
            Column("categorical", 4, gaps="level"),
            Column("real"),
            Column("levels", 30, gaps="value"),
        ),
    ),
    "unseen": Space(
        (3,), (Column("real", gaps="unseen"), Column("categorical", 3, gaps="unseen"), Column("real"))
    ),
}

# small networks: the laws are about the mathematics, which does not change with the width
HYPER: dict[str, dict[str, Any]] = {
    "made": {"hidden": (24, 24)},
    "pixelcnn": {"channels": 12, "layers": 1, "kernel": 3},
    "gated-pixelcnn": {"channels": 9, "layers": 1, "kernel": 3},
    "transformer": {"width": 16, "layers": 2, "heads": 2, "dropout": 0.0},
    "mixture": {"components": 3},
    "realnvp": {"transforms": 2, "hidden": (16,)},
    "planar-flow": {"transforms": 4},
    "maf": {"transforms": 2, "hidden": (16,)},
    "iaf": {"transforms": 2, "hidden": (16,)},
    "spline-flow": {"transforms": 2, "hidden": (16,), "bins": 5},
    "glow": {"transforms": 2, "width": 8, "noise_couplings": 2},
    "vae": {"latents": 2, "hidden": (16,)},
    "encoder": {"features": 12, "width": 8},
    "gan": {"latents": 4, "width": 16, "channels": 4},
}


def suits(name: str, where: str) -> bool:
    cls = model_class(name)
    if SPACES[where].kind not in cls.accepts:
        return False
    try:
        cls(SPACES[where], **HYPER.get(name, {}))
    except SpaceError:
        return False
    return True


PAIRS = [(name, where) for name in CATALOGUE for where in SPACES if suits(name, where)]
FIRST = dict(reversed(PAIRS))
"""One kind of rows a model; the others in the slow suite where a law is dear."""


def in_float64(name: str, where: str) -> tuple[Model, Tensor]:
    """A model as built, and six legal rows."""
    torch.manual_seed(0)
    model = model_class(name)(SPACES[where], **HYPER.get(name, {})).double().eval()
    return model, some_rows(model, None, SPACES[where], 6, seed=1)
