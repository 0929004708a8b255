"""Doors of codecs and of the mathematics that documents what it raises: strange tensors, and rows of strange spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from strange_values import Strange
from surface_kit import Case, Kit

import jensen
from jensen.codec import as_tensor, codec_for, codec_from_dict
from jensen.models import CATALOGUE, model_class

ALPHAS = [-1.0, 0.0, 1e-300, 0.05, 1.0, 2.0, float("nan"), float("inf")]


def _plain(some: Strange, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor of real numbers, of any type, with any values: what the annotations of mathematics ask for."""
    types = [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool]
    return torch.as_tensor(some.values(shape)).to(some.dice.choice(types))


def documented(some: Strange, kit: Kit) -> Case:
    """Functions whose text names what they raise raise nothing else."""
    x = _plain(some, some.dice.choice([some.shape(), (4, 2), (5,)]))
    y = _plain(some, some.dice.choice([tuple(x.shape), some.shape()]))
    number, f = some.option(most=5), jensen.functional
    calls = {
        "f_divergence": lambda: f.divergence.f_divergence(some.dice.choice(["kl", "x"]), (x, y), level=0.9),
        "balls": lambda: f.neighbours.balls(x, y, some.dice.randrange(-1, 9)),
        "row_index": lambda: f.enumerate.row_index(x, [2, 3]),
        "certificate_margin": lambda: f.intervals.certificate_margin(
            some.dice.randrange(-1, 9), some.dice.choice(ALPHAS)
        ),
        "check_weights": lambda: f.importance.check_weights(x),
        "check_features": lambda: f.frechet.check_features(x, y),
        "read_draws": lambda: f.counts.read_draws(str(number)),
        "subsets": lambda: f.bounds.subsets(torch.zeros(2, 8), some.dice.randrange(-1, 12)),
        "blocks": lambda: f.bounds.blocks(torch.zeros(2, 8), some.dice.randrange(-1, 12)),
    }
    name = some.dice.choice(sorted(calls))
    return [x, y, number], calls[name]


def _column(some: Strange) -> tuple[jensen.Column, Any]:
    """A column and 20 values of it."""
    kind = some.dice.choice(["real", "levels", "binary", "categorical"])
    gaps = some.dice.choice(["", "", "value", "unseen"])
    if kind == "real":
        spread = some.dice.choice([1e-30, 1e-3, 1.0, 1e9, 1e100])
        values = (some.rng.normal(size=20) + some.dice.choice([0, 0, 5, -1e3])) * spread
        column = jensen.Column("real", gaps=gaps)
    else:
        levels = 2 if kind == "binary" else some.dice.choice([2, 3, 17, 256, 70_000])
        low = some.dice.choice([0, 0, 1, -3, 0.5, -1e6, 2.0**40]) if kind != "categorical" else 0
        step = some.dice.choice([1, 1, 2, 0.5, 0.1, 1e-3, 1e6]) if kind != "categorical" else 1
        column = jensen.Column(kind, levels, float(low), float(step), gaps=gaps)
        values = column.low + column.step * some.rng.integers(0, levels, 20)
    if gaps:
        values[some.rng.random(20) < 0.2] = np.nan
    return column, values


def codec_there_and_back(some: Strange, kit: Kit) -> Case:
    """Rows of any space come back from what a model sees, and what a model may draw decodes to rows of the space."""
    columns = [_column(some) for _ in range(some.dice.choice([1, 2, 3]))]
    rows = np.stack([values for _, values in columns], 1)
    name = some.dice.choice(["realnvp", "made", "vae", "independent", "gan", "nade"])
    accepts = model_class(name if name in CATALOGUE else "made").accepts

    def call() -> None:
        space = jensen.Space((len(columns),), tuple(column for column, _ in columns))
        space.check(rows)
        x = as_tensor(rows)
        codec = codec_from_dict(codec_for(accepts, space, x).to_dict())
        z, log_det = codec.encode(x, torch.Generator().manual_seed(0))
        assert z.shape == (20, *codec.model_space.shape) and log_det.shape == (20,), "a shape"
        assert log_det.isfinite().all(), "a log-determinant is not finite"
        back = codec.decode(z).double().numpy()
        space.check(back)
        for site, (column, values) in enumerate(columns):
            there = ~np.isnan(values) & ~np.isnan(back[:, site])
            assert (np.isnan(back[:, site]) == np.isnan(values))[~there].all(), "a gap moved"
            # a step of float64 at the largest value, many times over
            slack = 1e-9 * (np.abs(values[there]).max(initial=0.0) + (column.kind != "real") * column.step)
            assert (np.abs(back[there, site] - values[there]) <= slack).all(), f"{column} came back otherwise"

    return [rows], call
