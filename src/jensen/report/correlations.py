"""Correlation matrices as small pictures: blue for together, orange for opposite, clear for none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOGETHER, OPPOSITE = (43, 108, 176), (201, 84, 20)
MOST = 128  # columns; a larger matrix shows the first ones


def correlations(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlations (d, d) of the columns of rows (n, d); zero where a column does not vary.

    >>> correlations(np.array([[0.0, 1.0, 5.0], [1.0, -1.0, 5.0]])).round(6).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    centred = rows[:, :MOST] - rows[:, :MOST].mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    unit = np.divide(centred, size, out=np.zeros_like(centred), where=size > 0)
    return np.clip(unit.T @ unit, -1.0, 1.0)


def sheet(matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A picture (d, d, 4): the sign is the colour, the size the opacity, so that it fits light and dark pages."""
    picture = np.empty((*matrix.shape, 4), np.uint8)
    picture[..., :3] = np.where((matrix >= 0)[..., None], TOGETHER, OPPOSITE)
    picture[..., 3] = np.rint(np.abs(matrix) * 255)
    return picture
