"""`jensen embed`: features on disk, probes and neighbours of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import jensen
from jensen.cli import cli

SMALL = ("--model", "encoder", "--steps", "30", "--set", "width=16", "--set", "features=8", "--quiet")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh folder to stand in, and one thread also for verbs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def told(*words: str, code: int = 0) -> str:
    result: Result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def flowers() -> Path:
    """A table with a column of classes."""
    generator = np.random.default_rng(0)
    kind = generator.integers(2, size=120)
    x = generator.normal(size=(120, 3)) + 3 * kind[:, None]
    lines = [f"{a:.4f},{b:.4f},{c:.4f},{'rose' if k else 'iris'}" for (a, b, c), k in zip(x, kind)]
    Path("flowers.csv").write_text("\n".join(["a,b,c,kind", *lines, ""]))
    return Path("flowers.csv")


def test_features_on_disk_are_those_of_the_run_in_the_order_of_the_rows() -> None:
    flowers()
    said = told("fit", "flowers.csv", "--drop", "kind", *SMALL, "--out", "run")
    assert "contrastive loss" in said and "a guess has" in said and "jensen embed run" in said
    fitted = jensen.load("run")
    rows = np.loadtxt("flowers.csv", delimiter=",", skiprows=1, usecols=(0, 1, 2))
    expected = fitted.embed(rows)
    told("embed", "run", "flowers.csv", "--drop", "kind", "--out", "h.parquet")
    told("embed", "run", "flowers.csv", "--drop", "kind", "--out", "h.npy")
    table = pq.read_table("h.parquet")
    assert table.column_names == [f"h{i}" for i in range(8)]
    assert np.array_equal(np.stack([column.to_numpy() for column in table.columns], 1), expected)
    assert np.array_equal(np.load("h.npy"), expected)


def test_a_probe_and_neighbours_are_told_in_words_and_in_json() -> None:
    flowers()
    told("fit", "flowers.csv", "--drop", "kind", *SMALL, "--out", "run")
    document = json.loads(
        told("embed", "run", "flowers.csv", "--probe", "kind", "--neighbours", "5", "--json")
    )
    assert document["n"] == 120 and document["d"] == 8
    lines = {
        (x["features"], x["protocol"], x["labels"]): x["accuracy"]["value"]
        for x in document["probe"]["lines"]
    }
    assert lines["raw rows", "linear", 84] > 0.9 and document["probe"]["classes"] == ["iris", "rose"]
    h = jensen.load("run").embed(np.loadtxt("flowers.csv", delimiter=",", skiprows=1, usecols=(0, 1, 2)))
    cosines = h @ h[5] / np.linalg.norm(h, axis=1) / np.linalg.norm(h[5])
    expected = [int(i) for i in np.argsort(-cosines) if i != 5][:8]
    assert [one["row"] for one in document["neighbours"]] == expected
    said = told("embed", "run", "flowers.csv", "--probe", "kind", "--neighbours", "5")
    assert all(words in said for words in ("untrained encoder", "the encoder was frozen", "nearest to row 5"))


def test_the_probe_of_the_rows_of_a_fit_is_of_its_held_out_part() -> None:
    told("fit", "digits", *SMALL, "--out", "run")
    found = json.loads(told("embed", "run", "digits", "--probe", "label", "--json"))["probe"]
    assert found["n"] == 497 and found["hash"] == jensen.load("run").record["data"]["hash"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["digits"], "--probe or --neighbours"),
        (["digits", "--out", "h.png"], ".parquet"),
        (["digits", "--neighbours", "1797"], "0 to 1796"),
        (["wine", "--out", "h.npy"], "expected rows of shape"),
        (["digits", "--probe", "kind"], "kind"),
    ],
)
def test_what_cannot_be_done_is_told(words: list[str], said: str) -> None:
    told("fit", "digits", *SMALL, "--out", "run")
    assert said in " ".join(told("embed", "run", *words, code=2).split())


def test_a_model_without_features_is_named() -> None:
    told("fit", "digits", "--model", "independent", "--quiet", "--out", "run")
    assert "cannot embed" in told("embed", "run", "digits", "--out", "h.npy", code=2)
    assert not Path("h.npy").exists()


@pytest.mark.parametrize("told_of", [(), ("--context", "kind")])
def test_the_latents_of_a_vae_are_features_too(told_of: tuple[str, ...]) -> None:
    """Written as its own embed gives them; a probe is for those that are not told the labels."""
    flowers()
    size = ("--steps", "30", "--set", "latents=2", "--set", "hidden=[8]", "--quiet", "--out", "run")
    told("fit", "flowers.csv", "--model", "vae", *(told_of or ("--drop", "kind")), *size)
    told("embed", "run", "flowers.csv", *(() if told_of else ("--drop", "kind")), "--out", "h.npy")
    fitted = jensen.load("run")
    rows = np.loadtxt("flowers.csv", delimiter=",", skiprows=1, usecols=(0, 1, 2))
    kinds = [line.rpartition(",")[2] for line in Path("flowers.csv").read_text().split()[1:]]
    assert np.array_equal(np.load("h.npy"), fitted.embed(rows, context=kinds if told_of else None))
    said = told("embed", "run", "flowers.csv", "--probe", "kind", code=2 if told_of else 0)
    assert ("fit without context" if told_of else "untrained encoder") in " ".join(said.split())


def test_a_lens_is_named_by_its_run_and_its_numbers_are_in_text_json_and_report() -> None:
    told("fit", "digits", *SMALL, "--out", "eye")
    asked = ("compare", "digits", "--models", "independent", "--lens", "eye", "--quiet")
    document = json.loads(told(*asked, "--json"))
    said = told(*asked, "--overwrite")
    assert (
        document["lens"]["name"] in said
        and document["lens"]["hash"] in Path("report/digits.html").read_text()
    )
    assert "rotate=10" in said and "Frechet multiple" in said
    assert "runs/none" in told("compare", "digits", "--lens", "runs/none", "--overwrite", code=2)
