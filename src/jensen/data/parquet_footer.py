"""What the columns of a Parquet file say they unpack to, read from the bytes of its footer.

pyarrow, asked for the size of a column, ends the whole process where the statistics that stand beside it contradict themselves,
as in a damaged file: nothing can catch that. So these numbers are read here, and the statistics passed over.

Source: the compact protocol of Apache Thrift, and the structures of the Apache Parquet format (parquet.thrift).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROW_GROUPS, COLUMNS, META_DATA, UNCOMPRESSED_SIZE = 4, 1, 3, 6
"""The numbers of fields: of the file, of a row group, of a column's chunk, of what is known of it."""

TRUE, FALSE, BYTE, INT64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13
"""The kinds of values, as numbered by the protocol; 4 and 5 are shorter integers, written in the same way."""

WIDTHS = {BYTE: 1, DOUBLE: 8, UUID: 16}

DEEPEST = 64
"""Structures within structures; Parquet's footer has nine."""


def unpacked_sizes(path: Path) -> Iterator[list[int]]:
    """For each row group, the bytes that each column's chunk says it unpacks to; 0 where it does not say.

    Raises ValueError for a footer that is cut off or not in the protocol.
    """
    footer = Compact(_footer(path))
    try:
        for field, kind in footer.fields():
            if (field, kind) == (ROW_GROUPS, LIST):
                for _ in range(footer.length(STRUCT)):
                    yield _row_group(footer)
            else:
                footer.skip(kind)
    except IndexError as error:
        raise ValueError("its footer ends too early") from error


class Compact:
    """Values of the compact protocol, one after the other. Raises IndexError at the end, ValueError for what is none."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def whole(self) -> int:
        """A whole number in groups of seven bits, the lowest first."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("its footer has a number of more than 64 bits")

    def integer(self) -> int:
        """An integer whose sign is the lowest bit."""
        value = self.whole()
        return value >> 1 ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and kind of each field of a structure. Its value is to be read or skipped before the next."""
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 15

    def length(self, expected: int) -> int:
        """The length of a list of `expected` kind; another raises ValueError."""
        length, kind = self._list()
        if kind != expected and length:
            raise ValueError(f"its footer has a list of kind {kind} where one of kind {expected} belongs")
        return length

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over one value of a field."""
        if kind in (TRUE, FALSE):  # the kind is the value
            return
        if kind in WIDTHS:
            self.at += WIDTHS[kind]
        elif BYTE < kind <= INT64:
            self.whole()
        elif kind == BINARY:
            width = self.whole()
            self.at += width
        elif depth == DEEPEST:
            raise ValueError(f"its footer has structures more than {DEEPEST} deep")
        elif kind in (LIST, SET):
            length, inner = self._list()
            for _ in range(length):
                self._skip_element(inner, depth)
        elif kind == MAP:
            length = self.whole()
            kinds = self.byte() if length else 0
            for _ in range(length):
                self._skip_element(kinds >> 4, depth)
                self._skip_element(kinds & 15, depth)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        else:
            raise ValueError(f"its footer has a value of kind {kind}, which does not exist")

    def _list(self) -> tuple[int, int]:
        head = self.byte()
        return (head >> 4 if head >> 4 < 15 else self.whole()), head & 15

    def _skip_element(self, kind: int, depth: int) -> None:
        """Unlike a field, an element that is true or false takes a byte."""
        self.skip(BYTE if kind in (TRUE, FALSE) else kind, depth + 1)
        if self.at > len(self.content):
            raise IndexError


def _footer(path: Path) -> bytes:
    """The bytes between the pages and the last eight, which say how many they are."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        if length > size - 8:
            raise ValueError(f"its footer says {length:,} bytes, the file has {size:,}")
        file.seek(size - 8 - length)
        return file.read(length)


def _row_group(footer: Compact) -> list[int]:
    sizes: list[int] = []
    for field, kind in footer.fields():
        if (field, kind) == (COLUMNS, LIST):
            sizes = [_chunk(footer) for _ in range(footer.length(STRUCT))]
        else:
            footer.skip(kind)
    return sizes


def _chunk(footer: Compact) -> int:
    size = 0
    for field, kind in footer.fields():
        if (field, kind) == (META_DATA, STRUCT):
            for inner, its in footer.fields():
                if (inner, its) == (UNCOMPRESSED_SIZE, INT64):
                    size = footer.integer()
                else:
                    footer.skip(its)
        else:
            footer.skip(kind)
    return size
