"""Nothing is lost: kills at random moments, disks that fail, and power cuts at every operation of a save."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import jensen
from jensen import store
from jensen.checkpoint import load_checkpoint, save_checkpoint
from jensen.disk import PROMISE, contents, found
from jensen.errors import DataError, JensenError, OutputError

RUN = ["card.md", "history.csv", "model.json", "model.safetensors"]


def test_a_fit_killed_at_random_moments_and_resumed_ends_bit_for_bit_like_the_whole_one() -> None:
    script = Path(__file__).parents[2] / "scripts" / "soak_crash.py"
    command = [sys.executable, str(script), "--moments", "4", "--models", "made,realnvp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 ended bit for bit" in done.stdout


class PowerCut(BaseException):
    """Nothing that a program does afterwards happens."""


class Disk:
    """The operations of a save, counted; the one of number `at` fails, and what was not synced may be lost.

    `how`: "ENOSPC" and "EIO" fail once, a write half way, and the program lives on; "cut" ends all that follows.
    Afterwards `lose` takes back what no fsync had made sure of: contents are cut in half, names go back to what they were.
    """

    def __init__(self, at: int, how: str) -> None:
        self.at, self.how, self.done = at, how, 0
        self.loose: set[Path] = set()
        self.names: list[tuple[Path, bytes | None, Path | None]] = []
        self.real = {name: getattr(os, name) for name in ("open", "fsync", "replace", "unlink")}
        self.write_text, self.save_file = Path.write_text, store.save_file
        self.paths: dict[int, Path] = {}

    def _step(self, half: Callable[[], None] = lambda: None) -> None:
        self.done += 1
        if self.how == "cut" and self.done >= self.at:
            if self.done == self.at:
                half()
            raise PowerCut
        if self.done == self.at:
            half()
            number = getattr(errno, self.how)
            raise OSError(number, os.strerror(number))

    def open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            self._step()
            if not Path(path).exists():
                self.names.append((Path(path), None, None))
        handle: int = self.real["open"](path, flags, *rest, **more)
        self.paths[handle] = Path(path)
        return handle

    def fsync(self, handle: int) -> None:
        self._step()
        path = self.paths[handle]
        if path.is_dir():
            self.names = [one for one in self.names if one[0].parent != path]
        self.loose.discard(path)

    def replace(self, source: Path, target: Path) -> None:
        self._step()
        self.names.append((target, target.read_bytes() if target.exists() else None, source))
        self.real["replace"](source, target)
        if source in self.loose:
            self.loose.discard(source)
            self.loose.add(target)

    def unlink(self, path: Any, **more: Any) -> Any:
        if more:  # within the removal of a whole folder of temporary files
            return self.real["unlink"](path, **more)
        self._step()
        self.names.append((Path(path), Path(path).read_bytes(), None))
        return self.real["unlink"](path)

    def write(self, path: Path, whole: Callable[[], Any]) -> Any:
        def half() -> None:
            whole()
            with self.really(), path.open("r+b") as file:
                file.truncate(path.stat().st_size // 2)

        self._step(half)
        self.loose.add(path)
        return whole()

    @contextmanager
    def really(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, function in self.real.items():
                patch.setattr(os, name, function)
            yield

    @contextmanager
    def failing(self) -> Iterator[None]:
        def write_text(path: Path, *args: Any, **more: Any) -> Any:
            return self.write(path, lambda: self.write_text(path, *args, **more))

        def save_file(tensors: Any, path: Path, *args: Any) -> None:
            self.write(Path(path), lambda: self.save_file(tensors, path, *args))

        with pytest.MonkeyPatch.context() as patch:
            for name in self.real:
                patch.setattr(os, name, getattr(self, name))
            patch.setattr(Path, "write_text", write_text)
            patch.setattr(store, "save_file", save_file)
            yield

    def lose(self, chance: random.Random | None) -> None:
        """Take back all that was not synced, or with `chance` any of it."""
        for path in self.loose:
            if path.exists() and (chance is None or chance.random() < 0.5):
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        for path, before, source in reversed(self.names):
            if chance is not None and chance.random() < 0.5:
                continue
            if source is not None and path.exists():
                os.replace(path, source) if source.parent.exists() else path.unlink()
            if before is not None:
                path.write_bytes(before)
            elif source is None:
                path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def runs() -> list[jensen.Fitted]:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    # the standardisation alone would be undone by the codec: the third rows have another shape of distribution
    return [jensen.fit("independent", rows**power) for power in (1, 2, 3)]


@pytest.fixture(autouse=True)
def no_real_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncing takes most of the time of a small save, and the disk under the tests stays on."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def weights(fitted: jensen.Fitted) -> bytes:
    return b"".join(t.numpy().tobytes() for _, t in sorted(fitted.model.state_dict().items()))


def faults(work: Callable[[], Any]) -> list[tuple[int, str]]:
    """Every operation that the work makes, with every way in which it can fail."""
    counted = Disk(0, "none")
    with counted.failing():
        work()
    assert counted.done > 5
    return [(at, how) for how in ("ENOSPC", "EIO", "cut") for at in range(1, counted.done + 1)]


@pytest.mark.parametrize("over", [True, False], ids=["over a run", "new"])
def test_a_fault_at_any_operation_of_a_save_leaves_the_old_run_or_the_new_one(
    runs: list[jensen.Fitted], tmp_path: Path, over: bool
) -> None:
    old, new, last = runs
    wanted = {weights(old) if over else b"none", weights(new)}
    seen: set[tuple[str, bytes]] = set()

    def start(name: str) -> Path:
        return old.save(tmp_path / name) if over else tmp_path / name

    first = start("count")
    for at, how in faults(lambda: new.save(first, overwrite=True)):
        for loss in range(3 if how == "cut" else 1):
            folder = start(f"{how}-{at}-{loss}")
            disk = Disk(at, how)
            # a lock that cannot be removed is no failure of the save
            with suppress(OutputError, PowerCut), disk.failing():
                new.save(folder, overwrite=True)
            if how == "cut" and loss:
                disk.lose(None if loss == 1 else random.Random(at * 10 + loss))
            try:
                now = weights(jensen.load(folder))
            except DataError as error:
                assert "there is no run here" in error.wrong, f"{how} at {at}, {loss}: {error}"
                now = b"none"
            assert now in wanted, f"{how} at {at}, {loss}"
            seen.add((how, now))
            if how != "cut" and not (folder / PROMISE).exists() and folder.exists():
                assert contents(folder) in ([], RUN)
                assert not any(one.name.endswith(".part") for one in folder.iterdir())
            last.save(folder, overwrite=True)
            assert weights(jensen.load(folder)) == weights(last)
            assert sorted(one.name for one in folder.iterdir()) == RUN  # nothing piles up
    assert seen == {(how, now) for how in ("ENOSPC", "EIO", "cut") for now in wanted}


def test_a_fault_at_any_operation_of_a_checkpoint_leaves_the_last_one_or_the_new_one(tmp_path: Path) -> None:
    def save(step: int) -> None:
        save_checkpoint(tmp_path, {"x": torch.full((1000,), float(step))}, {"step": step})

    save(1)
    seen = set()
    for at, how in faults(lambda: save(1)):
        for loss in range(3 if how == "cut" else 1):
            save(1)
            disk = Disk(at, how)
            with suppress(OutputError, PowerCut), disk.failing():
                save(2)
            if how == "cut" and loss:
                disk.lose(None if loss == 1 else random.Random(at * 10 + loss))
            tensors, facts = load_checkpoint(tmp_path)
            assert (tensors["x"] == facts["step"]).all() and facts["step"] in (1, 2)
            seen.add(facts["step"])
    assert seen == {1, 2}


def test_every_file_of_a_save_is_synced_before_it_counts_and_its_folder_after(
    runs: list[jensen.Fitted], tmp_path: Path
) -> None:
    """At a rename nothing may be loose, and at the end no name may be."""
    disk, renamed = Disk(0, "none"), []
    rename = disk.replace

    def replace(source: Path, target: Path) -> None:
        if not target.name.endswith(".part"):
            assert not disk.loose, f"{target.name} counts before {disk.loose} are on the disk"
            renamed.append(target.name)
        rename(source, target)

    disk.replace = replace  # type: ignore[method-assign]
    with disk.failing():
        runs[0].save(tmp_path / "run")
    assert renamed == [PROMISE, "model.safetensors", "history.csv", "card.md", "model.json"]
    left = {path.name for path, _, _ in disk.names if path.parent == tmp_path / "run"}
    assert left <= {PROMISE, ".lock"}  # whose return after a cut does no harm


def test_a_run_that_is_saved_while_it_is_loaded_is_loaded_whole(
    runs: list[jensen.Fitted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs[0].save(tmp_path / "run")
    load_file, saves = store.load_file, iter([1])

    def late(path: Any) -> Any:
        for _ in saves:  # once: after the record was read, before the weights are
            runs[1].save(folder, overwrite=True)
        return load_file(path)

    monkeypatch.setattr(store, "load_file", late)
    assert weights(jensen.load(folder)) == weights(runs[1])


@pytest.mark.parametrize(
    "promise",
    [
        b'{"token": "00000000", "names": ["../../other"]}',
        b'{"token": "../..", "names": ["model.json"]}',
        b'{"token": 3, "names": 4}',
        b"{",
        b"[" * 100_000,
        b"x" * 100_000,
    ],
    ids=["traversal", "token", "types", "cut", "deep", "long"],
)
def test_a_forged_promise_leads_nowhere(runs: list[jensen.Fitted], tmp_path: Path, promise: bytes) -> None:
    folder = runs[0].save(tmp_path / "run")
    (folder / PROMISE).write_bytes(promise)
    for work in (lambda: jensen.load(folder), lambda: runs[1].save(folder, overwrite=True)):
        with pytest.raises(JensenError) as refused:
            work()
        assert refused.value.given and refused.value.do
    with pytest.raises(DataError):
        found(folder, "model.json")
