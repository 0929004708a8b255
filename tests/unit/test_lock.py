"""Two processes on one run folder: the second is refused, and a lock dies with its owner."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jensen
from jensen.errors import JensenWarning, OutputError
from jensen.lock import LOCK, locked
from jensen.train import Moment

HOLD = """
import sys, time
from pathlib import Path
from jensen.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path: Path) -> Any:
    """Another process that holds the lock of a folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None and it.stdout.readline() == "held\n"
        yield it, folder
        it.kill()


def test_a_second_process_is_refused_and_told_who_is_at_work_until_the_first_is_killed(other: Any) -> None:
    process, folder = other
    rows = np.random.default_rng(0).normal(size=(60, 2))
    fitted = jensen.fit("independent", rows)
    for again in (lambda: jensen.fit("independent", rows, out=folder), lambda: fitted.save(folder)):
        with pytest.raises(OutputError, match="another process is writing this run") as refused:
            again()
        assert f"process {process.pid} on " in refused.value.given and refused.value.do
    assert os.listdir(folder) == [LOCK]  # what the first one has is left alone
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / LOCK).exists()
    jensen.fit("independent", rows, out=folder)
    assert jensen.load(folder).space.shape == (2,) and not (folder / LOCK).exists()


def test_a_fit_is_refused_a_folder_that_a_fit_of_the_same_process_is_writing(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    tried = []

    def watch(moment: Moment) -> None:
        with pytest.raises(OutputError, match="another process is writing") as refused:
            jensen.fit("independent", rows, out=tmp_path / "run", overwrite=True)
        tried.append(str(refused.value.given))

    jensen.fit("realnvp", rows, steps=20, out=tmp_path / "run", watch=watch)
    assert tried and f"process {os.getpid()} " in tried[0]
    assert jensen.load(tmp_path / "run").name == "realnvp"


def test_whoever_waits_never_gets_a_lock_on_a_file_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, its owner may remove it: the lock would then guard nothing."""
    first = os.open

    def late(path: Any, *rest: Any) -> int:
        handle = first(path, *rest)
        if str(path).endswith(LOCK):
            monkeypatch.setattr(os, "open", first)
            os.unlink(path)  # as an owner does that ends just now
        return handle

    monkeypatch.setattr(os, "open", late)
    with locked(tmp_path):
        assert (tmp_path / LOCK).exists()
        with pytest.raises(OutputError), locked(tmp_path):
            pass
    assert not (tmp_path / LOCK).exists()


def test_a_file_system_without_locks_is_said_and_the_fit_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    rows = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.warns(JensenWarning, match="cannot be locked"):
        jensen.fit("independent", rows, out=tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert jensen.load(tmp_path / "run").space.shape == (2,)


def test_the_command_line_says_once_that_a_folder_cannot_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from click.testing import CliRunner

    from jensen.cli import cli

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    monkeypatch.chdir(tmp_path)
    np.savetxt(
        "rows.csv", np.random.default_rng(0).normal(size=(60, 2)), delimiter=",", header="a,b", comments=""
    )
    words = ["fit", "rows.csv", "--model", "independent", "--out", "run", "--json", "--quiet"]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0 and '"log_likelihood"' in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: run cannot be locked (") and "two processes" in line


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("keep")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(mine)
    with pytest.raises(OutputError, match="cannot lock"):
        jensen.fit("independent", np.zeros((60, 2)) + np.arange(60)[:, None], out=tmp_path / "run")
    assert mine.read_text() == "keep"
