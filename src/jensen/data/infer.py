"""Kinds of values: which space rows live in, inferred or as the user says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jensen.data.arraylike import ArrayLike, Field
from jensen.data.labels import without
from jensen.data.lattice import Lattice, widen
from jensen.data.survey import Facts, column_name, survey
from jensen.errors import DataError, Unusable, nearest
from jensen.space import KINDS, Column, Space

Kinds = str | Mapping[str, str] | None
MOST_LEVELS = 65_536
FEW = 255
"""The largest span of whole numbers that are levels in a table of numbers alone."""
LEAST_INDEX = 20
"""Fewer rows may be numbered by chance."""


def check_kinds(kinds: Kinds, names: Sequence[str] | None) -> dict[str, str]:
    """Kinds by column name; for arrays (names None) the one kind under the name "".

    Raises DataError for an unknown kind or column, naming the nearest.

    >>> check_kinds("levels", ["a", "b"])
    {'a': 'levels', 'b': 'levels'}
    """
    if kinds is None:
        return {}
    if not isinstance(kinds, (str, Mapping)):
        raise DataError(
            "kinds is one kind, or one a column by name", f"got {kinds!r:.80}", f"known: {', '.join(KINDS)}"
        )
    if isinstance(kinds, str):
        chosen = dict.fromkeys(names, kinds) if names is not None else {"": kinds}
    elif names is None:
        raise DataError(
            "an array has no column names",
            f"got kinds for {', '.join(kinds)}",
            "pass one kind, or a DataFrame",
        )
    else:
        chosen = dict(kinds)
    for name, kind in chosen.items():
        if names is not None and name not in names:
            raise DataError("unknown column in kinds", f"got {name!r}", nearest(str(name), names))
        if kind not in KINDS:
            raise DataError("unknown kind of column", f"got {kind!r}", nearest(str(kind), KINDS))
    return chosen


def array_space(rows: ArrayLike, kinds: Kinds = None, gaps: str = "") -> tuple[Space, tuple[str, ...]]:
    """The space of an array's rows (n, *row), one kind for all sites, and notes on what was inferred.

    `gaps`: how nan is taken, "value" or "unseen"; "" where it is an error.

    Two values: binary. Integers from 0 to 255 at most: levels. Images of floats on a lattice of at most 256
    points (k / 255): levels. Anything else is real. Raises DataError for constant real columns.
    """
    chosen = check_kinds(kinds, None)
    shape = rows.shape[1:]
    allowed = np.array([True]) if gaps else None
    (facts,) = survey(rows, by_column=False, gaps=allowed)
    notes: tuple[str, ...] = ()
    if chosen:
        column = _as_told(chosen[""], facts, "the array", array=True)
    else:
        column, notes = _array_column(rows, facts)
    if len(shape) == 1 and column.kind == "real":
        by_column = survey(rows, by_column=True, gaps=allowed)
        _refuse_constant([""] * shape[0], by_column, array=True)
        notes += _lattice_note([""] * shape[0], by_column)
    elif facts.low == facts.high:
        raise DataError("all values are the same", f"got {facts.low:g} everywhere", "check what was read")
    return Space(shape, (replace(column, gaps=gaps),)), notes


def _array_column(rows: ArrayLike, facts: Facts) -> tuple[Column, tuple[str, ...]]:
    image = len(rows.shape) == 4
    if facts.two:
        return _pair(facts), _inferred(f"binary, the values are {facts.low:g} and {facts.high:g}")
    if facts.integers and facts.low >= 0 and facts.high <= 255 and facts.high > facts.low:
        eight = image and facts.high > (16 if rows.dtype.itemsize == 1 else 127)
        levels = 256 if eight else int(facts.high) + 1
        return Column("levels", levels), _inferred(f"{levels} levels, 0 to {levels - 1}")
    if image and facts.lattice is not None:
        lattice = widen(facts.lattice)
        if lattice.points <= 256:
            text = (
                f"{lattice.points} levels, {lattice.low:g} to {lattice.high:g} in steps of {lattice.step:g}"
            )
            return _levels(lattice), _inferred(text)
        if facts.repeated:
            return Column("real"), (_lattice_text(f"the values lie {_steps(facts)}", "kinds='levels'"),)
    return Column("real"), _inferred("real")


def table_space(
    rows: ArrayLike, fields: Sequence[Field], kinds: Kinds = None
) -> tuple[Space, tuple[str, ...]]:
    """The space of a table's rows (n, d), one column each, and notes on what was inferred.

    Texts: categorical. Two values: binary. Numbers: levels when every column is discrete with integers that
    span at most 255, and all whole numbers when the table has texts, dates or gaps and is no table of real numbers
    anyhow; else real. Raises DataError for constant columns, for kinds that do not fit and for columns that number
    the rows.
    """
    names = [field.name for field in fields]
    chosen = check_kinds(kinds, names)
    gappy = np.array([bool(field.gaps) for field in fields])
    facts = survey(rows, by_column=True, names=names, gaps=gappy if gappy.any() else None)
    _refuse_constant(names, facts)
    plain = [f for f, field in zip(facts, fields, strict=True) if field.labels is None and not f.two]
    _refuse_index([field for field in fields if field.name not in chosen], dict(zip(names, facts)), len(rows))
    mixed = any(field.labels is not None or field.time or field.gaps for field in fields)
    # of a table that is mixed anyhow, whole numbers have a mass, however many: their heads do not grow with them
    span = MOST_LEVELS - 1 if mixed else FEW
    discrete = mixed or all(_few(f, FEW) for f in plain)
    columns = [
        _table_column(field, f, chosen.get(field.name), discrete and not field.time and _few(f, span))
        for field, f in zip(fields, facts, strict=True)
    ]
    open_to_change = [c.kind == "real" and c.name not in chosen and not c.time for c in columns]
    notes = _inferred(_by_kind(columns, chosen)) + _lattice_note(
        names, [f if free else None for f, free in zip(facts, open_to_change, strict=True)]
    )
    return Space((len(columns),), tuple(columns)), notes + _gap_note(columns)


def _few(facts: Facts, span: int) -> bool:
    """Whether values are whole numbers that span so little that each is a level."""
    return facts.integers and facts.high - facts.low <= span


def _refuse_index(fields: Sequence[Field], facts: Mapping[str, Facts], n: int) -> None:
    """Raise Unusable for columns that number the rows: whole numbers, each once, without a hole."""
    index = [
        field.name
        for field in fields
        if field.labels is None and not field.time and not field.gaps
        if (f := facts[field.name]).integers and f.distinct and n > LEAST_INDEX and f.high - f.low == n - 1
    ]
    if index:
        raise without(
            Unusable(
                f"column {index[0]!r} numbers the rows",
                f"got each whole number once in {n:,} rows",
                f"pass drop={index}",
            ),
            index,
        )


def _gap_note(columns: Sequence[Column]) -> tuple[str, ...]:
    """What gaps are taken for."""
    names = [repr(column.name) for column in columns if column.gaps]
    if not names:
        return ()
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    where = f"{', '.join(names[:8])}{more}"
    if any(column.gaps == "unseen" for column in columns):
        return (f"gaps in {where} are unseen: a row's likelihood is that of the values which are there",)
    return (f"a gap in {where} is a value of its own; gaps='unseen' leaves it out of the likelihood",)


def _table_column(field: Field, facts: Facts, told: str | None, discrete: bool) -> Column:
    """The column of a field, with what was seen of its values."""
    column = _plain_column(field, facts, told, discrete)
    if column.kind != "real":
        return replace(column, gaps=field.gaps)
    if told not in (None, "real") and field.time:
        raise DataError(
            f"column {field.name!r} holds dates", f"got kinds of {told!r} for it", "leave it out of kinds"
        )
    grain = None if facts.decimals is None else 10.0**-facts.decimals
    grain = facts.lattice.step if facts.lattice is not None else grain
    return replace(column, gaps=field.gaps, time=field.time, grain=grain, seen=(facts.low, facts.high))


def _plain_column(field: Field, facts: Facts, told: str | None, discrete: bool) -> Column:
    labels = field.labels
    if labels is not None:
        two = labels == ("false", "true")
        kind = told or ("binary" if two else "categorical")
        if kind in ("levels", "real") and not two:
            raise DataError(
                f"column {field.name!r} holds texts and cannot be {kind}",
                f"got {labels[0]!r}, ...",
                "convert the column to numbers, or leave it categorical",
            )
        if kind == "real":
            return Column("real", name=field.name)
        return Column(kind, len(labels), name=field.name, labels=labels)  # type: ignore[arg-type]
    if field.time:
        return Column("real", name=field.name)
    kind = told or ("binary" if facts.two else "levels" if discrete else "real")
    if told is None and kind == "levels":
        return Column("levels", int(facts.high - facts.low) + 1, facts.low, 1.0, field.name)
    return _as_told(kind, facts, f"column {field.name!r}", field.name)


def _as_told(kind: str, facts: Facts, what: str, name: str = "", array: bool = False) -> Column:
    """The column of a kind that the user chose. Raises DataError when the values do not allow it."""
    if kind == "real":
        return Column("real", name=name)
    if kind == "binary":
        if facts.two:
            return _pair(facts, name)
        raise DataError(
            f"{what} cannot be binary: expected exactly two values",
            f"got values from {facts.low:g} to {facts.high:g}",
            "use levels or real, or make bits of grey rows with binarise='dynamic' or binarise=0.5",
        )
    if kind == "categorical":
        if facts.integers and facts.low >= 0 and facts.high < MOST_LEVELS:
            return Column("categorical", max(2, int(facts.high) + 1), name=name)
        raise DataError(
            f"{what} cannot be categorical: expected codes 0, 1, 2, ...",
            f"got values from {facts.low:g} to {facts.high:g}",
            "number the categories, or pass a DataFrame",
        )
    if facts.lattice is None:
        raise DataError(
            f"{what} cannot be levels: its values lie on no lattice low, low + step, ...",
            f"got values from {facts.low:g} to {facts.high:g}",
            "leave it real, or round it first",
        )
    lattice = widen(facts.lattice) if array else facts.lattice
    if array and facts.integers and facts.low >= 0:
        lattice = Lattice(0.0, 1.0, int(facts.high) + 1, lattice.tolerance)
    if lattice.points > MOST_LEVELS:
        raise DataError(
            f"{what} has too many levels",
            f"got {lattice.points} in steps of {lattice.step:g}",
            "leave it real",
        )
    return _levels(lattice, name)


def _pair(facts: Facts, name: str = "") -> Column:
    return Column("binary", 2, facts.low, facts.high - facts.low, name)


def _levels(lattice: Lattice, name: str = "") -> Column:
    return Column("levels", lattice.points, lattice.low, lattice.step, name)


def _refuse_constant(names: Sequence[str], facts: Sequence[Facts], array: bool = False) -> None:
    constant = [i for i, f in enumerate(facts) if f.low == f.high]
    if not constant:
        return
    told = ", ".join(column_name(names, i) for i in constant[:10])
    more = f" and {len(constant) - 10} more" if len(constant) > 10 else ""
    plural = "columns" if len(constant) > 1 else "column"
    do = (
        "remove them, or pass kinds='levels' if the rows are flattened images"
        if array
        else f"pass drop=[{told}]"
    )
    error = Unusable(
        f"a constant column has no density and nothing to learn: {plural} {told}{more}",
        f"got the value {facts[constant[0]].low:g} in every row that has one",
        do,
    )
    raise error if array else without(error, [names[i] for i in constant])


def _inferred(text: str) -> tuple[str, ...]:
    return (f"kinds inferred: {text}; pass kinds= to change them",) if text else ()


def _by_kind(columns: Sequence[Column], chosen: Mapping[str, str]) -> str:
    counts: dict[str, int] = {}
    for column in columns:
        if column.name not in chosen:
            counts[column.kind] = counts.get(column.kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _steps(facts: Facts) -> str:
    assert facts.lattice is not None
    return f"on a lattice in steps of {facts.lattice.step:g}"


def _lattice_note(names: Sequence[str], facts: Sequence[Facts | None]) -> tuple[str, ...]:
    """One note for all real columns whose repeated values lie on a lattice."""
    found = [(i, f) for i, f in enumerate(facts) if f is not None and f.lattice is not None and f.repeated]
    if not found:
        return ()
    steps = [f"{column_name(names, i)} (step {f.lattice.step:g})" for i, f in found[:8] if f.lattice]
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    name = names[found[0][0]]
    do = f"kinds={{{name!r}: 'levels'}}" if name else "kinds='levels'"
    return (_lattice_text(f"real columns lie on a lattice: {', '.join(steps)}{more}", do),)


def _lattice_text(what: str, do: str) -> str:
    return f"{what}; a density on a lattice can be made as large as you like: pass {do} for a mass"
