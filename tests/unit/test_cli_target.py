"""`jensen fit --target`: a density from the user's file or by name, what is printed of log Z, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jensen.cli import cli

POSTERIOR = """
import torch

def log_density(x):
    return -0.5 * (x / torch.tensor([0.5, 2.0])).square().sum(1)

def broken(x):
    return torch.tensor(float("nan")) * x.sum(1)

number = 3
"""
SMALL = ("--model", "realnvp", "--set", "hidden=[8]", "--set", "transforms=2", "--steps", "60", "-q")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "posterior.py").write_text(POSTERIOR)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["fit", *arguments])


def test_a_density_of_a_file_is_fitted_and_its_log_z_told() -> None:
    told = run("--target", "posterior.py:log_density", "--dim", "2", *SMALL)
    assert told.exit_code == 0, told.output
    for words in (
        "log Z",
        "low if the model misses mass",
        "bound below",
        "effective share",
        "k-hat",
        "search",
    ):
        assert words in told.stdout
    assert "bound above" not in told.stdout and "truth" not in told.stdout
    found = json.loads(
        run("--target", "posterior.py:log_density", "--dim", "2", *SMALL, "--overwrite", "--json").stdout
    )
    log_z = found["record"]["log_z"]
    # the target is a normal law with scales 0.5 and 2: two pi, nats within importance sampling's error
    assert log_z["value"]["value"] == pytest.approx(math.log(2 * math.pi), abs=0.02)
    assert log_z["label"].startswith("estimate") and log_z["truth"] is None
    assert CliRunner().invoke(cli, ["sample", found["run"], "-n", "3"]).exit_code == 0


def test_a_known_target_brings_its_truth_and_a_bound_from_above() -> None:
    told = run("--target", "two-moons", *SMALL)
    assert told.exit_code == 0, told.output
    assert "truth" in told.stdout and "bound above" in told.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--target", "posterior.py:log_density"), "1 or more coordinates"),
        (("--target", "posterior.py:log_densty", "--dim", "2"), "did you mean log_density?"),
        (("--target", "posterior.py", "--dim", "2"), "name it: posterior.py:log_density"),
        (("--target", "nowhere.py:log_density", "--dim", "2"), "no such file"),
        (("--target", "posterior.py:broken", "--dim", "2"), "finite number"),
        (("--target", "posterior.py:number", "--dim", "2"), "log density to call"),
        (("--target", "moons"), "two-moons"),
        (("digits", "--target", "funnel"), "ROWS or a --target"),
        ((), "ROWS or a --target"),
        (("digits", "--dim", "3"), "rows are no target"),
        (("--target", "funnel", "--context", "label"), "has no rows"),
        (("--target", "posterior.py:log_density", "--dim", "2", "--support", "0"), "LOW:HIGH"),
        (("--target", "posterior.py:log_density", "--dim", "2", "--scale", "wide"), "takes numbers"),
        (("--target", "posterior.py:log_density", "--dim", "2", "--location", "1,2,3"), "one for each of 2"),
    ],
)
def test_what_does_not_fit_is_refused_in_three_parts(arguments: tuple[str, ...], words: str) -> None:
    told = run(*arguments, *SMALL)
    assert told.exit_code == 2 or told.exit_code == 1
    assert words in told.output and "given:" in told.output and "do:" in told.output
    assert not Path("runs").exists()
