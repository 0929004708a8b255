"""Data in: `rows` reads any source and splits it, `read` reads rows to score, `write` puts samples on disk."""

from jensen.data.arraylike import ArrayLike
from jensen.data.binarise import Bits
from jensen.data.context import ContextRows, Contexts
from jensen.data.examples import describe_examples
from jensen.data.output import check_target, write
from jensen.data.rows import Rows, check_rows, read, rows
from jensen.data.split import hash_rows
from jensen.data.stream import shards

__all__ = [
    "ArrayLike",
    "Bits",
    "ContextRows",
    "Contexts",
    "Rows",
    "check_rows",
    "check_target",
    "describe_examples",
    "hash_rows",
    "read",
    "rows",
    "shards",
    "write",
]
