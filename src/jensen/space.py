"""What one row is: its shape, and for each site whether it is real, a level, a bit or a category."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import MOST, number, one_of, said, sizes, texts, whole
from jensen.binarisation import Binarisation
from jensen.errors import SpaceError, UsageError
from jensen.quantity import Measure

ColumnKind = Literal["real", "levels", "binary", "categorical"]
SpaceKind = Literal["real", "levels", "binary", "categorical", "mixed"]
KINDS: tuple[ColumnKind, ...] = ("real", "levels", "binary", "categorical")
GAPS = ("", "value", "unseen", "level")
TIMES = ("", "days", "seconds")
_EXTRA = ("gaps", "time", "grain", "seen")
"""Facts about a column that are recorded where there are any."""


@dataclass(frozen=True)
class Column:
    """One site, or all sites of an image.

    real: any finite number. levels: `levels` ordered values low, low + step, ... binary: two such values.
    categorical: `levels` unordered values; `labels` names them when the user's own values are not numbers,
    and a row then holds their codes 0, 1, ...

    `gaps`: where a row may hold nan. "value": a gap is one more value of the column, with a mass of its own; "unseen": it
    stands for a value that nobody saw, and a row's likelihood is that of its other sites. "level", which models see: the
    last level is a gap, and no row holds nan. `time`: a real column counts
    "days" or "seconds" since 1970-01-01 and is written as dates. Of the values that were seen, for what is written and
    not for the likelihood: their steps, the `grain` of a real column, and their range, `seen`.
    """

    kind: ColumnKind
    levels: int | None = None
    low: float = 0.0
    step: float = 1.0
    name: str = ""
    labels: tuple[str, ...] | None = None
    gaps: str = ""
    time: str = ""
    grain: float | None = field(default=None, compare=False)
    seen: tuple[float, float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _known("kind of column", self.kind, KINDS)
        _known("way to take gaps", self.gaps, GAPS)
        _known("unit of time", self.time, TIMES)
        if self.time not in TIMES or (self.time and self.kind != "real"):
            raise SpaceError(
                "a real column may count days or seconds",
                f"got {self.time!r} for {self.kind}",
                "leave time out",
            )
        self._plain()
        if self.kind == "real":
            if self.levels is not None or (self.low, self.step) != (0.0, 1.0):
                given = (
                    f"{self.levels}"
                    if self.levels is not None
                    else f"a grid from {self.low:g} by {self.step:g}"
                )
                raise SpaceError(
                    "a real column has no levels", f"got {given}", "leave levels, low and step out"
                )
            return
        if self.kind == "binary" and self.levels is None:
            object.__setattr__(self, "levels", 2)
        if self.levels is None or self.levels < 2 or (self.kind == "binary" and self.levels != 2):
            raise SpaceError(
                f"a {self.kind} column needs its number of levels, 2 or more",
                f"got {self.levels}",
                "pass levels=256, say; a binary column has 2",
            )
        if not self.step > 0:
            raise SpaceError(
                "levels need a finite start and a positive step",
                f"got {self.low} and {self.step}",
                "levels are low, low + step, ...",
            )
        if self.labels is not None and len(self.labels) != self.levels:
            raise SpaceError(
                "expected one label a level",
                f"got {len(self.labels)} for {self.levels} levels",
                "name every level, or none",
            )

    def _plain(self) -> None:
        """Plain numbers and texts in place of what stands for them. Raises SpaceError for anything else."""
        do = "pass Column('levels', 256), say"
        with _of_a_space():
            plain: dict[str, Any] = {}
            for end in ("low", "step"):
                given = getattr(self, end)
                plain[end] = given if isinstance(given, float) else number(end, given, do=do)
            if not (math.isfinite(plain["low"]) and math.isfinite(plain["step"])):
                raise SpaceError(
                    "levels need a finite start and a positive step", f"got {self.low} and {self.step}", do
                )
            one_of("name", self.name, str, "a text", "name the column as the table does")
            if self.levels is not None:
                plain["levels"] = whole("levels", self.levels, -MOST, do=do)
            if self.labels is not None:
                plain["labels"] = tuple(texts("labels", self.labels))
            if self.grain is not None:
                plain["grain"] = number("grain", self.grain, 0)
            if self.seen is not None:
                one_of("seen", self.seen, (tuple, list), "a pair (low, high)", "leave it out")
                if len(self.seen) != 2:
                    raise SpaceError("seen is a pair (low, high)", f"got {said(self.seen)}", "leave it out")
                plain["seen"] = tuple(number("seen", end) for end in self.seen)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def high(self) -> float:
        """The largest value of a discrete column."""
        return self.low + self.step * ((self.levels or 1) - 1)

    def describe(self) -> str:
        """The kind in a word or two, as tables print it."""
        if self.kind == "levels":
            return f"{self.levels} levels"
        if self.kind == "categorical":
            return f"{self.levels} categories"
        return "dates" if self.time else self.kind


@dataclass(frozen=True)
class Space:
    """The set that rows live in: `shape` is (d,) for vectors and (channels, height, width) for images.

    `columns` holds one Column for all sites, or one a site (vectors only). Discrete rows have a mass,
    real rows a density, rows with both a mixed measure. `binarisation` says how bits 0 and 1 were made of grey values.

    >>> Space.levels((1, 8, 8), 17)
    Space 1x8x8, 17 levels (0 to 16), mass
    >>> Space.real(3).measure
    'density'
    """

    shape: tuple[int, ...]
    columns: tuple[Column, ...]
    binarisation: Binarisation | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "shape", sizes("shape", self.shape))
        except UsageError:
            raise _no_row(self.shape) from None
        if len(self.shape) not in (1, 3):
            raise _no_row(self.shape)
        with _of_a_space():
            columns = one_of(
                "columns", self.columns, (tuple, list), "a sequence of Column", "pass (Column('real'),)"
            )
            for column in columns:
                one_of("a column", column, Column, "a Column", "pass Column('real'), say")
        object.__setattr__(self, "columns", tuple(columns))
        if len(self.columns) not in (1, self.dims) or (len(self.columns) > 1 and self.is_image):
            raise SpaceError(
                "expected one column for all sites, or one a site of a vector",
                f"got {len(self.columns)} for shape {self.shape}",
                "an image has one column for all of it",
            )
        if self.binarisation is not None and not _are_bits(self.columns):
            raise SpaceError("binarised rows are bits 0 and 1", f"got {self.describe()}", "use Space.binary")

    @classmethod
    def real(cls, shape: int | Sequence[int]) -> Space:
        """Real rows."""
        return cls(_shape(shape), (Column("real"),))

    @classmethod
    def levels(cls, shape: int | Sequence[int], levels: int, low: float = 0.0, step: float = 1.0) -> Space:
        """Ordered levels low, low + step, ...: 256 for 8-bit images."""
        return cls(_shape(shape), (Column("levels", levels, low, step),))

    @classmethod
    def binary(cls, shape: int | Sequence[int], low: float = 0.0, step: float = 1.0) -> Space:
        """Two values, by default 0 and 1."""
        return cls(_shape(shape), (Column("binary", 2, low, step),))

    @classmethod
    def categorical(cls, shape: int | Sequence[int], levels: int) -> Space:
        """Unordered codes 0 to levels - 1."""
        return cls(_shape(shape), (Column("categorical", levels),))

    @property
    def dims(self) -> int:
        """The number of sites of a row."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether a row has channels, height and width."""
        return len(self.shape) == 3

    @property
    def kind(self) -> SpaceKind:
        """The kind all sites share, or mixed: also where a row may hold nan. Bits, levels and categories together count as
        categorical."""
        kinds = {column.kind for column in self.columns}
        if self.gaps:
            return "mixed"
        if len(kinds) == 1:
            return kinds.pop()
        return "mixed" if "real" in kinds else "categorical"

    @property
    def measure(self) -> Measure:
        """What a likelihood on this space is: mass, density, or mixed."""
        kinds = {column.kind for column in self.columns}
        if "real" not in kinds:
            return "mass"
        atoms = any(column.gaps == "value" for column in self.columns)
        return "mixed" if len(kinds) > 1 or atoms else "density"

    @property
    def gaps(self) -> frozenset[str]:
        """The ways in which columns take gaps: empty where no row may hold nan."""
        return frozenset(column.gaps for column in self.columns if column.gaps) - {"level"}

    def may_gap(self) -> NDArray[np.bool_]:
        """Where a row may hold nan: of a row's shape, or broadcasting to it."""
        return np.array([column.gaps in ("value", "unseen") for column in self.columns])

    @property
    def max_levels(self) -> int | None:
        """The largest number of levels of any discrete site; None when every site is real."""
        return max((column.levels for column in self.columns if column.levels), default=None)

    def column(self, site: int) -> Column:
        """The column of flat site `site`."""
        return self.columns[0] if len(self.columns) == 1 else self.columns[site]

    def levels_by_site(self) -> tuple[int, ...]:
        """The number of levels of every flat site; 0 for a real one."""
        return tuple(self.column(site).levels or 0 for site in range(self.dims))

    def grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Start and step of every site, each of a row's shape or broadcasting to it; 0 and 1 where real."""
        low = np.array([column.low for column in self.columns])
        step = np.array([column.step for column in self.columns])
        return low, step

    def check(self, rows: NDArray[Any]) -> None:
        """Verify rows (n, *shape) at the boundary. Raises SpaceError naming the first row that does not fit."""
        self.check_shape(rows.shape)
        if rows.dtype.kind not in "biuf":
            raise SpaceError(
                "expected numbers", f"got values of type {rows.dtype}", "convert them with .astype(float)"
            )
        wrong = ~np.isfinite(rows) if rows.dtype.kind == "f" else np.zeros((1, 1), bool)
        if self.gaps and wrong.any():
            wrong &= ~(np.isnan(rows) & self.may_gap())
        if wrong.any():
            where = np.argwhere(wrong)[0]
            raise SpaceError(
                "expected finite numbers",
                f"row {where[0]}, {self._site_name(where[1:])} holds {rows[tuple(where)]}",
                "drop such rows or fill the gaps first",
            )
        self._check_levels(rows)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Verify the shape (n, *shape) of rows."""
        given = tuple(shape)
        if given[1:] == self.shape and len(given) > 0:
            return
        want = ", ".join(["n", *map(str, self.shape)])
        hint = "reshape the rows"
        if len(given) == 2 and len(self.shape) == 1 and given[1] == self.shape[0] + 1:
            hint = "did you leave the label column in? drop it first, or pass drop='name'"
        raise SpaceError(f"expected rows of shape ({want})", f"got {given}", hint)

    def _check_levels(self, rows: NDArray[Any]) -> None:
        if self.kind == "real":
            return
        sites = [None] if len(self.columns) == 1 else list(range(self.dims))
        for site in sites:
            column = self.columns[site or 0]
            if column.kind == "real":
                continue
            values = rows if site is None else rows[:, site]
            index = (np.asarray(values, dtype=np.float64) - column.low) / column.step
            top = (column.levels or 1) - 1
            wrong = (index < -1e-3) | (index > top + 1e-3) | (abs(index - np.rint(index)) > 1e-3)
            if wrong.any():
                where = np.argwhere(wrong)[0]
                name = self._site_name(where[1:] if site is None else np.array([site]))
                bits = "make bits of grey rows with binarise='dynamic' or binarise=0.5, or "
                raise SpaceError(
                    f"expected {column.describe()} from {column.low:g} to {column.high:g} in steps of {column.step:g}",
                    f"row {where[0]}, {name} holds {np.asarray(values)[tuple(where)]:g}",
                    f"{bits if column.kind == 'binary' else ''}pass the space the rows really live in, or kinds='real'",
                )

    def _site_name(self, index: NDArray[np.intp]) -> str:
        if len(index) == 1 and len(self.columns) == self.dims and self.columns[int(index[0])].name:
            return f"column {self.columns[int(index[0])].name!r}"
        return "site " + ",".join(str(int(i)) for i in index)

    def describe(self) -> str:
        """One line: shape, kinds and measure."""
        size = "x".join(map(str, self.shape))
        if len(self.columns) == 1:
            column = self.columns[0]
            text = column.describe()
            if column.kind in ("levels", "binary"):
                text += f" ({column.low:g} to {column.high:g})"
        else:
            counts: dict[str, int] = {}
            for column in self.columns:
                counts[column.kind] = counts.get(column.kind, 0) + 1
            kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
            gaps = sum(map(bool, self.may_gap()))
            some = f", {gaps} with gaps" if gaps else ""
            return f"{size} columns ({kinds}{some}), {self.measure}{self._binarised()}"
        return f"{size}, {text}, {self.measure}{self._binarised()}"

    def _binarised(self) -> str:
        return "" if self.binarisation is None else f", {self.binarisation.describe()}"

    def __repr__(self) -> str:
        return f"Space {self.describe()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        columns = [
            {
                key: value
                for key, value in asdict(column).items()
                if key not in _EXTRA or value not in ("", None)
            }
            for column in self.columns
        ]
        record = {"shape": list(self.shape), "columns": columns}
        return (
            record if self.binarisation is None else {**record, "binarisation": self.binarisation.to_dict()}
        )

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Space:
        """The inverse of to_dict. Raises SpaceError for a row of more than 2^24 sites: an image of 2300x2300 in colour."""
        if math.prod(record["shape"]) > 1 << 24:
            raise SpaceError(
                "a row is larger than any that was fitted", f"got shape {record['shape']}", "scale it down"
            )
        columns = tuple(
            Column(**{**column, **{key: tuple(column[key]) for key in ("labels", "seen") if column.get(key)}})
            for column in record["columns"]
        )
        made = record.get("binarisation")
        return cls(tuple(record["shape"]), columns, None if made is None else Binarisation.from_dict(made))

    def filled(self) -> Space:
        """The same sites without the gaps that are unseen: where the values that nobody saw live."""
        columns = [replace(column, gaps="") if column.gaps == "unseen" else column for column in self.columns]
        return self.with_columns(columns)

    def with_columns(self, columns: Sequence[Column]) -> Space:
        """The same shape with other columns; what they are binarised by stays while they are bits."""
        kept = self.binarisation if _are_bits(columns) else None
        return replace(self, columns=tuple(columns), binarisation=kept)

    def binarised(self, by: Binarisation | None) -> Space:
        """The same bits, made in another way or (None) in one that is not known."""
        return replace(self, binarisation=by)


def _are_bits(columns: Sequence[Column]) -> bool:
    return all((column.kind, column.low, column.step) == ("binary", 0.0, 1.0) for column in columns)


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else (shape,)


def _no_row(shape: Any) -> SpaceError:
    return SpaceError(
        "a row is a vector (d,) or an image (channels, height, width)",
        f"got shape {said(shape)}",
        "reshape the rows, with one channel for grey images",
    )


def _known(what: str, value: Any, known: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise SpaceError(
            f"unknown {what}",
            f"got {said(value)}",
            f"use one of {', '.join(one or repr(one) for one in known)}",
        )


@contextmanager
def _of_a_space() -> Iterator[None]:
    """What is wrong with an argument is wrong with the space that it says."""
    try:
        yield
    except UsageError as error:
        raise SpaceError(error.wrong, error.given, error.do) from None
