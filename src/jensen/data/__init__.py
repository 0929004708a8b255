"""Data in: `rows` reads any source and splits it, `read` reads rows to score, `write` puts samples on disk. `target`: laws of known truth."""

from jensen.data.arraylike import ArrayLike
from jensen.data.binarise import Bits
from jensen.data.context import ContextRows, Contexts
from jensen.data.examples import describe_examples
from jensen.data.output import check_target, write
from jensen.data.rows import Rows, check_rows, read, rows
from jensen.data.split import hash_rows
from jensen.data.stream import shards
from jensen.data.targets import Target, describe_targets, target

__all__ = [
    "ArrayLike",
    "Bits",
    "ContextRows",
    "Contexts",
    "Rows",
    "Target",
    "check_rows",
    "check_target",
    "describe_examples",
    "describe_targets",
    "hash_rows",
    "read",
    "rows",
    "shards",
    "target",
    "write",
]
