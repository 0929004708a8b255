"""Samples, tables and reports: a fault or a power cut at any write of them leaves the old file or the new one."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jensen.data import output
from jensen.disk import write_text
from jensen.errors import OutputError
from jensen.report import written
from jensen.space import Column, Space

SPACE = Space((2,), (Column("real", name="a"), Column("categorical", 2, name="b", labels=("x", "y"))))
IMAGES = Space.levels((1, 4, 4), 256)


class PowerCut(BaseException):
    """Nothing that a program does afterwards happens."""


class Disk:
    """Writes, renames and syncs, counted; that of number `at` fails, a write half way.

    `how`: "ENOSPC" and "EIO" fail once and the program lives on; "cut" ends all that follows, and then what was not synced is
    cut in half, whatever it is called by now.
    """

    def __init__(self, at: int, how: str) -> None:
        self.at, self.how, self.done = at, how, 0
        self.loose: set[int] = set()
        self.real = {"open": builtins.open, "replace": os.replace, "fsync": os.fsync, "rmtree": shutil.rmtree}

    def step(self) -> bool:
        """Whether this operation fails."""
        self.done += 1
        if self.how == "cut" and self.done > self.at:
            raise PowerCut
        return self.done == self.at

    def fail(self) -> None:
        if self.how == "cut":
            raise PowerCut
        number = getattr(errno, self.how)
        raise OSError(number, os.strerror(number))

    def open(self, path: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        file = self.real["open"](path, mode, *rest, **more)
        return Failing(file, self) if "b" in mode and mode[0] in "wx" else file

    def replace(self, source: Any, target: Any) -> None:
        if self.step():
            self.fail()
        self.real["replace"](source, target)

    def fsync(self, handle: int) -> None:
        if self.step():
            self.fail()
        self.loose.discard(os.fstat(handle).st_ino)

    def rmtree(self, path: Any, *rest: Any, **more: Any) -> None:
        if self.how != "cut" or self.done < self.at:
            self.real["rmtree"](path, *rest, **more)

    @contextmanager
    def failing(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for module in (output, written):
                patch.setattr(module, "open", self.open, raising=False)
            patch.setattr(os, "replace", self.replace)
            patch.setattr(os, "fsync", self.fsync)
            patch.setattr(shutil, "rmtree", self.rmtree)
            yield

    def lose(self, folder: Path) -> None:
        """What was not on the disk is cut in half."""
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_ino in self.loose:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class Failing:
    """A file opened for writing, whose writes are counted."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk
        disk.loose.add(os.fstat(file.fileno()).st_ino)

    def write(self, data: Any) -> int:
        if self.disk.step():
            self.file.write(memoryview(data).cast("B")[: memoryview(data).nbytes // 2])
            self.file.flush()
            self.disk.fail()
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def table(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(size=30), rng.integers(0, 2, 30)], 1)


def images(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (3, 1, 4, 4))


OUTPUTS: dict[str, Callable[[Path, int], Any]] = {
    "x.csv": lambda path, seed: output.write(path, table(seed), SPACE, overwrite=True),
    "x.parquet": lambda path, seed: output.write(path, table(seed), SPACE, overwrite=True),
    "x.npy": lambda path, seed: output.write(path, table(seed), SPACE, overwrite=True),
    "x.npz": lambda path, seed: output.write(path, table(seed), SPACE, overwrite=True),
    "pictures": lambda path, seed: output.write(path, images(seed), IMAGES, overwrite=True),
    "page.html": lambda path, seed: written.write_whole(path, b"<p>" * (100 + seed)),
    "scores.csv": lambda path, seed: write_text(path, f"row,{seed}\n" * 100),
}


def content(path: Path) -> Any:
    if path.is_dir():
        return {one.name: one.read_bytes() for one in path.iterdir()}
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_fault_at_any_operation_of_an_output_leaves_the_old_one_or_the_new_one(
    tmp_path: Path, name: str
) -> None:
    save, new = OUTPUTS[name], tmp_path / "new" / name
    new.parent.mkdir()
    counted = Disk(0, "none")
    with counted.failing():
        save(new, 1)
    assert counted.done >= 3
    for how in ("ENOSPC", "EIO", "cut"):
        seen = set()
        for at in range(1, counted.done + 2):
            path = tmp_path / f"{how}-{at}" / name
            path.parent.mkdir()
            save(path, 0)
            old, disk = content(path), Disk(at, how)
            with suppress(OutputError, PowerCut), disk.failing():
                save(path, 1)
            disk.lose(path.parent)
            now = content(path)
            if now is None:  # a power cut between the two renames of a folder: the old one lies beside it
                assert how == "cut" and name == "pictures"
                (kept,) = path.parent.glob(f".{name}.*/old")
                now = content(kept)
            assert now in (old, content(new)), f"{how} at {at} of {counted.done}"
            seen.add("old" if now == old else "new")
            if how != "cut":
                assert os.listdir(path.parent) == [name], "something is left behind"
            save(path, 1)
            assert content(path) == content(new)
        assert seen == {"old", "new"}
