"""The door for data: any source in, rows with a space and a recorded split out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import said, texts, whole
from jensen.data.arraylike import ArrayLike, Part, Source, chunks
from jensen.data.binarise import are_bits, as_bits, binarised_space, check_binarise, check_grey, split_bits
from jensen.data.context import ContextRows, context_names, split_contexts, take_context
from jensen.data.examples import EXAMPLES, Example, load_example
from jensen.data.infer import Kinds, array_space, table_space
from jensen.data.infer import check_kinds as _check_kinds
from jensen.data.load import open_source
from jensen.data.split import (
    DEFAULT_SPLIT,
    MOST_HASHED,
    check_split,
    count_copies,
    fingerprint,
    hash_rows,
    split_rows,
    split_sizes,
)
from jensen.data.survey import refuse_nonfinite
from jensen.data.tables import Table
from jensen.errors import DataError, SpaceError, Unusable, UsageError
from jensen.printable import printable
from jensen.space import Space

MEMORY = 1 << 30


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """Rows split into train, valid and test, each (n, *space.shape) in the user's own units.

    Each part is a NumPy array, or reads from disk as it is asked (`len`, `shape`, `dtype`, `[slice]`, `[sorted
    positions]`). `seed` and `hash` (of all rows before the split) repeat the split; `notes` are sentences on
    what was inferred, moved or found. Of dynamic bits, `train` reads as one draw and offers the grey rows for fresh
    ones; `hash` is that of the grey rows, and the space says how bits are made of them. `context` is
    what each row is conditioned on, split alike.
    """

    name: str
    space: Space
    train: ArrayLike
    valid: ArrayLike
    test: ArrayLike
    seed: int
    hash: str
    notes: tuple[str, ...] = ()
    context: ContextRows | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each part has."""
        return {"train": len(self.train), "valid": len(self.valid), "test": len(self.test)}

    @cached_property
    def train_hash(self) -> str:
        """The hash of the training part, read once however many models are fitted to it."""
        return hash_rows(self.train)

    def describe(self) -> str:
        """A few lines: source, counts, split, space, columns by kind, notes."""
        counts = self.counts
        parts = ", ".join(f"{count:,} {part}" for part, count in counts.items())
        lines = [
            f"{printable(self.name)}: {sum(counts.values()):,} rows ({parts}), seed {self.seed}, hash {self.hash}",
            self.space.describe(),
        ]
        named: dict[str, list[str]] = {}
        for column in self.space.columns:
            if column.name:
                named.setdefault(column.kind, []).append(column.name)
        for kind, names in named.items():
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            lines.append(f"{kind}: {', '.join(map(printable, names[:8]))}{more}")
        if self.context is not None:
            lines.append(self.context.describe())
        return "\n".join([*lines, *(f"note: {printable(note)}" for note in self.notes)])

    def __repr__(self) -> str:
        return f"Rows {self.describe()}"


def rows(
    source: Any,
    *,
    space: Space | None = None,
    kinds: Kinds = None,
    drop: Sequence[str] = (),
    binarise: str | float | None = None,
    split: Sequence[float] | None = None,
    seed: int = 0,
    memory: int = MEMORY,
    name: str | None = None,
    context: Any = None,
    gaps: str | None = None,
) -> Rows:
    """Read a source, find out its space, and split it by seed.

    source: the name of an example ("digits", ...), a NumPy array, torch tensor, DataFrame, or the path of a
        CSV, Parquet, NPY, NPZ or IDX file or of a folder of images. Rows are returned as they are.
    space: the space the rows live in, when it is known; nothing is inferred then, and every row is checked.
    kinds: "real", "levels", "binary" or "categorical" for all columns, or by column name.
    drop: names of columns that are not part of a row, such as a label.
    binarise: make bits of grey rows (levels, or real values from 0 to 1): "dynamic" draws them with the grey value as
        the probability of a one, for training afresh in every batch, for validation and test rows once; a threshold
        such as 0.5 is a share of the grey range. The space says which, and so does every score. A given space that
        says it already is enough.
    split: three shares (default 0.7, 0.1, 0.2, or the example's own) or three counts. No part is empty.
    seed: of the permutation that splits the rows, and of the one draw of dynamic bits.
    memory: NPY, Parquet and IDX files and folders of images above so many bytes stay on disk.
    name: what to call the rows; by default the name of the file or example.
    context: what rows are conditioned on: the name or names of columns, which then are no part of a row; or one value
        or vector a row, in the order of the source: an array, list or series, or the path of a file; "label" for the
        class of an example. Texts, bits and whole numbers are classes, other numbers real, unless `kinds` says else.
    gaps: empty cells of a table and nan. "value": a gap is one more value of its column, with a mass of its own (the
        default for tables); "unseen": it stands for a value that nobody saw, and a row's likelihood is that of the others;
        "refuse": an error (the default for arrays, where nan is more often a mistake).

    Raises DataError for data that cannot be read or modelled, SpaceError for rows outside a given space,
    UsageError for arguments out of range.

    >>> found = rows(np.arange(40.0).reshape(20, 2) / 7, seed=1)
    >>> found.space, found.train.shape, found.valid.shape, found.test.shape
    (Space 2, real, density, (14, 2), (2, 2), (4, 2))
    """
    dropped = texts("drop", drop, "pass the names of columns")
    check_binarise(binarise)
    if not isinstance(gaps, (str, type(None))) or gaps not in (None, "value", "unseen", "refuse"):
        raise UsageError("unknown way to take gaps", f"got {gaps!r}", "use 'value', 'unseen' or 'refuse'")
    if space is not None and not isinstance(space, Space):
        raise UsageError("space is a Space", f"got {space!r:.80}", "pass Space.real(3), say, or leave it out")
    seed = whole("seed", seed, 0)
    memory = whole("memory", memory, 1)
    if isinstance(source, Rows):
        return _as_they_are(source, space, kinds, dropped, binarise, context)
    if space is not None and space.binarisation is not None and binarise is not None:
        raise UsageError(
            "a given space already says how its bits are made",
            f"got binarise={binarise!r} too",
            "pass one of them",
        )
    if not isinstance(name, (str, type(None))):
        raise UsageError("name is a text", f"got {said(name)}", "leave it out for the name of the source")
    if split is not None:
        split = check_split(split)
    example = _open(source, space, split, seed, memory)
    shares = tuple(split) if split is not None else example.split
    if example.parts is None:
        split_sizes(_count(example.source), shares)  # say that rows are too few before looking at them
    given, opened, kinds = take_context(context, source, example.source, kinds)
    dropped = [one for one in dropped if given is None or one not in context_names(given.space)]
    if space is not None and kinds is not None:
        raise UsageError(
            "a given space already says the kinds", f"got kinds={kinds!r} too", "pass one of them"
        )
    known = space or (example.space if kinds is None else None)
    found, known, notes = _understand(opened, known, kinds, dropped, gaps)
    if binarise is not None:
        known, notes = binarised_space(known, found.values, binarise, seed)
    marks = fingerprint(found.values)
    parts = example.parts or split_rows(len(found.values), shares, seed)
    notes += _copies_note(marks.row_hashes, parts, len(found.values))
    taken = [_take(found.values, part) for part in parts]
    if known.binarisation is not None:
        taken = split_bits(as_bits(found.values, known, marks.hash), parts, taken)
    train, valid, test = taken
    contexts = split_contexts(given, parts)
    notes = (*found.notes, *notes, *(contexts.notes() if contexts else ()))
    return Rows(name or found.name, known, train, valid, test, seed, marks.hash, notes, contexts)


def read(source: Any, space: Space, *, drop: Sequence[str] = (), memory: int = MEMORY) -> ArrayLike:
    """Read all rows of a source, to be scored in a known space: (n, *space.shape), not split.

    Columns of a table are matched to those of the space by name, in any order, and texts become the codes
    that the space's labels give them. Of Rows, the test rows are taken. In a binarised space grey rows become
    bits in the same way (dynamic ones with the same seed, so that they repeat); rows of 0 and 1 alone are bits.

    Raises SpaceError for rows outside the space and for columns too many or too few, DataError for data that
    cannot be read and for unknown labels.

    >>> read([[0.0, 1.0], [1.0, 1.0]], Space.binary(2)).tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    dropped = texts("drop", drop, "pass the names of columns")
    if isinstance(source, Rows):
        same = source.space.binarised(None) == space.binarised(None)  # bits are bits, however they were made
        return _as_they_are(source, source.space if same else space, None, dropped).test
    opened = _open(source, space, None, 0, memory).source
    if _count(opened) == 0:
        raise _empty()
    found, known, _ = _understand(opened, space, None, dropped)
    return (
        found.values if known.binarisation is None else as_bits(found.values, known, hash_rows(found.values))
    )


def check_rows(values: ArrayLike, space: Space) -> None:
    """Verify rows (n, *shape), in memory or on disk, against a space.

    Raises SpaceError or DataError naming the first row that does not fit.
    """
    space.check_shape(values.shape)
    names = [column.name for column in space.columns] if len(space.columns) > 1 else []
    refuse_nonfinite(values, names, space.may_gap() if space.gaps else None)
    for start, chunk in chunks(values):
        try:
            space.check(chunk)
        except SpaceError as error:
            raise _counted_from(start, error) from None


def _counted_from(start: int, error: SpaceError) -> SpaceError:
    """The error with the row counted from the first row of all: the space saw one chunk."""
    given = re.sub(r"^row (\d+)", lambda found: f"row {start + int(found[1])}", error.given)
    return SpaceError(error.wrong, given, error.do)


def _open(source: Any, space: Space | None, split: Sequence[float] | None, seed: int, memory: int) -> Example:
    if isinstance(source, str) and source in EXAMPLES:
        return load_example(source, split, seed)
    return Example(open_source(source, memory, None if space is None else space.shape))


def _understand(
    opened: Source | Table, space: Space | None, kinds: Kinds, drop: list[str], gaps: str | None = None
) -> tuple[Source, Space, tuple[str, ...]]:
    """Numbers, their space, and notes: the columns are encoded, and the space inferred or checked."""
    if isinstance(opened, Table):
        table = opened.without(drop)
        if space is None:
            return _inferred(table, kinds, gaps or "value")
        found = table.conform(space)
    elif drop:
        raise UsageError(
            "arrays and images have no column names to drop", f"got drop={drop}", "slice the array first"
        )
    else:
        found = opened
    if min(found.values.shape) == 0:
        raise _empty()
    if space is not None and space.binarisation is not None:
        return found, *_bits_or_grey(found.values, space)
    if space is not None:
        check_rows(found.values, space)
        return found, space, ()
    return found, *array_space(found.values, kinds, "" if gaps in (None, "refuse") else gaps)


def _inferred(table: Table, kinds: Kinds, gaps: str) -> tuple[Source, Space, tuple[str, ...]]:
    """A table's numbers and their space. Raises one DataError for all columns that can only be left out."""
    chosen, wrong, rest = _check_kinds(kinds, table.names), list[Unusable](), table
    while True:
        try:
            known = {name: kind for name, kind in chosen.items() if name in rest.names}
            found = rest.infer(known, gaps)
            if min(found.values.shape) == 0:
                raise _empty()
            space, notes = table_space(found.values, found.fields or (), known)
        except Unusable as error:
            wrong.append(error)
            if not set(rest.names) - set(error.columns):
                break
            rest = rest.without(error.columns)
        else:
            if not wrong:
                return found, space, notes
            break
    if len(wrong) == 1:
        raise wrong[0]
    names = [name for error in wrong for name in error.columns]
    raise DataError(
        f"{len(names)} columns cannot be part of a row",
        "; ".join(f"{error.wrong} ({error.given})" for error in wrong[:10]),
        f"pass drop={names}",
    )


def _bits_or_grey(values: ArrayLike, space: Space) -> tuple[Space, tuple[str, ...]]:
    """A binarised space for grey rows; for bits, of which nobody knows how they were made, a plain one."""
    space.check_shape(values.shape)
    refuse_nonfinite(values)
    if are_bits(values):
        return space.binarised(None), ("the rows are bits already and are taken as they are",)
    check_grey(values, space)
    return space, ()


def _as_they_are(
    source: Rows,
    space: Space | None,
    kinds: Kinds,
    drop: list[str],
    binarise: str | float | None = None,
    context: Any = None,
) -> Rows:
    if context is not None:
        raise UsageError(
            "Rows have their context from where they are made",
            "got context beside Rows",
            "pass it to jensen.rows(source, context=...)",
        )
    if kinds is not None or drop or binarise is not None:
        raise UsageError(
            "Rows are ready already",
            "got kinds, drop or binarise too",
            "pass them where the rows are made",
        )
    if space is not None and space != source.space:
        raise SpaceError(
            "these rows live in another space",
            f"got {source.space} for {space}",
            "read the rows again with space=",
        )
    return source


def _count(opened: Source | Table) -> int:
    n = opened.rows if isinstance(opened, Table) else len(opened.values)
    if n == 0:
        raise _empty()
    return n


def _empty() -> DataError:
    return DataError("expected rows", "got empty data", "check what was read or selected")


def _take(values: ArrayLike, part: NDArray[np.intp]) -> ArrayLike:
    return values[part] if isinstance(values, np.ndarray) else Part(values, part)


def _copies_note(hashes: NDArray[np.uint64], parts: Sequence[NDArray[np.intp]], n: int) -> tuple[str, ...]:
    copies = count_copies(hashes, parts[0], parts[2])
    if not copies:
        return ()
    among = f" among the first {MOST_HASHED:,} rows" if n > len(hashes) else ""
    return (
        f"{copies:,} of {len(parts[2]):,} test rows also are training rows{among}: a model can memorise them",
    )


__all__ = ["DEFAULT_SPLIT", "Rows", "check_rows", "read", "rows"]
