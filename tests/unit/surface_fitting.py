"""Doors of reading, fitting and using: each draws strange arguments and gives what was passed, and the call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from strange_values import Strange
from surface_kit import Case, Kit, finite, sane_fit, sane_rows

import jensen


def rows(some: Strange, kit: Kit) -> Case:
    x = some.rows()
    return [x], lambda: sane_rows(jensen.rows(x))


def rows_options(some: Strange, kit: Kit) -> Case:
    x = some.rows()
    names = ["kinds", "drop", "binarise", "split", "seed", "memory", "name", "context", "gaps"]
    usual = {"kinds": ["real", "levels", "categorical", "binary"], "gaps": ["value", "unseen", "refuse"]}
    usual |= {"binarise": ["dynamic", 0.5], "drop": ["c0", ["c1"]], "context": ["c0", ["c1"]]}
    chosen = {}
    for name in some.dice.sample(names, some.dice.choice([1, 1, 2])):
        strange = some.dice.random() < 0.5 or name not in usual
        chosen[name] = some.option() if strange else some.dice.choice(usual[name])
    if "context" in chosen and some.dice.random() < 0.5:
        chosen["context"] = some.rows()
    return [x, *chosen.values()], lambda: sane_rows(jensen.rows(x, **chosen))


def rows_space(some: Strange, kit: Kit) -> Case:
    x = some.rows()
    space = some.dice.choice(
        [kit.any(some).space, some.option(), jensen.Space.binary(2), jensen.Space.real((1, 3, 3))]
    )
    return [x], lambda: sane_rows(jensen.rows(x, space=space))


# --- fit and what it gives --------------------------------------------------------------------------------------


def fit(some: Strange, kit: Kit) -> Case:
    x = some.rows()
    return [x], lambda: sane_fit(jensen.fit("independent", x))


def fit_deep(some: Strange, kit: Kit) -> Case:
    x = some.rows()
    models = [
        ("realnvp", {"transforms": 1}),
        ("made", {}),
        ("ppca", {}),
        ("encoder", {"features": 4}),
        ("gan", {"depth": 1}),
    ]
    name, more = some.dice.choice(models)
    hyper = more if name == "ppca" else {"hidden": [4], **more} if name in ("realnvp", "made") else more

    def call() -> None:
        fitted = jensen.fit(name, x, steps=2, **hyper)
        if jensen.Can.SAMPLE in fitted.can:
            finite(fitted.sample(2, seed=0)) if not fitted.space.gaps else None

    return [x], call


def fit_options(some: Strange, kit: Kit) -> Case:
    x = np.random.default_rng(0).normal(size=(40, 2))
    name = some.dice.choice(
        ["model", "steps", "seconds", "seed", "plan", "out", "device", "objective", "context", "hidden"]
    )
    name = some.dice.choice(
        [name, "space", "target", "dim", "support", "transforms", "overwrite", "watch", "unknown"]
    )
    value = some.option(most=3)
    if callable(value) and name in ("watch", "target", "objective"):
        value = None  # what a function of the user's raises is the user's
    if name == "out" and isinstance(value, (str, type(None))) and not value:
        value = kit.folder / "out"
    if name == "out" and isinstance(value, (str, Path, bytes)) and not isinstance(value, bytes):
        value = kit.folder / str(value)
    arguments = {"model": "realnvp", "rows": x, "steps": 2, "transforms": 1, "hidden": [4], name: value}
    return [x, value], lambda: jensen.fit(**arguments)


def plan_options(some: Strange, kit: Kit) -> Case:
    names = ["batch", "rate", "warmup", "clip", "average", "patience", "checks", "decay", "save_every"]
    chosen = {name: some.option(most=64) for name in some.dice.sample(names, 1)}
    x = np.random.default_rng(0).normal(size=(40, 2))
    return [], lambda: jensen.fit("realnvp", x, plan=jensen.Plan(steps=2, **chosen), transforms=1, hidden=[4])


def sample(some: Strange, kit: Kit) -> Case:
    fitted, names = kit.any(some), ["n", "seed", "context", "temperature", "sampler", "batch"]
    chosen = {"n": 2} | {
        name: some.option(most=9) for name in some.dice.sample(names, some.dice.choice([1, 2]))
    }

    def call() -> None:
        found = fitted.sample(**chosen)
        assert len(found) == chosen["n"]
        fitted.space.check(found)

    return list(chosen.values()), call


def sample_frame(some: Strange, kit: Kit) -> Case:
    like = some.dice.choice([some.frame(), some.option()])
    return [like], lambda: kit.table.sample_frame(3, 0, like=like)


def score(some: Strange, kit: Kit) -> Case:
    fitted, x = kit.any(some), some.rows()

    def call() -> None:
        found = fitted.score(x)
        assert not np.isnan(found.values).any() and len(found)

    return [x], call


def score_near(some: Strange, kit: Kit) -> Case:
    """Rows of the right shape, of any type and with any values in them."""
    fitted = some.dice.choice([kit.flow, kit.table])
    x = some.dice.choice([some.array, some.tensor])(
        (some.dice.choice([1, 5, 0]), 2 if fitted is kit.flow else 3)
    )

    def call() -> None:
        assert not np.isnan(fitted.score(x).values).any(), "a score is nan"

    return [x], call


def score_options(some: Strange, kit: Kit) -> Case:
    names = ["k", "context", "seed", "method", "width", "levels"]
    chosen = {name: some.option(most=9) for name in some.dice.sample(names, some.dice.choice([1, 2]))}
    fitted, x = some.dice.choice([(kit.flow, np.zeros((3, 2))), (kit.levels, np.ones((3, 1, 3, 3), int))])
    return list(chosen.values()), lambda: fitted.score(x, **chosen)


def embed(some: Strange, kit: Kit) -> Case:
    x = some.dice.choice([some.rows(), some.array((4, 3)), some.tensor((4, 3))])
    context = some.dice.choice([None, None, None, some.option()])
    return [x, context], lambda: finite(kit.encoder.embed(x, context))


def complete(some: Strange, kit: Kit) -> Case:
    x = some.dice.choice([np.ones((3, 1, 3, 3)), some.rows(), some.array((3, 1, 3, 3))])
    missing = some.dice.choice([np.arange(9).reshape(1, 3, 3) > 4, some.array((1, 3, 3)), some.option()])
    names = ["n", "particles", "seed", "context"]
    chosen = {"context": 1} | {name: some.option(most=9) for name in some.dice.sample(names, 1)}
    return [x, missing, *chosen.values()], lambda: finite(kit.levels.complete(x, missing, **chosen).rows)


def surprise(some: Strange, kit: Kit) -> Case:
    x = some.dice.choice([some.rows(), np.zeros((5, 2)), some.array((9, 2))])
    names = ["n", "ordinary", "draws", "context", "seed"]
    chosen = {name: some.option(most=9) for name in some.dice.sample(names, 1)}
    return [x, *chosen.values()], lambda: kit.flow.surprise(x, **chosen)


def save(some: Strange, kit: Kit) -> Case:
    path, overwrite = some.option(), some.option()
    if isinstance(path, (str, Path)):
        path = kit.folder / str(path)
    return [path], lambda: kit.table.save(path, overwrite=overwrite)


def load(some: Strange, kit: Kit) -> Case:
    run = kit.folder / "run"
    where = {"path": run} | {some.dice.choice(["path", "model", "device"]): some.option()}
    return list(where.values()), lambda: jensen.load(**where)
