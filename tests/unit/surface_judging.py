"""Doors of comparing and judging: each draws strange arguments and gives what was passed, and the call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from strange_values import Strange
from surface_kit import Case, Kit

import jensen


def compare(some: Strange, kit: Kit) -> Case:
    x = some.rows()
    return [x], lambda: jensen.compare(["independent"], x).table()


def compare_options(some: Strange, kit: Kit) -> Case:
    names = [
        "models",
        "lens",
        "seed",
        "steps",
        "seconds",
        "plan",
        "k",
        "level",
        "seeds",
        "context",
        "device",
        "watch",
    ]
    chosen = {some.dice.choice(names): some.option(most=2)}
    if callable(chosen.get("watch")):
        chosen = {}
    x = np.random.default_rng(0).normal(size=(40, 2))
    arguments = {"models": ["independent"], "rows": x, **chosen}
    return [x, *chosen.values()], lambda: jensen.compare(**arguments)


def divergence(some: Strange, kit: Kit) -> Case:
    a = some.rows()
    b = a if some.dice.random() < 0.3 else some.rows()

    def call() -> None:
        found = jensen.divergence(a, b, critics=["quadratic"])
        assert not math.isnan(found.jsd.value) and 0 <= found.p_value <= 1, "a divergence is nan"
        assert found.jsd.value <= math.log(2) + 1e-9

    return [a, b], call


def divergence_options(some: Strange, kit: Kit) -> Case:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(45, 2)), rng.normal(size=(45, 2))
    name = some.dice.choice(["seed", "columns", "drop", "features", "critics", "most"])
    value = some.option(most=45)
    return [a, b, value], lambda: jensen.divergence(a, b, **{"critics": ["quadratic"], name: value})


def audit(some: Strange, kit: Kit) -> Case:
    fitted = kit.any(some)
    x = some.rows()
    return [x], lambda: jensen.audit(fitted, x, checks=["no_leak"])


def audit_options(some: Strange, kit: Kit) -> Case:
    names = [
        "fitted_or_module",
        "rows",
        "space",
        "input_shape",
        "channel_order",
        "seed",
        "checks",
        "adapt",
        "modes",
    ]
    chosen = {name: some.option(most=3) for name in some.dice.sample(names, some.dice.choice([1, 2]))}
    module = torch.nn.Conv2d(1, 1, 3, padding=1)
    arguments = {"fitted_or_module": module, "input_shape": (1, 3, 3), "checks": ["no_leak"], **chosen}
    return list(chosen.values()), lambda: jensen.audit(**arguments)


def receptive_field(some: Strange, kit: Kit) -> Case:
    names = ["module", "input_shape", "position", "dtype", "example", "bound"]
    chosen = {name: some.option(most=3) for name in some.dice.sample(names, some.dice.choice([1, 2]))}
    if "example" in chosen and some.dice.random() < 0.5:
        chosen["example"] = some.tensor()
    arguments = {
        "module": torch.nn.Conv2d(1, 1, 3, padding=1),
        "input_shape": (1, 3, 3),
        "position": (1, 1),
        **chosen,
    }
    return list(chosen.values()), lambda: jensen.receptive_field(**arguments)


def probe(some: Strange, kit: Kit) -> Case:
    x = some.dice.choice([some.rows(), np.random.default_rng(0).normal(size=(60, 3))])
    label = some.dice.choice([np.arange(60) % 2, some.rows(), some.option()])
    chosen = (
        {some.dice.choice(["shares", "views", "seed"]): some.option(most=3)}
        if some.dice.random() < 0.5
        else {}
    )
    if callable(chosen.get("views")):
        chosen = {}  # what a function of the user's raises is the user's
    return [x, label, *chosen.values()], lambda: jensen.probe(kit.encoder, x, label=label, **chosen)


def tightness(some: Strange, kit: Kit) -> Case:
    names = ["fitted", "n", "k", "levels", "width", "context", "seed"]
    usual: dict[str, Any] = {"fitted": kit.latent, "n": 3, "k": 2, "levels": 0}
    chosen = {name: some.option(most=3) for name in some.dice.sample(names[1:], some.dice.choice([1, 2]))}
    return list(chosen.values()), lambda: jensen.tightness(**usual | chosen)


def log_z(some: Strange, kit: Kit) -> Case:
    names = ["target", "n", "exact", "seed"]
    usual: dict[str, Any] = {
        "fitted": kit.flow,
        "target": lambda x: -(x**2).sum(1),
        "n": 100,
        "search": False,
    }
    chosen = {name: some.option(most=200) for name in some.dice.sample(names, some.dice.choice([1, 2]))}
    return list(chosen.values()), lambda: jensen.log_z(**usual | chosen)


def pose(some: Strange, kit: Kit) -> Case:
    names = ["what", "dim", "support", "location", "scale", "seed"]
    chosen = {name: some.option(most=3) for name in some.dice.sample(names, some.dice.choice([1, 2]))}
    arguments = {"what": lambda x: -(x**2).sum(1), "dim": 2, **chosen}
    return list(chosen.values()), lambda: jensen.pose(**arguments)
