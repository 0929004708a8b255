"""The bundled examples are the real data they say, and no test pixel is a training pixel."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets

from jensen.data import describe_examples, hash_rows, rows
from jensen.data.examples import EXAMPLES, _cut, _strips
from jensen.errors import UsageError
from jensen.space import Space


def test_digits_are_scikit_learns_with_17_levels_and_a_fixed_count() -> None:
    found = rows("digits")
    assert found.space == Space.levels((1, 8, 8), 17)
    assert [len(found.train), len(found.valid), len(found.test)] == [1150, 150, 497]
    assert found.hash == hash_rows(datasets.load_digits().images[:, None])


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes", "iris"])
def test_tables_have_their_names_and_no_target(name: str) -> None:
    bunch = getattr(datasets, f"load_{name}")()
    found = rows(name)
    assert found.hash == hash_rows(bunch.data)
    assert [column.name for column in found.space.columns] == [str(one) for one in bunch.feature_names]
    assert len(found.train) + len(found.valid) + len(found.test) == len(bunch.data)


def test_kinds_drop_and_split_apply_to_examples() -> None:
    found = rows(
        "iris", drop=["petal width (cm)"], kinds={"sepal length (cm)": "levels"}, split=(100, 20, 30)
    )
    assert found.space.shape == (3,) and len(found.test) == 30
    column = found.space.columns[0]
    assert (column.kind, column.levels) == ("levels", 37)
    assert (column.low, column.step) == pytest.approx((4.3, 0.1))


def test_photo_patches_are_cut_from_the_photographs() -> None:
    found = rows("photos", seed=1)
    assert found.space == Space.levels((3, 8, 8), 256)
    photo = datasets.load_sample_images().images
    views = [np.lib.stride_tricks.sliding_window_view(p, (8, 8), axis=(0, 1))[::4, ::4] for p in photo]
    known = {view[i, j].tobytes() for view in views for i in range(105) for j in range(159)}
    assert all(patch.tobytes() in known for patch in found.test[::50])
    assert all(patch.tobytes() in known for patch in found.train[::500])


def test_no_pixel_is_in_patches_of_two_parts() -> None:
    """With pixels numbered, patches of different strips share no number, and held-out ones share none at all."""
    strips = np.arange(32 * 427 * 40).reshape(32, 427, 40, 1)
    pixels = [set(_cut(strips[i : i + 1], 1).ravel().tolist()) for i in range(3)]
    assert not (pixels[0] & pixels[1] or pixels[1] & pixels[2])
    held_out = _cut(strips[:2], 8)
    assert len(np.unique(held_out)) == held_out.size


def test_strips_tile_the_photographs() -> None:
    photos = np.stack(datasets.load_sample_images().images)
    np.testing.assert_array_equal(np.concatenate(list(_strips(grey=False)[:16]), axis=1), photos[0])
    np.testing.assert_array_equal(np.concatenate(list(_strips(grey=False)[16:]), axis=1), photos[1])


def test_patches_are_grey_levels_with_noise_of_one_level_and_no_mean() -> None:
    found = rows("patches", seed=2)
    assert found.space == Space.real(63)
    test = np.asarray(found.test, dtype=np.float64)
    whole = np.column_stack([test, -test.sum(1)])  # the mean is zero, so the last pixel follows
    levels = whole * 256
    differences = levels[:, :1] - levels  # of two pixels: a whole number plus noise in (-1, 1)
    assert abs(differences).max() < 256
    fraction = differences[:, 1:] % 1.0  # the difference of two uniforms, modulo one, is uniform again
    mean_error = 5 * np.sqrt(1 / 12 / len(fraction))  # five standard errors; the rows are independent
    assert abs(fraction.mean() - 0.5) < mean_error
    assert found.hash != rows("patches", seed=3).hash


def test_regions_are_split_by_share_and_not_by_count() -> None:
    with pytest.raises(UsageError, match="split by region"):
        rows("photos", split=(100, 10, 20))


def test_every_example_has_a_line_and_loads() -> None:
    assert dict(describe_examples()) == EXAMPLES
    for name, line in EXAMPLES.items():
        assert line and rows(name).name == name
