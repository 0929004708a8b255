"""Doors of spaces, codecs, estimators and mathematics: each draws strange arguments and gives them, and the call."""

from __future__ import annotations

import numpy as np
import torch
from strange_values import Strange
from surface_kit import Case, Kit

import jensen
from jensen.codec import Chain, Dequantise, Integers, Logit, Standardise


def space(some: Strange, kit: Kit) -> Case:
    make = some.dice.choice(
        [jensen.Space, jensen.Space.real, jensen.Space.levels, jensen.Space.binary, jensen.Space.categorical]
    )
    count = 1 if make.__name__ in ("real", "binary") else 2
    given = [some.option() for _ in range(count)]
    if some.dice.random() < 0.5:
        given[0] = some.dice.choice([2, (2,), (1, 2, 2)])

    def call() -> None:
        found = make(*given)
        assert isinstance(found.describe(), str) and jensen.Space.from_dict(found.to_dict()) == found

    return given, call


def column(some: Strange, kit: Kit) -> Case:
    names = ["kind", "levels", "low", "step", "name", "labels", "gaps", "time", "grain", "seen"]
    chosen = {"kind": some.dice.choice(["real", "levels", "binary", "categorical"])}
    chosen |= {name: some.option() for name in some.dice.sample(names, some.dice.choice([1, 2]))}

    def call() -> None:
        found = jensen.Space((1,), (jensen.Column(**chosen),))
        assert isinstance(found.describe(), str) and jensen.Space.from_dict(found.to_dict()) == found

    return list(chosen.values()), call


def codec(some: Strange, kit: Kit) -> Case:
    where = some.dice.choice(
        [kit.any(some).space, jensen.Space.levels(2, 4), jensen.Space.real(2), some.option()]
    )
    wild = [some.dice.choice([some.option(), some.tensor((2,))]) for _ in range(3)]
    make = some.dice.choice(
        [
            lambda: Standardise(where, wild[0], wild[1]),
            lambda: Integers(where),
            lambda: Dequantise(where),
            lambda: Logit(where, *wild),
            lambda: Chain(wild[0]),
        ]
    )
    return wild, lambda: make().to_dict()


def estimator_fit(some: Strange, kit: Kit) -> Case:
    x = some.rows()
    kind = some.dice.choice([jensen.sklearn.Density, jensen.sklearn.Embedding, jensen.sklearn.Synthesizer])
    model = "encoder" if kind is jensen.sklearn.Embedding else "independent"
    return [x], lambda: kind(
        model, steps=1, **({"hyper": {"features": 4}} if model == "encoder" else {})
    ).fit(x)


def estimator_options(some: Strange, kit: Kit) -> Case:
    x = np.random.default_rng(0).normal(size=(40, 2))
    kind = some.dice.choice([jensen.sklearn.Density, jensen.sklearn.Synthesizer])
    names = [
        "model",
        "steps",
        "seconds",
        "kinds",
        "validation_fraction",
        "hyper",
        "settings",
        "device",
        "random_state",
    ]
    if kind is jensen.sklearn.Density:
        names += ["image_shape", "k"]
    chosen = {"model": "independent", "steps": 1, some.dice.choice(names): some.option(most=3)}
    return [x], lambda: kind(**chosen).fit(x).sample(2)


def functional(some: Strange, kit: Kit) -> Case:
    x = some.dice.choice([some.tensor, some.tensor, some.array, some.option])()
    shape = tuple(x.shape) if isinstance(x, (torch.Tensor, np.ndarray)) else (3, 2)
    y = some.dice.choice([some.tensor(shape), some.tensor(), some.option()])
    number, f = some.option(most=9), jensen.functional
    calls = {
        "conv_mask": lambda: f.masks.conv_mask(*(some.option(most=5) for _ in range(4))),
        "elbo": lambda: f.bounds.elbo(x),
        "iwae": lambda: f.bounds.iwae(x),
        "renyi": lambda: f.bounds.renyi(x, number),
        "jsd_lower": lambda: f.divergence.jsd_lower(x, y),
        "log_density": lambda: f.ratio.log_density(x, y),
        "nt_xent": lambda: f.contrastive.nt_xent(x, y, number),
        "nt_xent at 0.5": lambda: f.contrastive.nt_xent(x, y, 0.5),
        "frechet": lambda: f.frechet.frechet(x, y),
        "kernel_distance": lambda: f.kernel_distance.kernel_distance(x, y),
        "pareto_k": lambda: f.importance.pareto_k(x),
        "clopper_pearson": lambda: f.binomial.clopper_pearson(
            x if some.dice.random() < 0.2 else number, some.option()
        ),
    }
    name = some.dice.choice(sorted(calls))
    return [x, y, number], calls[name]
