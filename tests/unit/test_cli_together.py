"""`jensen fit --devices 2`: one command, two processes; one that is killed ends the run cleanly, and it resumes."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

import jensen
from jensen.cli import cli
from jensen.errors import UsageError

FIT = ["fit", "digits", "--model", "made", "--steps", "300", "--set", "hidden=[8]", "--set", "patience=0"]
FIT += ["--set", "save_every=0.1", "--devices", "2"]

CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()


def started(folder: Path, until: float = 60) -> subprocess.Popen[str]:
    """The command, in training: it has written a checkpoint."""
    command = [sys.executable, "-m", "jensen", *FIT, "--out", str(folder)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + until
    while not (folder / "checkpoint.safetensors").exists():
        assert time.monotonic() < end and running.poll() is None
        time.sleep(0.01)
    return running


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def gone(process: int, until: float = 30) -> bool:
    end = time.monotonic() + until
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def told_to_resume(said: str) -> list[str]:
    found = re.search(r"^resume: +(jensen .*)$", said, re.MULTILINE)
    assert found is not None, said
    return shlex.split(found[1])[1:]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.skipif(not CHILDREN, reason="finds the processes in /proc")
def test_a_killed_process_ends_the_run_and_the_told_command_reaches_the_same_weights(tmp_path: Path) -> None:
    running = started(tmp_path / "half")
    mine = children(running.pid)
    assert len(mine) == 2
    os.kill(mine[1], signal.SIGKILL)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 128 + signal.SIGKILL
    assert re.search(r"^error: +another process of the training ended$", said, re.MULTILINE), said
    assert "process 2 of 2 was ended by SIGKILL" in said and "Traceback" not in said
    assert all(gone(one) for one in mine)

    words = told_to_resume(said)
    alone = [word for word in words if word not in ("--devices", "2")]
    subprocess.run([sys.executable, "-m", "jensen", *words], check=True, capture_output=True, timeout=120)
    result = CliRunner().invoke(cli, [*alone[:-3], "--out", str(tmp_path / "whole")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    two, one = (load_file(tmp_path / name / "model.safetensors") for name in ("half", "whole"))
    # float32: a gradient of two halves is another sum than that of the whole, 1e-7 relative a step
    assert all(float((two[key] - one[key]).abs().max()) < 1e-4 for key in one)


@pytest.mark.slow
@pytest.mark.skipif(not CHILDREN, reason="finds the processes in /proc")
@pytest.mark.parametrize("who", ["first", "launcher"])
def test_whichever_process_is_killed_nothing_is_left_behind(tmp_path: Path, who: str) -> None:
    running = started(tmp_path / "half")
    mine = children(running.pid)
    os.kill(mine[0] if who == "first" else running.pid, signal.SIGKILL)
    said = running.communicate(timeout=60)[1]
    assert all(gone(one) for one in mine)
    assert (tmp_path / "half" / "checkpoint.safetensors").exists()
    if who == "first":
        assert "process 1 of 2 was ended by SIGKILL" in said
        assert told_to_resume(said)[-1] == "--resume"


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_to_the_command_ends_all_after_the_same_step(tmp_path: Path, sent: signal.Signals) -> None:
    running = started(tmp_path / "half")
    running.send_signal(sent)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 128 + sent
    assert re.search(r"^stopped: interrupted after step \d+$", said, re.MULTILINE), said
    assert told_to_resume(said)[-1] == "--resume"


def test_bad_input_is_said_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jensen", *FIT, "--out", str(tmp_path / "run"), "--set", "batch=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("error:") == 1
    assert "every process needs a row of each batch" in done.stderr
    assert not (tmp_path / "run").exists()


def test_devices_in_a_script_need_a_launcher() -> None:
    with pytest.raises(UsageError, match="torchrun --nproc-per-node 2"):
        jensen.fit("made", "digits", devices=2)
    with pytest.raises(UsageError, match="whole number"):
        jensen.fit("made", "digits", devices=0)
    with pytest.raises(UsageError, match="strategy"):
        jensen.fit("made", "digits", devices=1, strategy="pipeline")
