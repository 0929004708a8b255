"""Real data that come with scikit-learn: digits, four tables, and patches of two photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jensen.data.arraylike import Source
from jensen.data.split import DEFAULT_SPLIT, split_rows
from jensen.data.tables import Table, from_frame
from jensen.errors import DataError, UsageError
from jensen.space import Space

EXAMPLES = {
    "digits": "1,797 handwritten digits, 1x8x8, 17 levels",
    "photos": "8x8 colour patches of two photographs, 3x8x8, 256 levels",
    "patches": "8x8 grey patches of the same photographs as 63 real numbers, a benchmark of density estimation",
    "breast_cancer": "569 tumours, 30 real columns",
    "diabetes": "442 patients, 10 columns, one of them binary",
    "iris": "150 flowers, 4 real columns on a lattice of 0.1",
    "wine": "178 wines, 13 real columns",
}
LABEL = "label"
"""How the class, or the target, of an example is called as a context."""
SIDE = 8
STRIP = 40  # the photographs are 640 wide: sixteen strips each, in which patches lie entirely


@dataclass(frozen=True)
class Example:
    """An example's rows; `split` is its own default, `parts` the positions of a split that is not by row."""

    source: Source | Table
    space: Space | None = None
    split: tuple[float, float, float] = DEFAULT_SPLIT
    parts: tuple[NDArray[np.intp], ...] | None = None


def describe_examples() -> list[tuple[str, str]]:
    """Names of the bundled examples, each with a line on what it is.

    >>> describe_examples()[0]
    ('digits', '1,797 handwritten digits, 1x8x8, 17 levels')
    """
    return list(EXAMPLES.items())


def load_example(name: str, split: Sequence[float] | None, seed: int) -> Example:
    """Load an example by a name out of EXAMPLES. Tables come without their target column.

    Raises UsageError for a split in counts where the split is by region.
    """
    if name == "digits":
        return _digits()
    if name in ("photos", "patches"):
        return _patches(name, split or DEFAULT_SPLIT, seed)
    return Example(_table(name))


def example_label(name: str) -> Table:
    """The class of each row of an example (of diabetes its target, a number): one column, called label.

    Raises DataError for the photographs, which have none.
    """
    import pyarrow as pa
    from sklearn import datasets

    if name in ("photos", "patches"):
        raise DataError(
            f"the example {name} has no label", "got context='label'", "pass an array, one context a row"
        )
    bunch = getattr(datasets, f"load_{name}")()
    target = bunch.target
    if name not in ("digits", "diabetes"):
        target = [str(bunch.target_names[code]) for code in target]
    return from_frame(pa.table({LABEL: pa.array(target)}), name)


def _digits() -> Example:
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.uint8)[:, None]
    return Example(Source("digits", images), Space.levels((1, 8, 8), 17), (1150, 150, 497))


def _table(name: str) -> Table:
    import pyarrow as pa
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    names = [str(column) for column in bunch.feature_names]
    return from_frame(pa.table(dict(zip(names, bunch.data.T, strict=True))), name)


def _patches(name: str, split: Sequence[float], seed: int) -> Example:
    """Patches whose train, valid and test rows come from different strips of the photographs.

    Overlapping patches share pixels, so a split by row would put copies of training pixels into the test
    rows. Held-out patches do not even overlap each other: their interval should not count a pixel twice.
    """
    if any(share >= 1 for share in split):
        raise UsageError(
            f"{name} are split by region, not by row",
            f"got counts {tuple(split)}",
            "pass shares such as 0.7, 0.1, 0.2",
        )
    strips = _strips(grey=name == "patches")
    step = 1 if name == "patches" else SIDE // 2
    groups = split_rows(len(strips), split, seed)
    parts = [_cut(strips[group], stride) for group, stride in zip(groups, (step, SIDE, SIDE), strict=True)]
    values = np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts])
    rows = tuple(np.arange(end - len(part), end) for part, end in zip(parts, ends, strict=True))
    notes: tuple[str, ...] = (
        f"train, valid and test come from different regions; training patches {'every pixel' if step == 1 else f'every {step} pixels'}, "
        f"held-out patches every {SIDE}",
    )
    if name == "photos":
        return Example(
            Source(name, np.moveaxis(values, -1, 1).copy(), notes=notes),
            Space.levels((3, 8, 8), 256),
            parts=rows,
        )
    notes += ("grey levels with uniform noise of one level, over 256, mean removed, last pixel left out",)
    return Example(Source(name, _real_patches(values[..., 0], seed), notes=notes), Space.real(63), parts=rows)


def _strips(grey: bool) -> NDArray[np.uint8]:
    """Vertical strips (32, 427, 40, channels) of the two photographs (CC BY 2.0)."""
    from sklearn.datasets import load_sample_images

    photos = np.stack(load_sample_images().images)
    if grey:  # Rec. 601 luma, in whole levels
        luma = photos @ np.array([0.299, 0.587, 0.114])
        photos = np.rint(luma).astype(np.uint8)[..., None]
    n, height, width, channels = photos.shape
    strips = photos.reshape(n, height, width // STRIP, STRIP, channels).swapaxes(1, 2)
    return strips.reshape(-1, height, STRIP, channels)


def _cut(strips: NDArray[np.uint8], stride: int) -> NDArray[np.uint8]:
    """All patches (n, 8, 8, channels) of strips at a stride."""
    windows = np.lib.stride_tricks.sliding_window_view(strips, (SIDE, SIDE), axis=(1, 2))[
        :, ::stride, ::stride
    ]
    return np.moveaxis(windows, 3, -1).reshape(-1, SIDE, SIDE, strips.shape[-1])


def _real_patches(levels: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """Rows (n, 63) as in Zoran and Weiss (2011), Uria et al. (2013, RNADE) and Papamakarios et al. (2017).

    Noise of one level makes a density honest on 8-bit values; without its mean a patch has 63 degrees of
    freedom, so its last pixel says nothing new.
    """
    flat = levels.reshape(len(levels), -1)
    noise = np.random.default_rng([seed, SIDE]).random(flat.shape, dtype=np.float32)
    values = (flat + noise) / np.float32(256)
    return np.ascontiguousarray((values - values.mean(1, keepdims=True))[:, :-1])
