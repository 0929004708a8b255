"""Ctrl-C or SIGTERM during a fit: a checkpoint, exit 130 or 143, and the command that continues to the same weights."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jensen.cli import cli

FIT = ["fit", "digits", "--model", "made", "--steps", "1000", "--set", "hidden=[16]", "--set", "patience=0"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_writes_a_checkpoint_from_which_the_told_command_reaches_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "jensen", *FIT, "--out", "half"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert "in training; step " in running.stderr.readline()
        os.kill(running.pid, sent)
        said = running.stderr.read()
        assert running.wait(timeout=60) == 128 + sent
    assert re.search(r"^stopped: interrupted after step \d+$", said, re.MULTILINE), said
    assert "Traceback" not in said
    assert [one.name for one in Path("half").iterdir()] == ["checkpoint.safetensors"]

    told = shlex.split(re.search(r"^resume: +(jensen .*)$", said, re.MULTILINE)[1])
    assert told == ["jensen", *FIT, "--out", "half", "--resume"]
    for words in (told[1:], [*FIT, "--out", "whole"]):
        result = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert "1,000 steps" in result.stdout
    assert not Path("half/checkpoint.safetensors").exists()
    assert Path("half/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_ctrl_c_without_a_folder_to_resume_from_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jensen.load", interrupted, raising=False)
    result = CliRunner().invoke(cli, ["sample", "run"])
    assert result.exit_code == 130 and result.stderr == "stopped: interrupted\n"
    result = CliRunner().invoke(cli, ["sample", "run", "--json"])
    assert result.exit_code == 130 and '"wrong": "interrupted"' in result.stdout
