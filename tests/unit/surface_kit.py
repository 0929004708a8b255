"""What the doors of the public surface are tried with: fitted models, and what a sane result is."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from strange_values import Strange

import jensen

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
    latent: jensen.Fitted
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
        jensen.fit("vae", rng.normal(size=(60, 3)), steps=3, hidden=[4], latents=1),
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
