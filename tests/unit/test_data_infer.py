"""Kinds are inferred as documented; a lattice is found exactly where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jensen.data import rows
from jensen.data.infer import array_space
from jensen.data.lattice import find_lattice, widen
from jensen.data.survey import survey
from jensen.errors import DataError
from jensen.space import Space

RNG = np.random.default_rng(3)
LEVELS = RNG.integers(0, 256, (40, 1, 4, 4))


@pytest.mark.parametrize(
    ("values", "space"),
    [
        (LEVELS.astype(np.uint8), Space.levels((1, 4, 4), 256)),
        ((LEVELS % 200).astype(np.uint8), Space.levels((1, 4, 4), 256)),
        ((LEVELS % 17).astype(np.uint8), Space.levels((1, 4, 4), 17)),
        ((LEVELS % 17).astype(np.float64), Space.levels((1, 4, 4), 17)),
        (LEVELS % 2, Space.binary((1, 4, 4))),
        (LEVELS % 2 * 2.0 - 1, Space.binary((1, 4, 4), -1.0, 2.0)),
        ((LEVELS % 200) / 255, Space.levels((1, 4, 4), 256, 0.0, 1 / 255)),
        (((LEVELS % 200) / 255).astype(np.float32), Space.levels((1, 4, 4), 256, 0.0, 1 / 255)),
        (((LEVELS - 127.5) / 127.5).astype(np.float32), Space.levels((1, 4, 4), 256, -1.0, 2 / 255)),
        (RNG.random((40, 1, 4, 4)), Space.real((1, 4, 4))),
        (LEVELS.reshape(40, 16) % 7, Space.levels(16, 7)),
        (LEVELS.reshape(40, 16) * 2, Space.real(16)),
        (LEVELS.reshape(40, 16) / 255, Space.real(16)),
    ],
)
def test_arrays(values: np.ndarray, space: Space) -> None:
    found, _ = array_space(values)
    assert found.shape == space.shape
    (column,), (expected,) = found.columns, space.columns
    assert (column.kind, column.levels) == (expected.kind, expected.levels)
    assert (column.low, column.step) == pytest.approx((expected.low, expected.step), rel=1e-9)
    found.check(values)


def test_real_vectors_on_a_lattice_are_said() -> None:
    _, notes = array_space(LEVELS.reshape(40, 16) % 9 / 10)
    assert any("(step 0.1)" in note and "made as large as you like" in note for note in notes)


@given(
    low=st.integers(-1000, 1000),
    step=st.sampled_from([1.0, 0.5, 0.1, 0.01, 1 / 255, 2 / 255, 0.001, 3.0, 1e-6, 7e5]),
    seed=st.integers(0, 10**6),
    single=st.booleans(),
)
def test_the_step_of_a_lattice_is_found_from_its_points(
    low: int, step: float, seed: int, single: bool
) -> None:
    multiples = np.random.default_rng(seed).choice(200, 60, replace=False)
    multiples = np.append(multiples, [multiples[0] + 1, multiples[0]])  # gcd one
    low_on_lattice = 0.0 if single else low * step
    values = low_on_lattice + multiples * step
    values = np.unique(values.astype(np.float32).astype(np.float64) if single else values)
    lattice = find_lattice(values)
    assert lattice is not None
    assert lattice.step == pytest.approx(step, rel=1e-5 if single else 1e-9)
    assert lattice.holds(values)


@given(seed=st.integers(0, 10**6), n=st.integers(12, 300), single=st.booleans())
def test_continuous_values_lie_on_no_lattice(seed: int, n: int, single: bool) -> None:
    values = np.random.default_rng(seed).normal(size=n)
    values = values.astype(np.float32).astype(np.float64) if single else values
    assert find_lattice(np.unique(values)) is None


def test_a_lattice_in_the_unit_interval_is_widened_to_it() -> None:
    lattice = find_lattice(np.arange(30, 50) / 255)
    assert lattice is not None
    whole = widen(lattice)
    assert (whole.low, whole.points) == (0.0, 256)
    assert whole.high == pytest.approx(1.0)


def test_a_lattice_broken_far_from_the_sample_is_refuted() -> None:
    values = np.round(RNG.random((200_000, 1)), 2)
    assert survey(values, by_column=True)[0].lattice is not None
    values[123_457] = np.pi / 4
    assert survey(values, by_column=True)[0].lattice is None


def test_a_third_value_far_from_the_sample_is_found() -> None:
    values = (RNG.random((200_000, 1)) > 0.5) * 3.5
    assert survey(values, by_column=True)[0].two
    values[123_457] = 1.0
    assert not survey(values, by_column=True)[0].two


@pytest.mark.parametrize(
    ("kinds", "space"),
    [
        ("real", Space.real(3)),
        ("levels", Space.levels(3, 5)),
        ("categorical", Space.categorical(3, 5)),
    ],
)
def test_one_kind_for_a_whole_array(kinds: str, space: Space) -> None:
    values = np.arange(60).reshape(20, 3) * 2 % 5
    assert rows(values, kinds=kinds).space == space


def test_levels_of_negative_and_fractional_values() -> None:
    column = rows(LEVELS.reshape(40, 16) % 9 / 10 - 2, kinds="levels").space.columns[0]
    assert (column.kind, column.levels) == ("levels", 9)
    assert (column.low, column.step) == pytest.approx((-2.0, 0.1))


@pytest.mark.parametrize(
    ("values", "kinds", "message"),
    [
        (RNG.normal(size=(20, 2)), "levels", "lie on no lattice"),
        (RNG.normal(size=(20, 2)), "binary", "exactly two values"),
        (RNG.normal(size=(20, 2)), "categorical", "expected codes 0, 1, 2"),
        (RNG.normal(size=(20, 2)), "levle", "did you mean levels"),
        (RNG.normal(size=(20, 2)), {"a": "real"}, "no column names"),
    ],
)
def test_a_kind_that_does_not_fit_is_refused(values: np.ndarray, kinds, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(values, kinds=kinds)
