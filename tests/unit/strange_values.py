"""What strangers pass: arrays, frames, tensors and options of every type, shape and layout, drawn by a seed."""

from __future__ import annotations

import array
import datetime
import decimal
import fractions
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

DTYPES = [
    "f2",
    "f4",
    "f8",
    "g",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    "?",
    "c8",
    "c16",
    ">f4",
    ">i8",
    "U3",
    "S3",
    "M8[s]",
    "M8[D]",
    "M8[ns]",
    "m8[s]",
    "O",
    "f4,i4",
    "V4",
]
NUMBERS = ["f2", "f4", "f8", "i1", "i4", "i8", "u1", "u8", "?"]
EXTREMES = [
    np.nan,
    np.inf,
    -np.inf,
    -0.0,
    5e-324,
    -1e-310,
    1e300,
    -1e308,
    2.0**53 + 2,
    2.0**63,
    1e38,
    -1.0,
    255.0,
]
NAMES = [
    "",
    " ",
    "a\nb",
    "\x1b[31m",
    "<b>",
    "\u202e",
    "x" * 300,
    "\x00",
    *["a", "b", "A", "é", "0", "None", "f0", "'", '"'],
]
LARGE = [2**70, -(2**70), 1e308, float("nan"), float("inf"), np.uint64(2**64 - 1)]
SMALL = [-1, 0, 1, 2, 3, 1.5, 0.0, True, False, np.int64(3), np.float32(0.5), decimal.Decimal("1.5")]
PARTS = [[], [1], {}, {"a": 1}, (), (1, 2), set(), ["a"], {"a": "real"}, [None], ["", 3], np.array([1, 2])]
TEXTS = [
    "x",
    "",
    b"x",
    "\x00",
    "y" * 5000,
    "real",
    "levels",
    "value",
    "dynamic",
    "label",
    "a",
    "digits",
    "made",
]
ODD = [None, object(), len, int, 1j, ..., fractions.Fraction(1, 2), datetime.date(2024, 1, 1), Path("x")]
TENSORS = [np.array(1), np.zeros((2, 2)), torch.tensor(1), torch.zeros(2)]
OPTIONS: list[Any] = [*LARGE, *SMALL, *PARTS, *TEXTS, *ODD, *TENSORS]


class Strange:
    """Draws; the same seed draws the same. Every array has at most a few thousand values."""

    def __init__(self, seed: int) -> None:
        self.dice, self.rng = random.Random(seed), np.random.default_rng(seed)

    def option(self, most: int | None = None) -> Any:
        """A value of any type; of whole numbers none above `most`, where more would be more work."""
        value = self.dice.choice(OPTIONS)
        large = most is not None and isinstance(value, (int, float, np.number)) and value > most
        return most if large else value

    def rows(self) -> Any:
        """Anything that might be meant as rows; four in five are."""
        kinds: list[Callable[[], Any]] = [
            self.array,
            self.array,
            self.frame,
            self.tensor,
            self.frame,
            self.other,
        ]
        return self.dice.choice(kinds)()

    def shape(self) -> tuple[int, ...]:
        """Often one that rows may have, with enough of them."""
        n = self.dice.choice([12, 45, 60])
        usual = [(n, 1), (n, 2), (n, 3), (n, 2), (n,), (n, 1, 3, 3), (n, 3, 3), (n, 3, 4, 3), (n, 2, 2, 2)]
        if self.dice.random() < 0.7:
            return self.dice.choice(usual)
        return tuple(self.dice.choice([0, 1, 2, 5, 40]) for _ in range(self.dice.randrange(5)))

    def values(self, shape: Sequence[int]) -> Any:
        """Float64 of a shape: noise, whole numbers, bits, a constant, a lattice, or with extremes among them."""
        size = tuple(shape)
        made = self.dice.choice(
            [
                lambda: self.rng.normal(size=size),
                lambda: self.rng.normal(size=size) * self.dice.choice([1e-300, 1e-30, 1e5, 1e30, 1e300]),
                lambda: self.rng.normal(size=size) + self.dice.choice([1e6, 1e9, 1e15]),
                lambda: self.rng.integers(0, self.dice.choice([2, 3, 17, 256, 70000]), size).astype(float),
                lambda: self.rng.integers(-5, 5, size) / 10,
                lambda: np.full(size, self.dice.choice([0.0, 1.0, *EXTREMES])),
            ]
        )()
        if self.dice.random() < 0.4 and made.size:
            made = np.asarray(made)
            for _ in range(self.dice.randrange(1, 4)):
                made.reshape(-1)[self.dice.randrange(made.size)] = self.dice.choice(EXTREMES)
        return np.asarray(made)

    def array(self, shape: tuple[int, ...] | None = None) -> Any:
        """A NumPy array of any type and layout."""
        shape = self.shape() if shape is None else shape
        kind = self.dice.choice(NUMBERS if self.dice.random() < 0.6 else DTYPES)
        return self.laid_out(self.typed(self.values(shape), kind))

    def typed(self, values: Any, kind: str) -> Any:
        """Values in another type, however badly they fit."""
        with np.errstate(all="ignore"):
            if kind in ("O", "U3", "S3"):
                return values.astype("S3" if kind == "S3" else "U3") if kind != "O" else self.objects(values)
            if kind in ("f4,i4", "V4"):
                return np.zeros(values.shape, kind)
            if np.dtype(kind).kind in "iumM":
                return (
                    np.nan_to_num(values, nan=0, posinf=9e18, neginf=-9e18)
                    .clip(-9e18, 9e18)
                    .astype("i8")
                    .astype(kind)
                )
            return values.astype(kind)

    def objects(self, values: Any) -> Any:
        """Python objects: numbers, texts, gaps or anything."""
        ways = [float, str, lambda v: None if v > 0 else v, lambda v: self.option()]
        pick, out = self.dice.choice(ways), np.empty(values.shape, object)
        for at in np.ndindex(values.shape):
            out[at] = pick(values[at])
        return out

    def laid_out(self, x: Any) -> Any:
        """The same values with other strides, in a subclass, or not to be written to."""
        ways = [
            "as is",
            "as is",
            "fortran",
            "reversed",
            "step",
            "moved",
            "broadcast",
            "masked",
            "read only",
            "odd",
        ]
        how = self.dice.choice([*ways, "matrix", "subclass"])
        if x.ndim == 0 or not x.size:
            return x
        if how == "fortran":
            return np.asfortranarray(x)
        if how == "reversed":
            return x[::-1]
        if how == "step":
            return np.repeat(x, 2, 0)[::2]
        if how == "moved":
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)
        if how == "broadcast":
            return np.broadcast_to(x[:1], x.shape)
        if how == "masked" and not x.dtype.hasobject:
            return np.ma.array(x, mask=self.dice.choice([False, self.rng.random(x.shape) < 0.1]))
        if how == "odd" and not x.dtype.hasobject:  # at an address that is no multiple of the item's size
            return np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
        if how == "matrix" and x.ndim == 2 and x.dtype.kind == "f":
            return x.view(np.matrix)
        if how == "subclass":
            return x.view(type("Sub", (np.ndarray,), {}))
        if how == "read only":
            x.flags.writeable = False
        return x

    def tensor(self, shape: tuple[int, ...] | None = None) -> Any:
        """A torch tensor of any type, layout and device that is here."""
        shape = self.shape() if shape is None else shape
        types = [
            torch.float32,
            torch.float64,
            torch.bfloat16,
            torch.float16,
            torch.int64,
            torch.uint8,
            torch.bool,
        ]
        odd = [torch.complex64, torch.float8_e4m3fn, torch.uint16, torch.uint64, torch.int8]
        values = torch.as_tensor(np.nan_to_num(self.values(shape), nan=0.5, posinf=9e3, neginf=-9e3))
        x = values.clamp(-1e15, 1e15).to(self.dice.choice(types if self.dice.random() < 0.8 else odd))
        how = self.dice.choice(
            ["as is", "grad", "meta", "sparse", "csr", "parameter", "moved", "conj", "inference", "nan"]
        )
        if how == "grad" and x.dtype in types[:2]:
            return x.requires_grad_() * 1
        if how == "meta":
            return x.to("meta")
        if how == "sparse" and x.dtype in types:
            return x.to_sparse()
        if how == "csr" and x.ndim == 2 and x.dtype in types[:2]:
            return x.to_sparse_csr()
        if how == "parameter" and x.dtype in types[:2]:
            return torch.nn.Parameter(x)
        if how == "moved" and x.ndim > 1:
            return x.transpose(0, 1).contiguous().transpose(0, 1)
        if how == "conj" and x.is_complex():
            return x.conj()
        if how == "nan" and x.dtype in types[:2] and x.numel():
            x.reshape(-1)[0] = torch.tensor(self.dice.choice(EXTREMES), dtype=torch.float64).to(x.dtype)
        if how == "inference":
            with torch.inference_mode():
                return x.clone()
        return x

    def name(self) -> str:
        """What a column may be called."""
        return self.dice.choice(NAMES)

    def frame(self) -> Any:
        """A table of pandas, polars or pyarrow, with columns of any type they have."""
        from strange_tables import arrow_table, pandas_frame, polars_frame

        return self.dice.choice([pandas_frame, pandas_frame, polars_frame, arrow_table])(self)

    def other(self) -> Any:
        """What is no array, though it may look like one."""
        x = self.values(self.dice.choice([(45, 2), (45,), (3, 2), (0,)]))
        makers: list[Callable[[], Any]] = [
            lambda: x.tolist(),
            lambda: [*x.tolist(), [1]],
            lambda: tuple(map(tuple, np.atleast_2d(x).tolist())),
            lambda: list(torch.from_numpy(x)),
            lambda: [{"a": 1}, {"a": 2}],
            lambda: {"a": x.tolist()},
            lambda: memoryview(x),
            lambda: array.array("d", x.ravel().tolist()),
            lambda: range(40),
            lambda: iter(x),
            lambda: self.option(),
            lambda: _sparse(x),
            lambda: _series(x, self.dice.randrange(4)),
            lambda: [list("ab")] * 30,
            lambda: [[None, 1.0]] * 30,
            lambda: [[2**70, 1]] * 30,
            lambda: np.float64(3),
        ]
        return self.dice.choice(makers)()


def _sparse(x: Any) -> Any:
    import scipy.sparse

    return scipy.sparse.csr_matrix(np.nan_to_num(np.atleast_2d(x)))


def _series(x: Any, which: int) -> Any:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    flat = x.ravel()
    return [lambda: pd.Series(flat), lambda: pl.Series(flat), lambda: pa.array(flat), lambda: pd.Index(flat)][
        which
    ]()
