"""Laws whose modes are known: a ring, a grid, stacked digits, and targets of several lumps; what `mode_coverage` counts by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.data.targets import TARGETS
from jensen.errors import UsageError, nearest
from jensen.space import Space

Rows = NDArray[Any]

WITHIN = 4.0
"""Standard deviations of a lump within which a row counts as its own."""

DIGITS = 10


@dataclass(frozen=True, eq=False)
class Modes:
    """The modes of a law: which one a row belongs to, and the share of the law's rows that each holds.

    `of`: rows (n, *space.shape) in the user's units -> the mode of each, (n,) integers, -1 for a row that is near none.
    `shares` (k,): of the law itself, as `of` counts it; exact, or to 1e-5 where `of` cuts off tails. `sample`: exact draws of
    the law, (n, seed) -> rows; None where they are to be had elsewhere.
    """

    name: str
    space: Space
    shares: NDArray[np.float64]
    of: Callable[[Rows], NDArray[np.int64]]
    sample: Callable[[int, int], Rows] | None = None

    def seen_by(self, decode: Callable[[Any], Rows]) -> Modes:
        """The same modes of rows that are encoded: `decode` gives them in the user's units."""
        return replace(self, of=lambda rows: self.of(decode(rows)), sample=None)


def known_modes(name: str, dim: int = 2) -> Modes:
    """The modes of a law by name: one of KNOWN. `dim`: of a target that takes one.

    Raises UsageError for an unknown name.

    >>> ring = known_modes("ring")
    >>> ring.of(np.array([[2.0, 0.01], [0.0, 0.0]])).tolist()
    [0, -1]
    """
    if name not in KNOWN:
        raise UsageError("no modes are known of that", f"got {name!r}", nearest(name, KNOWN))
    return KNOWN[name](dim)


def lumps(name: str, centres: NDArray[np.float64], sd: float, shares: NDArray[np.float64]) -> Modes:
    """Gaussians N(centre, sd^2 I) of weights `shares` (k,) at `centres` (k, d): a row is of the nearest within 4 sd.

    >>> two = lumps("two", np.array([[0.0], [9.0]]), 1.0, np.array([0.25, 0.75]))
    >>> two.of(np.array([[1.0], [8.5], [4.5]])).tolist(), (two.shares.sum() < 1).item()
    ([0, 1, -1], True)
    """
    from scipy.special import gammainc

    d = centres.shape[1]
    near = float(gammainc(d / 2, WITHIN**2 / 2))  # P(chi-squared of d degrees < 16)

    def of(rows: Rows) -> NDArray[np.int64]:
        found = np.empty(len(rows), dtype=np.int64)
        for part in np.array_split(np.arange(len(rows)), 1 + len(rows) * len(centres) // 2_000_000):
            squares = ((rows[part, None, :] - centres) ** 2).sum(2)
            found[part] = np.where(squares.min(1) < (WITHIN * sd) ** 2, squares.argmin(1), -1)
        return found

    def sample(n: int, seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        return centres[rng.choice(len(centres), size=n, p=shares)] + sd * rng.normal(size=(n, d))

    return Modes(name, Space.real(d), near * shares, of, sample)


def ring(modes: int = 8, radius: float = 2.0, sd: float = 0.02) -> Modes:
    """Equal Gaussians on a circle (Metz et al. 2017: 8, of radius 2)."""
    angles = 2 * np.pi * np.arange(modes) / modes
    centres = radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    return lumps("ring", centres, sd, np.full(modes, 1 / modes))


def grid(side: int = 5, step: float = 2.0, sd: float = 0.05) -> Modes:
    """side^2 equal Gaussians on a square grid around the origin (Lin et al. 2018: 25, 2 apart, sd 0.05)."""
    at = step * (np.arange(side) - (side - 1) / 2)
    centres = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    return lumps("grid", centres, sd, np.full(side * side, 1 / side**2))


def stacked_digits() -> Modes:
    """Three digits of scikit-learn's as the three channels of an image (3, 8, 8) of 17 levels: 1,000 modes, see `stacked`.

    >>> law = stacked_digits()
    >>> law.of(law.sample(4, 0)).tolist()
    [253, 399, 596, 501]
    """
    return stacked("stacked-digits", *_digits(), levels=17)


def stacked(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], levels: int = 256) -> Modes:
    """Three images, drawn independently of `images` (k, height, width), as the channels of one: a mode for each triple of labels 0 to 9.

    After stacked MNIST (Metz et al. 2017, Lin et al. 2018). The mode is the labels of the nearest of the images, channel
    by channel. The law draws those images themselves, so that the shares are exact: products of what is read in them.
    """
    known = images.reshape(len(images), -1).astype(np.float32)
    middle = (known**2).sum(1) / 2

    def read(rows: Rows) -> NDArray[np.int64]:
        flat = np.asarray(rows, dtype=np.float32).reshape(-1, known.shape[1])
        # |x - p|^2 is least where x.p - |p|^2 / 2 is largest
        parts = np.array_split(flat, 1 + len(flat) * len(known) // 8_000_000)
        return labels[np.concatenate([(part @ known.T - middle).argmax(1) for part in parts])]

    def of(rows: Rows) -> NDArray[np.int64]:
        return read(rows).reshape(-1, 3) @ np.array([DIGITS**2, DIGITS, 1])

    def sample(n: int, seed: int) -> Rows:
        return images[np.random.default_rng(seed).integers(len(images), size=(n, 3))]

    share = np.bincount(read(images), minlength=DIGITS) / len(images)
    shares = np.einsum("i,j,k->ijk", share, share, share).reshape(-1)
    return Modes(name, Space.levels((3, *images.shape[1:]), levels), shares, of, sample)


def _mixture(dim: int) -> Modes:
    """The modes of the target called mixture, at its default settings."""
    modes, radius, scale = 4, 4.0, 0.5
    angles = 2 * np.pi * np.arange(modes) / modes
    centres = np.zeros((modes, dim))
    centres[:, 0], centres[:, 1] = radius * np.cos(angles), radius * np.sin(angles)
    weights = np.arange(1, modes + 1) / (modes * (modes + 1) / 2)
    return lumps("mixture", centres, scale, weights)


def _sides(name: str) -> Modes:
    """Left and right of a target that is symmetric."""
    return Modes(
        name, Space.real(2), np.array([0.5, 0.5]), lambda rows: (np.asarray(rows)[:, 0] > 0).astype(np.int64)
    )


KNOWN: dict[str, Callable[[int], Modes]] = {
    "ring": lambda dim: ring(),
    "grid": lambda dim: grid(),
    "stacked-digits": lambda dim: stacked_digits(),
    "mixture": _mixture,
    "two-moons": lambda dim: _sides("two-moons"),
    "u1": lambda dim: _sides("u1"),
}
"""Names of laws with known modes; the last three are targets."""


def modes_of_target(name: str, dim: int) -> Modes | None:
    """The modes of a target, by its name, where they are known."""
    return KNOWN[name](dim) if name in KNOWN and name in TARGETS else None


@cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (1797, 8, 8) and labels."""
    from sklearn.datasets import load_digits

    known = load_digits()
    return np.asarray(known.images, dtype=np.uint8), np.asarray(known.target, dtype=np.int64)
