"""The public surface, one entry a door: each draws strange arguments and gives what was passed, and the call."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from strange_values import Strange

import jensen
from jensen.codec import Chain, Dequantise, Integers, Logit, Standardise

Case = tuple[list[Any], Callable[[], Any]]
"""What is passed, and must be as it was afterwards; the call, which looks at its own result."""


@dataclass(frozen=True)
class Kit:
    """Fitted models to ask things of: a flow of two reals, a model of a mixed table, an autoregressive one of 3 x 3 levels
    that takes a context, an encoder; and a folder to write to."""

    flow: jensen.Fitted
    table: jensen.Fitted
    levels: jensen.Fitted
    encoder: jensen.Fitted
    folder: Path

    def any(self, some: Strange) -> jensen.Fitted:
        return some.dice.choice([self.flow, self.table, self.levels, self.encoder])


def make_kit(folder: Path) -> Kit:
    rng = np.random.default_rng(0)
    import pandas as pd

    grey = rng.integers(0, 4, (60, 1, 3, 3))
    frame = pd.DataFrame({"c0": rng.normal(size=60), "c1": list("abc" * 20), "c2": rng.integers(0, 9, 60)})
    return Kit(
        jensen.fit("realnvp", rng.normal(size=(60, 2)), steps=3, transforms=1, hidden=[4]),
        jensen.fit("independent", frame),
        jensen.fit("made", grey, context=np.arange(60) % 3, steps=3, hidden=[4]),
        jensen.fit("encoder", rng.normal(size=(60, 3)), steps=3, features=4),
        folder,
    )


def finite(values: Any) -> None:
    assert np.isfinite(np.asarray(values, float)).all(), "a result is not finite"


def sane_rows(found: jensen.Rows) -> None:
    """Every part has rows, in the space."""
    assert min(found.counts.values()) > 0
    for part in (found.train, found.valid, found.test):
        found.space.check(np.asarray(part[:]))
    assert found.describe()


def sane_fit(fitted: jensen.Fitted, x: Any = None) -> None:
    fitted.space.check(fitted.sample(3, seed=0))
    if x is not None:
        assert not np.isnan(fitted.score(x).values).any(), "a score is nan"


def seed_of(door: str, case: int) -> int:
    """Another seed for every door."""
    return zlib.crc32(f"{door} {case}".encode())


# --- rows -------------------------------------------------------------------------------------------------------


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
    if name == "out" and not value:
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


# --- comparing and judging --------------------------------------------------------------------------------------


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
    return [x, label, *chosen.values()], lambda: jensen.probe(kit.encoder, x, label=label, **chosen)


def pose(some: Strange, kit: Kit) -> Case:
    names = ["what", "dim", "support", "location", "scale", "seed"]
    chosen = {name: some.option(most=3) for name in some.dice.sample(names, some.dice.choice([1, 2]))}
    arguments = {"what": lambda x: -(x**2).sum(1), "dim": 2, **chosen}
    return list(chosen.values()), lambda: jensen.pose(**arguments)


# --- spaces, codecs, estimators ---------------------------------------------------------------------------------


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


# --- mathematics ------------------------------------------------------------------------------------------------


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


DOORS: dict[str, Callable[[Strange, Kit], Case]] = {
    one.__name__: one
    for one in (
        *(
            rows,
            rows_options,
            rows_space,
            fit,
            fit_deep,
            fit_options,
            plan_options,
            sample,
            sample_frame,
            score,
        ),
        *(
            score_near,
            score_options,
            embed,
            complete,
            surprise,
            save,
            load,
            compare,
            compare_options,
            divergence,
        ),
        *(divergence_options, audit, audit_options, receptive_field, probe, pose, space, column, codec),
        *(estimator_fit, estimator_options, functional),
    )
}
