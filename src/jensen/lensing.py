"""The models of a comparison through a lens: their samples against held-out rows, beside what gives the numbers a meaning.

Three things stand beside the samples of every model. Real rows, as far from the held-out ones as rows of the same law
are. A second space, the rows themselves or their principal components, which ignores other things. A control, the
Gaussian with the mean and covariance of the data: a Frechet distance in the rows ranks it near the best by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.data import Rows
from jensen.entry import Entry, Stage
from jensen.errors import Cannot, JensenError
from jensen.lens import Lens
from jensen.metrics import authenticity, coverage, kernel
from jensen.metrics.features import Sets, features
from jensen.metrics.frechet import frechet_distance, frechet_multiple
from jensen.model import Can
from jensen.probing.features import flat, reader
from jensen.quantity import Quantity
from jensen.scoring import some_places, some_rows
from jensen.space import Space

ROWS = 1000
"""Samples and held-out rows that are looked at, at most."""

TRAIN_ROWS = 5000
"""Training rows among which a copied one is looked for, at most."""

WIDEST = 256
"""Rows of more numbers are looked at through their first principal components: a Frechet distance costs their cube."""

COMPONENTS = 64
POINTS = 400
"""Rows on the map, of each set."""

VIEWED, VIEWS = 6, 5
"""Images whose views are shown, and views of each."""

CONTROL = "Gaussian of the same mean and covariance"
REAL = "real rows"
Role = Literal["model", "control", "real"]


@dataclass
class Sight:
    """One set of rows: its numbers by space and metric, or the reason why there are none.

    `points` (m, 2): the first of its rows on the map.
    """

    name: str
    role: Role
    numbers: dict[str, dict[str, Quantity]] = field(default_factory=dict)
    points: NDArray[Any] | None = None
    why_not: str = ""


@dataclass
class Gallery:
    """All sights through one lens. `spaces`: the lens's features first, then the second space.

    `points` (m, 2): held-out rows on the map, the two principal components of their features, which hold `share` of
    their variance. `views`: images and what the lens was taught to take for the same, VIEWS each, or None.
    """

    lens: Lens
    n: int
    spaces: tuple[str, str]
    sights: list[Sight]
    points: NDArray[Any]
    share: float
    views: NDArray[Any] | None = None

    def number(self, name: str, metric: str = "Frechet multiple", space: int = 0) -> Quantity:
        """One of the numbers, by the name of a model, CONTROL or REAL."""
        sight = next(one for one in self.sights if one.name == name)
        return sight.numbers[self.spaces[space]][metric]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.lens.name,
            "hash": self.lens.hash,
            "objective": self.lens.objective,
            "blind": self.lens.blind,
            "drawn": self.views is not None,
            "notes": self.lens.notes,
            "n": self.n,
            "spaces": list(self.spaces),
            "map": {"points": _rounded(self.points), "share": self.share},
            "sights": [
                {
                    "name": sight.name,
                    "role": sight.role,
                    "why_not": sight.why_not,
                    "points": None if sight.points is None else _rounded(sight.points),
                    "numbers": {
                        space: {metric: number.to_dict() for metric, number in found.items()}
                        for space, found in sight.numbers.items()
                    },
                }
                for sight in self.sights
            ],
        }


def look(lens: Lens, entries: Sequence[Entry], data: Rows, seed: int, tell: Stage | None = None) -> Gallery:
    """Samples of every model, as many as held-out rows, drawn once, in the features of the lens and in a second space.

    A model that cannot sample, or whose samples the lens does not take, has a reason in place of numbers.
    """
    n = min(ROWS, len(data.test), len(data.train))
    places = some_places(len(data.test), n, seed)
    train = _mixed(some_rows(data.train, TRAIN_ROWS, seed), seed)
    looks = _looks(lens, train)
    test = _mixed(np.asarray(data.test[places]), seed)
    parts = {name: (see(test), see(train)) for name, see in looks.items()}
    plane, share = _plane(parts[lens.name][0])

    def sight(name: str, role: Role, draw: Callable[[], NDArray[Any]]) -> Sight:
        try:
            rows = draw()
            seen = {space: see(rows) for space, see in looks.items()}
            found = {space: _numbers(*parts[space], fake, space, seed, role) for space, fake in seen.items()}
        except JensenError as error:
            return Sight(name, role, why_not=f"cannot, because {error}")
        return Sight(name, role, found, (seen[lens.name][:POINTS] @ plane).numpy())

    if tell is not None:
        tell("lens", "look")
    sights = [sight(entry.name, "model", partial(_samples, entry, data, places, seed)) for entry in entries]
    sights.append(sight(CONTROL, "control", lambda: gaussian_rows(data.space, train, n, seed)))
    # other training rows than those that every distance is divided by, where there are as many
    sights.append(sight(REAL, "real", lambda: train[n : 2 * n] if len(train) >= 2 * n else train[:n]))
    first, second = looks
    points = (parts[lens.name][0][:POINTS] @ plane).numpy()
    views = lens.views(test[:VIEWED], VIEWS, seed)
    return Gallery(lens, n, (first, second), sights, points, share, views)


def gaussian_rows(space: Space, rows: NDArray[Any], n: int, seed: int) -> NDArray[Any]:
    """n rows from the Gaussian with the mean and covariance of `rows`, moved to the nearest values of the space.

    Raises Cannot for categories, which have no mean.

    >>> rows = np.random.default_rng(0).normal(size=(5000, 2)) @ [[1.0, 2.0], [0.0, 1.0]]
    >>> bool(np.abs(np.cov(gaussian_rows(Space.real(2), rows, 5000, 0).T) - np.cov(rows.T)).max() < 0.3)
    True
    """
    if any(column.kind == "categorical" and (column.levels or 0) > 2 for column in space.columns):
        raise Cannot("categories have no mean", f"got {space.describe()}", "there is no such control")
    x = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
    mean = x.mean(0)
    # normal weights of the centred rows have their covariance, without a root of it
    weights = np.random.default_rng([seed, 31]).normal(size=(n, len(x)))
    y = (mean + weights @ (x - mean) / np.sqrt(max(len(x) - 1, 1))).reshape(n, *space.shape)
    if space.kind == "real":
        return y
    columns = [space.column(site) for site in range(space.dims)]
    low, step, top = (
        np.array(values).reshape(space.shape)
        for values in zip(*((c.low, c.step, np.inf if c.levels is None else c.levels - 1) for c in columns))
    )
    on_grid = low + step * np.clip(np.round((y - low) / step), 0, top)
    return np.where(np.isinf(top), y, on_grid).astype(rows.dtype)


def _looks(lens: Lens, train: NDArray[Any]) -> Mapping[str, Callable[[Any], Tensor]]:
    """What sees rows (n, *shape) as features (n, d), by the name of the space; the lens first."""
    read = reader(lens.fitted)

    def raw(rows: Any) -> Tensor:
        return features(flat(lens.fitted, rows, read))

    known = raw(train)
    if known.shape[1] <= WIDEST:
        return {lens.name: lambda rows: features(lens.embed(rows)), "rows": raw}
    mean = known.mean(0)
    directions = torch.linalg.svd((known - mean)[:ROWS], full_matrices=False)[2][:COMPONENTS].T
    return {
        lens.name: lambda rows: features(lens.embed(rows)),
        f"{directions.shape[1]} principal components": lambda rows: (raw(rows) - mean) @ directions,
    }


def _plane(held: Tensor) -> tuple[Tensor, float]:
    """The first two principal components (d, 2) of features (n, d), and the share of the variance that they hold."""
    _, sizes, directions = torch.linalg.svd(held - held.mean(0), full_matrices=False)
    held_by = sizes.square()
    return directions[:2].T, float(held_by[:2].sum() / held_by.sum().clamp(min=1e-300))


def _numbers(
    held: Tensor, train: Tensor, fake: Tensor, space: str, seed: int, role: Role
) -> dict[str, Quantity]:
    """Every metric of a set of rows; metrics that have nothing to say are left out."""
    sets = Sets(held, fake, train, space, seed)
    told = {**sets.how(), "n_train": len(train)}
    found = {"Frechet distance": frechet_distance(held, fake, **told)}
    found["Frechet multiple"] = frechet_multiple(held, fake, train[: len(fake)], **told)
    found |= kernel.measure(sets)
    with suppress(Cannot):  # most rows have equals
        found |= coverage.measure(sets)
    judged = (
        held if role == "real" else fake
    )  # a training row is nobody's authentic sample: held-out rows are
    return found | {"authenticity": authenticity.authenticity(train, judged, **told)}


def _rounded(points: NDArray[Any]) -> list[list[float]]:
    """Four digits, as many as a drawing shows."""
    return [[float(f"{x:.4g}") for x in point] for point in points]


def _mixed(rows: NDArray[Any], seed: int) -> NDArray[Any]:
    """The rows in another order: the first ones of a file are alike."""
    return rows[np.random.default_rng([seed, 29]).permutation(len(rows))]


def _samples(entry: Entry, data: Rows, places: NDArray[np.intp], seed: int) -> NDArray[Any]:
    if Can.SAMPLE not in entry.fitted.can:
        raise entry.fitted.model.cannot(Can.SAMPLE)
    if entry.fitted.space.binarised(None) != data.space.binarised(None):
        raise Cannot(
            "its samples are of another space than the rows",
            f"got {entry.fitted.space.describe()} for {data.space.describe()}",
            "compare on rows binarised alike",
        )
    places = places[: entry.fitted.record.get("samples")]  # rows made elsewhere are as many as they are
    given = None if data.context is None else data.context.held_out[places]
    return np.asarray(entry.fitted.sample(len(places), seed=seed, context=given))
