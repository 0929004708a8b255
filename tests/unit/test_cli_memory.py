"""A device without room is something the user can act on: three lines or one JSON object, no traceback."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

import jensen
from jensen.cli import cli

SAID = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB"


@pytest.mark.parametrize("as_json", [False, True])
def test_running_out_of_memory_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr(jensen, "fit", full)
    monkeypatch.setattr("jensen.fitting.fit", full)
    done = CliRunner().invoke(
        cli, ["fit", "digits", "--model", "made", "--steps", "2", *["--json"][: int(as_json)]]
    )
    assert done.exit_code == 2, done.output
    if as_json:
        error = json.loads(done.stdout)["error"]
        assert (error["wrong"], error["given"]) == ("the memory does not suffice", SAID)
        assert "smaller batches" in error["do"]
    else:
        assert "error: the memory does not suffice" in done.stderr
        assert "Traceback" not in done.output


def test_other_errors_of_the_runtime_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(jensen, "fit", broken)
    monkeypatch.setattr("jensen.fitting.fit", broken)
    done = CliRunner().invoke(cli, ["fit", "digits", "--model", "made", "--steps", "2"])
    assert isinstance(done.exception, RuntimeError)
