"""Bad bytes: damaged files of every format are read, or refused with an error of ours; no traceback, no hang.

JENSEN_FUZZ=N tries N files a reader (`make soak` does), counts them and prints the figures.
"""

from __future__ import annotations

import gzip
import io
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import ours
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import jensen
from jensen.checkpoint import load_checkpoint, save_checkpoint

EXAMPLES = int(os.environ.get("JENSEN_FUZZ", "40"))
MEMORY = 32 << 20
RISE = 1 << 30
"""The resident memory of all readers together may rise by so much: the bound of one, the libraries, what is not returned."""

RNG = np.random.default_rng(0)
EDGES = [0, 1, 127, 128, 255]
TEXTS = [
    b"nan",
    b"inf",
    b"-1",
    b"1e999",
    b"\xff",
    b"\0",
    b"[" * 50,
    b"{",
    b'"',
    b",",
    b"\n",
    b"null",
    b"9" * 30,
    b"'",
]


def damaged(valid: bytes) -> st.SearchStrategy[bytes]:
    """A valid file after one to six edits: bytes and numbers overwritten, pieces cut, doubled, moved or put in."""
    place = st.floats(0, 1, exclude_max=True)
    edit = st.tuples(
        st.sampled_from(["byte", "bit", "word", "cut", "double", "end", "text", "zero"]),
        place,
        st.one_of(st.sampled_from(EDGES), st.integers(0, 255)),
        st.integers(1, 40),
    )
    return st.lists(edit, min_size=1, max_size=6).map(lambda edits: _edited(valid, edits))


def _edited(valid: bytes, edits: list[tuple[str, float, int, int]]) -> bytes:
    data = bytearray(valid)
    for what, share, value, size in edits:
        # half of the edits fall into the first 200 bytes, where headers are
        at = int(share * 2 * min(len(data), 200)) if share < 0.5 else int((share * 2 - 1) * len(data))
        at = min(at, max(len(data) - 1, 0))
        if what == "byte":
            data[at : at + 1] = bytes([value])
        elif what == "bit" and data:
            data[at] ^= 1 << value % 8
        elif what == "word":
            data[at : at + 4] = struct.pack("<I", (value << 24 | size) & 0xFFFFFFFF)
        elif what == "cut":
            del data[at : at + size]
        elif what == "double":
            data[at:at] = data[at : at + size]
        elif what == "end":
            del data[at:]
        elif what == "text":
            data[at:at] = TEXTS[value % len(TEXTS)]
        else:
            data[at : at + size] = bytes(size)
    return bytes(data)


def _csv() -> bytes:
    lines = ["a,b,kind,when"] + [
        f"{i % 7},{i * i / 7:.3f},{'xyz'[i % 3]},2024-01-{i % 28 + 1:02d}" for i in range(30)
    ]
    return "\n".join(lines).encode()


def _saved(save: Callable[[Any], Any]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {"a": RNG.normal(size=40), "b": [f"t{i % 3}" for i in range(40)], "c": [i % 5 for i in range(40)]}
    )
    return _saved(lambda out: pq.write_table(table, out, row_group_size=10))


def _png() -> bytes:
    from PIL import Image

    return _saved(
        lambda out: Image.fromarray(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)).save(out, "PNG")
    )


def _gif() -> bytes:
    from PIL import Image

    return _saved(
        lambda out: Image.fromarray(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)).save(out, "GIF")
    )


IDX = struct.pack(">4BIII", 0, 0, 8, 3, 20, 4, 4) + bytes(range(160)) * 2
FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "csv": ("x.csv", _csv),
    "csv.gz": ("x.csv.gz", lambda: gzip.compress(_csv(), mtime=0)),
    "parquet": ("x.parquet", _parquet),
    "npy": ("x.npy", lambda: _saved(lambda out: np.save(out, RNG.normal(size=(20, 3))))),
    "npz": ("x.npz", lambda: _saved(lambda out: np.savez(out, x=RNG.normal(size=(20, 3))))),
    "npz packed": (
        "x.npz",
        lambda: _saved(lambda out: np.savez_compressed(out, x=RNG.integers(0, 3, (200, 3)))),
    ),
    "idx": ("x-idx3", lambda: IDX),
    "idx.gz": ("x.gz", lambda: gzip.compress(IDX, mtime=0)),
    "png": ("images/a.png", _png),
    "gif": ("images/a.gif", _gif),
}


def fuzz(name: str, valid: bytes, path: Path, read: Callable[[], Any]) -> None:
    """Read damaged versions of a valid file."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(valid)
    if path.parent.name == "images":
        for other in "bcd":
            path.with_name(other + path.suffix).write_bytes(valid)
    read()  # what is valid is read
    counts = {"read": 0, "refused": 0}

    @seed(1)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(damaged(valid))
    def one(content: bytes) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        counts["refused"] += 1
        with ours(quiet=True):
            read()
            counts["read"] += 1
            counts["refused"] -= 1

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one()
    rise = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
    print(f"{name}: {counts['read']} read, {counts['refused']} refused, memory rose by {rise >> 20} MiB")
    assert rise < RISE


@pytest.mark.parametrize("name", FILES)
def test_damaged_data_are_read_or_refused(tmp_path: Path, name: str) -> None:
    file, make = FILES[name]
    path = tmp_path / file
    fuzz(name, make(), path, lambda: jensen.rows(path.parent if "images" in file else path, memory=MEMORY))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    fitted = jensen.fit("realnvp", rows, steps=20, transforms=1, hidden=[4])
    return fitted.save(tmp_path_factory.mktemp("fuzz") / "run")


@pytest.mark.parametrize("file", ["model.json", "model.safetensors", "history.csv"])
def test_a_damaged_run_is_loaded_or_refused(run: Path, file: str) -> None:
    valid = (run / file).read_bytes()
    try:
        fuzz(file, valid, run / file, lambda: jensen.load(run))
    finally:
        (run / file).write_bytes(valid)


def test_a_damaged_checkpoint_is_resumed_or_refused(tmp_path: Path) -> None:
    import torch

    tensors = {"turn.a": torch.zeros(3), "random.cpu": torch.get_rng_state()[:100]}
    save_checkpoint(tmp_path, tensors, {"fingerprint": "x", "waited": 3})
    path = tmp_path / "checkpoint.safetensors"
    fuzz("checkpoint", path.read_bytes(), path, lambda: load_checkpoint(tmp_path))
