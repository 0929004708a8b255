"""A space says what one row is, and refuses at the boundary the rows that are not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jensen.errors import SpaceError
from jensen.space import KINDS, Column, Space

# ---------------------------------------------------------------------------------------------------------------
# Constructors and invariants
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "space, shape, kind, measure, levels",
    [
        (Space.real(3), (3,), "real", "density", None),
        (Space.real((3, 2, 4)), (3, 2, 4), "real", "density", None),
        (Space.levels((1, 8, 8), 17), (1, 8, 8), "levels", "mass", 17),
        (Space.levels(4, 256, low=-1.0, step=2 / 255), (4,), "levels", "mass", 256),
        (Space.binary([2]), (2,), "binary", "mass", 2),
        (Space.categorical(5, 7), (5,), "categorical", "mass", 7),
    ],
)
def test_a_constructor_fixes_shape_kind_measure_and_levels(
    space: Space, shape: tuple[int, ...], kind: str, measure: str, levels: int | None
) -> None:
    assert (space.shape, space.kind, space.measure, space.max_levels) == (shape, kind, measure, levels)
    assert space.dims == math.prod(shape)
    assert space.is_image is (len(shape) == 3)
    assert space.levels_by_site() == (levels or 0,) * space.dims


REAL, BIT, FIVE, COLOUR = (
    Column("real", name="weight"),
    Column("binary", name="alive"),
    Column("levels", 5, low=-1.0, step=0.5, name="grade"),
    Column("categorical", 3, name="colour", labels=("red", "green", "blue")),
)


@pytest.mark.parametrize(
    "columns, kind, measure",
    [
        ((REAL, REAL), "real", "density"),
        ((BIT, BIT), "binary", "mass"),
        ((FIVE, FIVE), "levels", "mass"),
        ((BIT, FIVE), "categorical", "mass"),
        ((COLOUR, BIT), "categorical", "mass"),
        ((REAL, BIT), "mixed", "mixed"),
        ((COLOUR, REAL), "mixed", "mixed"),
    ],
)
def test_the_columns_decide_kind_and_measure(columns: tuple[Column, ...], kind: str, measure: str) -> None:
    space = Space((2,), columns)
    assert (space.kind, space.measure) == (kind, measure)
    assert Space((2,), columns[::-1]).kind == kind


def test_one_column_stands_for_all_sites_and_several_stand_one_a_site() -> None:
    table = Space((4,), (REAL, BIT, FIVE, COLOUR))
    assert [table.column(site) for site in range(4)] == [REAL, BIT, FIVE, COLOUR]
    assert table.levels_by_site() == (0, 2, 5, 3)
    assert table.max_levels == 5
    low, step = table.grid()
    assert low.tolist() == [0.0, 0.0, -1.0, 0.0]
    assert step.tolist() == [1.0, 1.0, 0.5, 1.0]
    image = Space.levels((2, 2, 2), 4, low=1.0, step=3.0)
    assert {image.column(site) for site in range(8)} == {Column("levels", 4, 1.0, 3.0)}
    assert np.broadcast_to(image.grid()[1], image.shape).tolist() == np.full((2, 2, 2), 3.0).tolist()


def test_with_columns_keeps_the_shape() -> None:
    assert Space.binary((1, 2, 2)).with_columns([FIVE]) == Space((1, 2, 2), (FIVE,))
    with pytest.raises(SpaceError, match="one a site"):
        Space.real(3).with_columns([REAL, REAL])


@given(
    st.sampled_from(["levels", "binary", "categorical"]),
    st.integers(2, 300),
    st.floats(-1e3, 1e3),
    st.floats(1e-3, 1e3),
)
def test_the_highest_value_is_levels_minus_one_steps_above_the_lowest(
    kind: str, levels: int, low: float, step: float
) -> None:
    count = 2 if kind == "binary" else levels
    column = Column(kind, count, low, step)  # type: ignore[arg-type]
    assert column.high == low + step * (count - 1)


@pytest.mark.parametrize("shape", [(), (2, 3), (1, 2, 3, 4), (0,), (3, 0, 2), (-1,)])
def test_a_row_is_a_vector_or_an_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpaceError, match="vector"):
        Space.real(shape)


@pytest.mark.parametrize(
    "shape, columns", [((3,), (REAL, REAL)), ((3,), ()), ((2, 1, 1), (REAL, REAL)), ((1, 1, 2), (BIT, REAL))]
)
def test_columns_are_one_for_all_or_one_a_site_of_a_vector(
    shape: tuple[int, ...], columns: tuple[Column, ...]
) -> None:
    with pytest.raises(SpaceError, match=f"got {len(columns)} for shape"):
        Space(shape, columns)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"kind": "ordinal"}, "'ordinal': use one of real, levels, binary, categorical"),
        ({"kind": "real", "levels": 3}, "no levels; got 3"),
        ({"kind": "levels"}, "number of levels.*None"),
        ({"kind": "levels", "levels": 1}, "2 or more; got 1"),
        ({"kind": "categorical", "levels": 0}, "2 or more; got 0"),
        ({"kind": "binary", "levels": 3}, "got 3"),
        ({"kind": "levels", "levels": 3, "step": 0.0}, "positive step; got 0.0 and 0.0"),
        ({"kind": "levels", "levels": 3, "step": -1.0}, "positive step"),
        ({"kind": "levels", "levels": 3, "step": math.inf}, "positive step"),
        ({"kind": "levels", "levels": 3, "step": math.nan}, "positive step"),
        ({"kind": "binary", "low": math.nan}, "finite start"),
        ({"kind": "categorical", "levels": 3, "labels": ("a", "b")}, "got 2 for 3 levels"),
    ],
)
def test_a_column_refuses_what_no_column_can_be(arguments: dict, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Column(**arguments)


# ---------------------------------------------------------------------------------------------------------------
# check()
# ---------------------------------------------------------------------------------------------------------------


@st.composite
def columns(draw: st.DrawFn) -> Column:
    kind = draw(st.sampled_from(KINDS))
    name = draw(st.text(max_size=4))
    if kind == "real":
        return Column("real", name=name)
    levels = 2 if kind == "binary" else draw(st.integers(2, 40))
    if kind == "categorical":
        named = draw(st.booleans())
        return Column(
            kind, levels, name=name, labels=tuple(f"é{i}" for i in range(levels)) if named else None
        )
    return Column(kind, levels, draw(st.floats(-50, 50)), draw(st.floats(0.01, 50)), name)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    if draw(st.booleans()):
        return Space(tuple(draw(st.integers(1, 3)) for _ in range(3)), (draw(columns()),))
    d = draw(st.integers(2, 4))
    return Space((d,), tuple(draw(columns()) for _ in range(draw(st.sampled_from([1, d])))))


def rows_of(space: Space, n: int, seed: int) -> np.ndarray:
    """Rows drawn uniformly from a space (standard normal where it is real)."""
    generator = np.random.default_rng(seed)
    flat = np.empty((n, space.dims))
    for site in range(space.dims):
        column = space.column(site)
        if column.levels is None:
            flat[:, site] = generator.normal(size=n)
        else:
            flat[:, site] = column.low + column.step * generator.integers(column.levels, size=n)
    return flat.reshape(n, *space.shape)


@given(spaces(), st.integers(0, 2**32 - 1))
def test_rows_of_a_space_pass_its_check_in_both_precisions(space: Space, seed: int) -> None:
    rows = rows_of(space, 5, seed)
    space.check(rows)
    # float32 moves a value by at most 2**-24 (|low| + 40 step); with |low| <= 50 and step >= 0.01 that is less
    # than 3.1e-4 of a step, and check() forgives 1e-3
    space.check(rows.astype(np.float32))


@given(spaces(), st.integers(0, 2**32 - 1), st.data())
def test_a_value_off_the_grid_is_refused_and_its_row_named(
    space: Space, seed: int, data: st.DataObject
) -> None:
    discrete = [site for site in range(space.dims) if space.column(site).levels]
    if not discrete:
        return
    site, row = data.draw(st.sampled_from(discrete)), data.draw(st.integers(0, 4))
    column = space.column(site)
    wrong = data.draw(st.sampled_from([-1.0, -0.5, 0.5, column.levels - 0.5, float(column.levels)]))
    rows = rows_of(space, 5, seed).reshape(5, -1)
    rows[row, site] = column.low + column.step * wrong
    with pytest.raises(SpaceError) as caught:
        space.check(rows.reshape(5, *space.shape))
    assert f"row {row}, {_place(space, site)} holds" in str(caught.value)


@given(spaces(), st.integers(0, 2**32 - 1), st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_a_value_that_is_not_finite_is_refused_and_its_row_named(
    space: Space, seed: int, bad: float, data: st.DataObject
) -> None:
    site, row = data.draw(st.integers(0, space.dims - 1)), data.draw(st.integers(0, 4))
    rows = rows_of(space, 5, seed).reshape(5, -1)
    rows[row, site] = bad
    with pytest.raises(SpaceError) as caught:
        space.check(rows.reshape(5, *space.shape))
    assert f"row {row}, {_place(space, site)} holds {bad}" in str(caught.value)


def _place(space: Space, site: int) -> str:
    name = space.column(site).name if len(space.columns) > 1 else ""
    if name:
        return f"column {name!r}"
    return "site " + ",".join(str(i) for i in np.unravel_index(site, space.shape))


def test_the_first_wrong_value_is_shown_beside_the_grid() -> None:
    rows = np.array([[1.0, 0.0], [2.0, 17.0], [99.0, 3.0]])
    with pytest.raises(SpaceError, match=r"17 levels from 0 to 16 in steps of 1; row 1, site 1 holds 17"):
        Space.levels(2, 17).check(rows)


def test_a_wrong_pixel_is_named_by_channel_row_and_column() -> None:
    rows = np.zeros((3, 2, 4, 5), dtype=np.uint8)
    rows[2, 1, 3, 0] = 9
    with pytest.raises(SpaceError, match="row 2, site 1,3,0 holds 9"):
        Space.levels((2, 4, 5), 8).check(rows)


def test_a_column_is_named_in_a_table_of_one_column_too() -> None:
    with pytest.raises(SpaceError, match="row 0, column 'alive' holds 3"):
        Space((1,), (BIT,)).check(np.array([[3.0]]))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32, np.float64])
def test_bits_may_come_in_any_numeric_type(dtype: type) -> None:
    bits = Space.binary(2)
    bits.check(np.array([[0, 1], [1, 1]], dtype=dtype))
    with pytest.raises(SpaceError, match=r"row 0, site \d holds"):
        Space.binary(2, low=1.0).check(np.array([[1, 0]], dtype=dtype))


@pytest.mark.parametrize("rows", [np.array([["a", "b"]]), np.array([[None, 1.0]], dtype=object)])
def test_what_is_no_number_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(SpaceError, match="expected numbers"):
        Space.real(2).check(rows)


def test_a_label_column_left_in_is_guessed() -> None:
    space = Space.real(3)
    with pytest.raises(SpaceError, match=r"\(n, 3\); got \(10, 4\): did you leave the label column in\?"):
        space.check(np.zeros((10, 4)))
    for other in [(10, 2), (10, 5), (3,), (10, 3, 1), ()]:
        with pytest.raises(SpaceError, match=r"\(n, 3\)") as caught:
            space.check_shape(other)
        assert "label" not in str(caught.value)


def test_an_image_of_another_size_is_refused() -> None:
    space = Space.binary((1, 4, 4))
    for shape in [(5, 4, 4), (5, 1, 4, 5), (5, 16), (5, 17)]:
        with pytest.raises(SpaceError, match=r"\(n, 1, 4, 4\)"):
            space.check(np.zeros(shape))


# ---------------------------------------------------------------------------------------------------------------
# Records and words
# ---------------------------------------------------------------------------------------------------------------


@given(spaces())
def test_a_space_comes_back_from_json_as_it_was(space: Space) -> None:
    again = Space.from_dict(json.loads(json.dumps(space.to_dict(), allow_nan=False)))
    assert again == space
    assert hash(again) == hash(space)
    assert again.describe() == space.describe()


@pytest.mark.parametrize(
    "space, words",
    [
        (Space.real(3), "3, real, density"),
        (Space.real((3, 8, 8)), "3x8x8, real, density"),
        (Space.levels((1, 8, 8), 17), "1x8x8, 17 levels (0 to 16), mass"),
        (Space.levels(2, 5, low=-1.0, step=0.5), "2, 5 levels (-1 to 1), mass"),
        (Space.binary(4), "4, binary (0 to 1), mass"),
        (Space.categorical(4, 9), "4, 9 categories, mass"),
        (Space((3,), (REAL, BIT, BIT)), "3 columns (1 real, 2 binary), mixed"),
        (Space((2,), (COLOUR, FIVE)), "2 columns (1 categorical, 1 levels), mass"),
    ],
)
def test_a_space_is_described_in_one_line(space: Space, words: str) -> None:
    assert space.describe() == words
    assert repr(space) == f"Space {words}"
