"""Tables as strangers pass them: every type of column that pandas, polars and pyarrow have."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from strange_values import Strange

DAY = datetime.datetime(2024, 1, 1)


def plain(some: Strange, n: int) -> list[Any]:
    """Values of a column, by row: numbers, texts, dates, bits, gaps among them or a mixture."""
    x = some.values((n,))
    made: list[Callable[[], list[Any]]] = [
        lambda: x.tolist(),
        lambda: x.tolist(),
        lambda: [int(v) for v in np.nan_to_num(x).clip(-1e15, 1e15)],
        lambda: [some.dice.choice("abc") for _ in range(n)],
        lambda: [some.name() for _ in range(n)],
        lambda: [some.dice.random() < 0.5 for _ in range(n)],
        lambda: [DAY + datetime.timedelta(days=some.dice.randrange(900)) for _ in range(n)],
        lambda: [DAY.date() + datetime.timedelta(days=some.dice.randrange(900)) for _ in range(n)],
        lambda: [some.dice.choice([1.5, "x", None, True]) for _ in range(n)],
        lambda: [None] * n,
        lambda: [str(v) for v in x],
    ]
    values = some.dice.choice(made)()
    if some.dice.random() < 0.2:
        values = [None if some.dice.random() < 0.2 else v for v in values]
    return values


def size(some: Strange) -> tuple[int, int]:
    """Rows and columns; mostly enough of both."""
    return some.dice.choice([0, 1, 2, 45, 45, 60, 60]), some.dice.choice([0, 1, 2, 2, 3, 3, 5])


def pandas_frame(some: Strange) -> Any:
    """With extension types, names that are no texts or come twice, and any index."""
    import pandas as pd

    n, d = size(some)
    columns: list[Any] = [_pandas_column(some, n) for _ in range(d)]
    frame = pd.DataFrame(dict(enumerate(columns)), index=range(n))
    how = some.dice.randrange(8)
    names: list[Any] = [f"c{i}" for i in range(d)]
    if how == 0:
        names = [some.name() for _ in range(d)]
    elif how == 1:
        names = [some.option() for _ in range(d)]
        names = [
            name if isinstance(name, (int, str, float, tuple, bytes, type(None))) else "q" for name in names
        ]
    elif how == 2:
        names = ["c0"] * d
    frame.columns = (
        pd.MultiIndex.from_tuples([("t", i) for i in range(d)])
        if how == 3 and d
        else pd.Index(names, dtype=object)
    )
    if n and some.dice.random() < 0.2:
        frame.index = some.dice.choice(
            [
                pd.RangeIndex(5, 5 + n),
                pd.Index(["i"] * n),
                pd.MultiIndex.from_product([["m"], range(n)]),
                pd.date_range(DAY, periods=n),
            ]
        )
    return frame.iloc[::-1] if some.dice.random() < 0.1 else frame


def _pandas_column(some: Strange, n: int) -> Any:
    import pandas as pd

    x = some.values((n,))
    whole = np.nan_to_num(x, posinf=9, neginf=-9).clip(-100, 100).astype(int)
    special: list[Callable[[], Any]] = [
        lambda: pd.Categorical(whole % 3),
        lambda: pd.Categorical([some.dice.choice("xyz") for _ in range(n)], ordered=True),
        lambda: pd.Categorical([None] * n, categories=["a", "b"]),
        lambda: pd.array(whole, "Int64"),
        lambda: pd.array([None if v > 0 else v for v in whole.tolist()], "Int8"),
        lambda: pd.array(whole > 0, "boolean"),
        lambda: pd.array([some.dice.choice("ab") for _ in range(n)], "string"),
        lambda: pd.array(whole, "Float32"),
        lambda: pd.arrays.SparseArray(whole.astype(float)),
        lambda: pd.to_timedelta(whole, "s"),
        lambda: pd.period_range("2024", periods=n, freq="D"),
        lambda: pd.interval_range(0, periods=n),
        lambda: pd.date_range(DAY, periods=n, tz="Europe/Berlin"),
        lambda: x.astype(complex),
        lambda: pd.Series([[1, 2]] * n, dtype=object).array,
        lambda: pd.Series([decimal.Decimal(int(v)) / 7 for v in whole], dtype=object).array,
        lambda: pd.Series([b"ab"] * n, dtype=object).array,
        lambda: pd.Series([{"k": 1}] * n, dtype=object).array,
        lambda: pd.Series([datetime.time(int(v) % 24) for v in whole], dtype=object).array,
        lambda: x.astype("f2"),
        lambda: np.zeros(n, "u8") + np.uint64(2**63) + whole.astype("u1"),
        lambda: pd.Series([2**70 + int(v) for v in whole], dtype=object).array,
    ]
    with np.errstate(all="ignore"):
        return (
            some.dice.choice(special)()
            if some.dice.random() < 0.4
            else pd.Series(plain(some, n), dtype=object).infer_objects().array
        )


def polars_frame(some: Strange) -> Any:
    """With nested types, and lazily."""
    import polars as pl

    n, d = size(some)
    found = pl.DataFrame([_polars_column(some, n, f"c{i}") for i in range(d)])
    if d and some.dice.random() < 0.2:
        names = dict.fromkeys(some.name() for _ in range(d))
        found = found.rename(dict(zip(found.columns, names, strict=False))) if len(names) == d else found
    return found.lazy() if some.dice.random() < 0.1 else found


def _polars_column(some: Strange, n: int, name: str) -> Any:
    import polars as pl

    whole = np.nan_to_num(some.values((n,)), posinf=9, neginf=-9).clip(-100, 100).astype(int).tolist()
    special: list[Callable[[], Any]] = [
        lambda: pl.Series(name, [[v] for v in whole], pl.List(pl.Int64)),
        lambda: pl.Series(name, [[v, v] for v in whole], pl.Array(pl.Float32, 2)),
        lambda: pl.Series(name, [{"u": v} for v in whole], pl.Struct({"u": pl.Int8})),
        lambda: pl.Series(name, [decimal.Decimal(v) for v in whole], pl.Decimal(10, 2)),
        lambda: pl.Series(name, [some.dice.choice("ab") for _ in whole], pl.Categorical),
        lambda: pl.Series(name, [some.dice.choice("ab") for _ in whole], pl.Enum(["a", "b", "c"])),
        lambda: pl.Series(name, [datetime.timedelta(seconds=v) for v in whole], pl.Duration),
        lambda: pl.Series(name, [datetime.time(v % 24) for v in whole], pl.Time),
        lambda: pl.Series(name, [bytes([v % 256]) for v in whole], pl.Binary),
        lambda: pl.Series(name, [None for _ in whole], pl.Null),
        lambda: pl.Series(name, [2**64 - 1 - abs(v) for v in whole], pl.UInt64),
        lambda: pl.Series(name, whole, getattr(pl, "Int128", pl.Int64)),  # polars from 1.18
        lambda: pl.Series(name, [object() for _ in whole], pl.Object),
        lambda: pl.Series(name, [DAY + datetime.timedelta(hours=v) for v in whole], pl.Datetime("ns", "UTC")),
    ]
    if some.dice.random() < 0.3:
        return some.dice.choice(special)()
    return pl.Series(name, plain(some, n), strict=False)


def arrow_table(some: Strange) -> Any:
    """With dictionaries, nested types, chunks and names that come twice."""
    import pyarrow as pa

    n, d = size(some)
    names = [some.name() for _ in range(d)] if some.dice.random() < 0.2 else [f"c{i}" for i in range(d)]
    table = pa.table([_arrow_column(some, n) for _ in range(d)], names=names)
    return pa.concat_tables([table, table]) if some.dice.random() < 0.2 else table


def _arrow_column(some: Strange, n: int) -> Any:
    import pyarrow as pa

    whole = np.nan_to_num(some.values((n,)), posinf=9, neginf=-9).clip(-100, 100).astype(int).tolist()
    texts = [some.dice.choice("abc") for _ in range(n)]
    special: list[Callable[[], Any]] = [
        lambda: pa.array(texts).dictionary_encode(),
        lambda: pa.array(whole).dictionary_encode(),
        lambda: pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int8()), pa.array(["a", "a", None])),
        lambda: pa.array([[v] for v in whole], pa.list_(pa.int64())),
        lambda: pa.array([{"u": v} for v in whole], pa.struct([("u", pa.int64())])),
        lambda: pa.array([[(t, 1)] for t in texts], pa.map_(pa.string(), pa.int64())),
        lambda: pa.array([decimal.Decimal(v) for v in whole], pa.decimal128(12, 3)),
        lambda: pa.array([decimal.Decimal(v) for v in whole], pa.decimal256(60, 3)),
        lambda: pa.array(np.array(whole, "f2")),
        lambda: pa.array(texts, pa.large_string()),
        lambda: pa.array(texts, pa.string_view()),
        lambda: pa.array([t.encode() for t in texts], pa.binary()),
        lambda: pa.array([b"ab" for _ in texts], pa.binary(2)),
        lambda: pa.array([abs(v) for v in whole], pa.time64("us")),
        lambda: pa.array(whole, pa.duration("s")),
        lambda: pa.array([v * 10**15 for v in whole], pa.timestamp("s", "Asia/Tokyo")),
        lambda: pa.array([v * 10**12 for v in whole], pa.timestamp("ms")),
        lambda: pa.array([v * 86_400_000 for v in whole], pa.date64()),
        lambda: pa.nulls(n),
        lambda: pa.array([(v, v, v) for v in whole], pa.month_day_nano_interval()),
        lambda: pa.array([2**63 + abs(v) for v in whole], pa.uint64()),
        lambda: pa.chunked_array(
            [pa.array(whole[: n // 2], pa.int64()), pa.array(whole[n // 2 :], pa.int64())]
        ),
        lambda: pa.RunEndEncodedArray.from_arrays([max(n, 1)], [1.5]) if n else pa.nulls(0),
        lambda: pa.array(whole, pa.int64()).view(pa.int64()),
    ]
    if some.dice.random() < 0.5:
        return some.dice.choice(special)()
    try:
        return pa.array(plain(some, n), from_pandas=some.dice.random() < 0.5)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array(texts)
