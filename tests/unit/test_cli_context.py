"""A context on the command line: columns, files, labels, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from jensen.cli import cli
from jensen.cli.wording import as_options
from jensen.models import CATALOGUE


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder to stand in, one thread, and the conditional test models in the catalogue."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setitem(CATALOGUE, "sites", "conditional_models:Sites")
    table().to_csv("flags.csv", index=False)
    return tmp_path


def table() -> pd.DataFrame:
    """Bits that the columns kind and size decide."""
    kind, size = np.arange(300) % 3, np.arange(300) % 2
    bits = {
        f"b{i}": ((kind == i) ^ (np.random.default_rng(i).random(300) < 0.1)).astype(int) for i in range(3)
    }
    return pd.DataFrame({**bits, "b3": size, "kind": np.array(list("abc"))[kind], "size": size})


FIT = ("--model", "sites", "--steps", "300", "--set", "rate=0.05", "--set", "average=0", "-q")


def jensen(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="jensen", catch_exceptions=False)


def document(*words: object) -> Any:
    result = jensen(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def error(*words: object) -> dict[str, str]:
    result = jensen(*words, "--json")
    assert result.exit_code == 2, result.output
    return json.loads(result.stdout)["error"]


def test_a_column_is_conditioned_on_sampled_for_and_scored_with() -> None:
    made = document("fit", "flags.csv", *FIT, "--context", "kind", "--context", "size", "--out", "run")
    assert made["context"] == ["kind", "size"]
    held_out = document("score", "run", "flags.csv")
    assert (held_out["part"], held_out["context"]) == ("held-out", ["kind", "size"])
    assert held_out["log_likelihood"]["value"] == pytest.approx(made["log_likelihood"]["value"], abs=1e-6)
    assert held_out["log_likelihood"]["how"]["context"] == ["kind", "size"]
    drawn = document(
        "sample", "run", "-n", 200, "--seed", 1, "--context", "kind=b", "--context", "size=0", "-q"
    )
    assert drawn["context"] == ["kind=b", "size=0"]
    assert np.rint(np.mean(drawn["rows"], axis=0)).tolist() == [0, 1, 0, 0]
    new = table().iloc[:40].drop(columns=["kind", "size"])
    new.to_csv("new.csv", index=False)
    table().iloc[:40][["kind", "size"]].to_csv("given.csv", index=False)
    table().iloc[:40].to_csv("both.csv", index=False)
    beside = document("score", "run", "new.csv", "--context", "given.csv")
    within = document("score", "run", "both.csv")
    assert beside["log_likelihood"] == within["log_likelihood"] and beside["n"] == 40
    assert "given kind, size" in jensen("score", "run", "flags.csv").output


def test_the_label_of_an_example_and_a_file_of_classes(own_folder: Path) -> None:
    done = jensen("fit", "digits", *FIT, "--context", "label", "--out", "run")
    assert done.exit_code == 0 and "jensen sample run -n 16 --context 0 --out samples" in done.output
    assert "given label" in done.output
    same = document("score", "run", "digits", "--context", "label")
    assert same == document("score", "run", "digits")
    assert same["part"] == "held-out" and same["n"] == 497
    assert document("score", "run", "digits", "--context", 3)["log_likelihood"] != same["log_likelihood"]
    assert jensen("sample", "run", "-n", 4, "--context", 7, "--out", "sevens", "-q").exit_code == 0
    assert len(list(Path("sevens").iterdir())) == 4
    np.save("x.npy", table()[["b0", "b1", "b2"]].to_numpy(np.uint8))
    np.save("who.npy", table()["kind"].to_numpy(str))
    assert document("fit", "x.npy", *FIT, "--context", "who.npy", "--out", "r2")["context"] == ["who"]
    assert document("score", "r2", "x.npy", "--context", "who.npy")["part"] == "held-out"


def test_a_comparison_given_a_context_says_so() -> None:
    record = document("compare", "flags.csv", "--models", "sites", "--steps", 20, "--context", "kind", "-q")
    assert record["title"] == "flags.csv given kind"
    assert record["models"][0]["log_likelihood"]["how"]["context"] == ["kind"]


def test_what_is_wrong_with_a_context_is_said_in_three_parts_and_as_options() -> None:
    jensen("fit", "flags.csv", *FIT, "--context", "kind", "--out", "run", "--overwrite")
    jensen("fit", "flags.csv", *FIT, "--drop", "kind", "--out", "plain")
    wrong = {
        "a": error("fit", "flags.csv", *FIT, "--context", "knd"),
        "b": error("fit", "flags.csv", "--model", "independent", "--context", "kind"),
        "c": error("sample", "run", "-q"),
        "d": error("sample", "run", "--context", "z", "-q"),
        "e": error("sample", "plain", "--context", "a", "-q"),
        "f": error("compare", "flags.csv", "--models", "independent", "--context", "kind", "-q"),
        "g": error("sample", "run", "--context", "kind=a", "--context", "sise=1", "-q"),
        "h": error("compare", "flags.csv", "--runs", "run", "-q"),
    }
    assert all(one["wrong"] and one["given"] and one["do"] for one in wrong.values())
    assert "kind" in wrong["a"]["do"]
    assert wrong["b"]["do"].startswith("leave --context out")
    assert wrong["c"]["do"] == "pass --context: kind (a, b, c)"
    assert "known: a, b, c" in wrong["d"]["do"]
    assert "without a context" in wrong["e"]["wrong"]
    assert "did you mean" in wrong["g"]["do"] or "known: kind" in wrong["g"]["do"]
    assert not Path("runs").exists()


def test_models_say_which_of_them_take_a_context() -> None:
    facts = {one["name"]: one for one in document("models")}
    assert facts["sites"]["takes_context"] and not facts["independent"]["takes_context"]
    assert all("context" not in [a["name"] for a in one["arguments"]] for one in facts.values())
    assert "--context" in jensen("models", "sites").output


def test_texts_of_the_library_name_the_option() -> None:
    assert as_options("pass context='setosa'") == "pass --context setosa"
    assert (
        as_options("leave context out, or fit with context") == "leave --context out, or fit with --context"
    )
