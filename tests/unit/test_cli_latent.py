"""Autoencoders on the command line: somebody else's, of a library or by hand, and how loose a bound is."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import jensen
from jensen.adapt import AUTOENCODERS, VIEWS, view
from jensen.cli import cli, subject
from jensen.cli.factory import make
from jensen.errors import UsageError

FILE = """
from types import SimpleNamespace

import torch
from torch import nn

import jensen

torch.manual_seed(0)


class VAE(nn.Module):
    '''As pythae's: a config, and parts with named outputs.'''

    def __init__(self):
        super().__init__()
        self.model_config = SimpleNamespace(input_dim=(1, 2, 3), latent_dim=2, reconstruction_loss="bce")
        self.encoder, self.decoder = Encoder(), Decoder()


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(6, 4)

    def forward(self, x):
        mean, log_variance = self.net(x.flatten(1)).chunk(2, 1)
        return SimpleNamespace(embedding=mean, log_covariance=log_variance)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 6)

    def forward(self, z):
        return SimpleNamespace(reconstruction=self.net(z).sigmoid().reshape(-1, 1, 2, 3))


ready = VAE()


def make():
    return ready


def own():
    encoder = nn.Sequential(nn.Flatten(), ready.encoder.net)
    space = jensen.Space.binary((1, 2, 3))
    return jensen.adapt.autoencoder(encoder, ready.decoder.net, space, 2, likelihood="bernoulli")


def other():
    return nn.Linear(2, 2)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("theirs.py").write_text(FILE)
    rng = np.random.default_rng(0)
    np.save("bits.npy", rng.integers(0, 2, (40, 1, 2, 3)))
    np.save("grey.npy", rng.integers(0, 256, (400, 1, 2, 3)).astype(np.uint8))
    yield
    sys.modules.pop("theirs", None)


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="jensen", catch_exceptions=False)


def document(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 2 and re.search(r"^error: .*\ngiven: (.*\n)+do: ", result.stderr, re.MULTILINE)
    return result.stderr


def test_the_command_line_names_the_libraries_there_are() -> None:
    assert (tuple(VIEWS), tuple(AUTOENCODERS)) == (subject.FLOWS, subject.AUTOENCODERS)


@pytest.mark.parametrize(
    ("door", "words"), [("make", ["--adapt", "pythae"]), ("ready", ["--adapt", "pythae"]), ("own", [])]
)
def test_an_autoencoder_of_a_file_has_the_score_that_python_gives_it(door: str, words: list[str]) -> None:
    x = np.load("bits.npy")
    python = view("pythae", make("theirs.py", "make", any_object=True)).score(x, k=50)  # type: ignore[union-attr]
    sys.modules.pop("theirs")
    found = document("score", f"theirs.py:{door}", "bits.npy", "-k", 50, *words)
    assert found["log_likelihood"]["value"] == pytest.approx(python.mean().value, abs=1e-5)
    assert (found["log_likelihood"]["kind"], found["n"], found["part"]) == ("lower", 40, "new")
    assert found["certified"]["kind"] == "lower"
    assert "certified" in run("score", f"theirs.py:{door}", "bits.npy", *words).stdout


@pytest.mark.parametrize(("door", "words"), [("make", ["--adapt", "pythae"]), ("own", [])])
def test_an_autoencoder_of_a_file_is_audited_by_what_it_can(door: str, words: list[str]) -> None:
    holds = {one["check"]: one["holds"] for one in document("audit", f"theirs.py:{door}", *words)}
    assert holds["mass_sums"] is holds["rows_independent"] is holds["declared_abilities"] is True
    assert holds["save_load_same"] is None and False not in holds.values()


def test_networks_too_large_to_sum_over_are_left_as_they_are() -> None:
    large = (
        FILE.replace("(1, 2, 3)", "(1, 4, 5)")
        .replace("Linear(6,", "Linear(20,")
        .replace("Linear(2, 6)", "Linear(2, 20)")
    )
    Path("theirs.py").write_text(large.replace("-1, 1, 2, 3", "-1, 1, 4, 5"))
    theirs = make("theirs.py", "make", any_object=True)
    before = [weight.clone() for weight in theirs.parameters()]
    found = {one.name: one for one in jensen.audit(theirs, adapt="pythae")}
    assert found["mass_sums"].holds is None and "no twin" in found["mass_sums"].evidence
    assert all(torch.equal(one, other) for one, other in zip(before, theirs.parameters(), strict=True))


LAW = """

class Law:
    def log_prob(self, z):
        return -z.square().sum(-1) / 2

    def sample(self, shape):
        return torch.randn(*shape, 2)
"""


def test_a_prior_that_does_not_integrate_to_one_is_found_out() -> None:
    faulty = FILE.replace('"bernoulli")', '"bernoulli", prior=Law())') + LAW
    Path("theirs.py").write_text(faulty)
    result = run("audit", "theirs.py:own", "--json")
    holds = {one["check"]: one["holds"] for one in json.loads(result.stdout)}
    assert result.exit_code == 1 and holds["mass_sums"] is False


def test_grey_rows_are_refused_until_it_is_said_how_their_bits_are_made() -> None:
    words = ("score", "theirs.py:make", "grey.npy", "--adapt", "pythae", "-k", 3)
    assert "binarise" in refused(*words)
    drawn, cut = (document(*words, "--binarise", how) for how in ("dynamic", "0.5"))
    assert drawn["n"] == cut["n"] == 400
    python = view("pythae", make("theirs.py", "make", any_object=True)).score(  # type: ignore[union-attr]
        (np.load("grey.npy") > 127.5).astype(int), k=3
    )
    assert cut["log_likelihood"]["value"] == pytest.approx(python.mean().value, abs=1e-5)
    assert drawn["log_likelihood"]["value"] != cut["log_likelihood"]["value"]
    jensen.fit("independent", "iris").save("run")
    assert "a run knows" in refused("score", "run", "iris", "--binarise", "0.5")


@pytest.mark.parametrize(
    "words",
    [
        ("score", "theirs.py:make", "bits.npy"),  # an object of pythae, without saying so
        ("score", "theirs.py:other", "bits.npy", "--adapt", "pythae"),
        ("score", "theirs.py", "bits.npy"),
        ("score", "theirs.py:nobody", "bits.npy"),
        ("score", "theirs.py:own", "bits.npy", "--adapt", "pythae"),
        ("tightness", "theirs.py:other"),
        ("tightness", "theirs.py:make", "--adapt", "pythae", "-n", "1"),
        ("tightness", "theirs.py:make", "--adapt", "pythae", "--levels", "-1"),
        ("tightness", "theirs.py:make", "--adapt", "pythae", "--width", "0"),
        ("audit", "theirs.py:other", "--adapt", "pythae"),
    ],
)
def test_what_is_no_autoencoder_is_refused(words: tuple[str, ...]) -> None:
    refused(*words)
    with pytest.raises(UsageError, match="no context"):
        view("pythae", object(), context=torch.zeros(1))


def test_tightness_prints_what_python_finds(tmp_path: Path) -> None:
    fitted = jensen.fit("ppca", "iris", posterior="diagonal")
    fitted.save(tmp_path / "run")
    words = ("tightness", tmp_path / "run", "-n", 30, "-k", 16, "--levels", 10, "--seed", 3)
    found = document(*words)
    python = jensen.tightness(fitted, 30, 16, levels=10, seed=3).to_dict()
    assert found == {"run": str(tmp_path / "run"), "model": "ppca", **json.loads(json.dumps(python))}
    assert found["gap"]["kind"] == "upper" and found["gap"]["value"] == pytest.approx(
        found["upper"]["value"] - found["lower"]["value"], abs=1e-9
    )
    text = run(*words).stdout
    assert "rows simulated from this model: 30 rows" in text and text.count("loose by") == 3
    assert document(*words[:-4], "--levels", 0)["annealed_gap"] is None
    jensen.fit("independent", "iris").save(tmp_path / "exact")
    assert "latents" in refused("tightness", tmp_path / "exact")
