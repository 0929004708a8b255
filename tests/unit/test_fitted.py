"""Fitted models: scores in the user's units, runs on disk, and what loading refuses."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.errors import Cannot, DataError, OutputError, SpaceError, UsageError
from jensen.model import Model
from jensen.quantity import Kind
from jensen.space import Space


@pytest.fixture(scope="module")
def digits() -> jensen.Rows:
    return jensen.rows("digits")


@pytest.fixture(scope="module")
def fitted(digits: jensen.Rows) -> jensen.Fitted:
    return jensen.fit("made", digits, steps=20, hidden=[16])


class Exported(Model):
    """A model outside the catalogue."""

    accepts = frozenset({"real"})

    def __init__(self, space: Space, width: int = 2) -> None:
        super().__init__(space)
        self.w = nn.Parameter(torch.zeros(width))

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return -0.5 * (x.square() + math.log(2 * math.pi)).sum(1) + 0 * self.w.sum()


def test_a_loaded_run_scores_and_samples_as_the_saved_one(
    fitted: jensen.Fitted, digits: jensen.Rows, tmp_path: Path
) -> None:
    again = jensen.load(fitted.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.score(digits).values, fitted.score(digits).values)
    np.testing.assert_array_equal(again.sample(3, seed=1), fitted.sample(3, seed=1))
    assert again.history == fitted.history
    assert again.space == digits.space


def test_scores_are_in_the_units_of_the_rows() -> None:
    x = np.random.default_rng(0).normal(5.0, 2.0, (500, 2))
    metres = jensen.fit("independent", jensen.rows(x))
    millimetres = jensen.fit("independent", jensen.rows(1000 * x))
    change = millimetres.score(1000 * x[:9]).values - metres.score(x[:9]).values
    # a density in 1/mm^2 is a millionth of one in 1/m^2; float32 rows limit the agreement
    np.testing.assert_allclose(change, -2 * math.log(1000), atol=1e-3)


def test_the_independent_model_counts() -> None:
    rows = np.array([[0, 1], [0, 2], [1, 2], [0, 0]] * 25)
    fitted = jensen.fit("independent", jensen.rows(rows, kinds="categorical"), smoothing=1.0)
    train = jensen.rows(rows, kinds="categorical").train
    for value in range(3):
        expected = ((train[:, 1] == value).sum() + 1) / (len(train) + 3)
        got = math.exp(
            fitted.score(np.array([[0, value]])).values[0] - fitted.score(np.array([[0, 0]])).values[0]
        )
        base = ((train[:, 1] == 0).sum() + 1) / (len(train) + 3)
        assert got == pytest.approx(expected / base, rel=1e-5)


def test_the_mixture_is_the_density_that_scikit_learn_fitted() -> None:
    from sklearn.mixture import GaussianMixture

    rows = jensen.rows("iris")
    fitted = jensen.fit("mixture", rows, components=3, seed=0)
    assert torch.isfinite(fitted.model.log_weight).all()
    z = (rows.train - rows.train.mean(0)) / rows.train.std(0)
    peer = GaussianMixture(3, reg_covar=1e-3, random_state=0, max_iter=100).fit(
        z.astype(np.float32).astype(float)
    )
    test = (rows.test - rows.train.mean(0)) / rows.train.std(0)
    expected = peer.score_samples(test) - np.log(rows.train.std(0)).sum()
    # rows pass through float32: 1e-7 relative in z, times a log-density slope of up to some hundreds
    np.testing.assert_allclose(fitted.score(rows).values, expected, atol=1e-3)


def test_the_mixture_takes_no_more_components_than_held_out_rows_reward() -> None:
    rows = np.random.default_rng(0).normal(size=(150, 13))
    fitted = jensen.fit("mixture", rows, components=10)
    assert int(fitted.model.log_weight.isfinite().sum()) == 1
    assert np.isfinite(fitted.score(rows).values).all()
    assert np.isfinite(fitted.sample(50, seed=0)).all()


def test_a_density_of_levels_is_printed_as_a_lower_bound(digits: jensen.Rows) -> None:
    scores = jensen.fit("mixture", digits, components=1).score(digits, k=2)
    assert scores.kind is Kind.LOWER and scores.measure == "mass" and scores.how["k"] == 2
    assert scores.bits_per_dim.kind is Kind.UPPER


def test_more_noise_draws_tighten_the_bound(digits: jensen.Rows) -> None:
    fitted = jensen.fit("mixture", digits, components=1)
    loose, tight = (fitted.score(digits.test, k=k).mean().value for k in (1, 64))
    assert tight > loose


def test_rows_of_another_width_are_refused_with_a_hint(fitted: jensen.Fitted) -> None:
    table = jensen.fit("independent", jensen.rows("wine"))
    with pytest.raises(SpaceError, match="label column"):
        table.score(np.ones((5, 14)))
    with pytest.raises(SpaceError):
        fitted.score(np.zeros((5, 1, 9, 8)))


def test_levels_out_of_range_are_refused(fitted: jensen.Fitted) -> None:
    with pytest.raises(SpaceError, match="17 levels"):
        fitted.score(np.full((2, 1, 8, 8), 17))


def test_what_a_model_cannot_do_raises_cannot(fitted: jensen.Fitted, digits: jensen.Rows) -> None:
    with pytest.raises(Cannot, match="embed"):
        fitted.embed(digits)
    with pytest.raises(Cannot, match="cannot sample"):
        jensen.fit(Exported, np.random.default_rng(0).normal(size=(50, 2)), steps=2).sample(3)


@pytest.mark.parametrize("n", [0, -1])
def test_no_rows_cannot_be_sampled(fitted: jensen.Fitted, n: int) -> None:
    with pytest.raises(UsageError, match=f"n={n}"):
        fitted.sample(n)


def test_a_folder_with_something_in_it_is_refused_unless_overwritten(
    fitted: jensen.Fitted, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for overwrite, said in ((False, "not empty"), (True, "other files")):
        with pytest.raises(OutputError, match=said):
            fitted.save(tmp_path, overwrite=overwrite)
    (tmp_path / "notes.txt").rename(tmp_path / "aside")
    (tmp_path / "run").mkdir()
    fitted.save(tmp_path / "run")
    (tmp_path / "aside").rename(tmp_path / "run" / "notes.txt")
    fitted.save(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_a_full_disk_leaves_the_old_run_whole(
    fitted: jensen.Fitted, digits: jensen.Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        jensen.fit("independent", digits, out=tmp_path / "run", overwrite=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("damage", ["truncate", "remove", "swap", "garble"])
def test_a_damaged_run_is_refused(fitted: jensen.Fitted, tmp_path: Path, damage: str) -> None:
    folder = fitted.save(tmp_path / "run")
    weights = folder / "model.safetensors"
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "remove":
        weights.unlink()
    elif damage == "swap":
        other = jensen.fit("made", "digits", steps=1, hidden=[16], seed=9).save(tmp_path / "other")
        (other / "model.safetensors").replace(weights)
    else:
        (folder / "model.json").write_text("{")
    with pytest.raises(DataError):
        jensen.load(folder)


def test_a_class_outside_the_catalogue_is_loaded_only_when_passed(tmp_path: Path) -> None:
    fitted = jensen.fit(Exported, np.random.default_rng(0).normal(size=(50, 2)), steps=2, width=3)
    folder = fitted.save(tmp_path / "run")
    with pytest.raises(UsageError, match="not in the catalogue"):
        jensen.load(folder)
    assert jensen.load(folder, model=Exported).model.hyper == {"width": 3}


def test_a_run_of_a_newer_version_says_so(fitted: jensen.Fitted, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "run")
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(DataError, match="newer version"):
        jensen.load(folder)


def test_an_unknown_argument_of_a_model_is_a_usage_error(digits: jensen.Rows) -> None:
    with pytest.raises(UsageError, match="made does not take"):
        jensen.fit("made", digits, depth=3)


def test_an_unknown_model_names_the_nearest(digits: jensen.Rows) -> None:
    with pytest.raises(UsageError, match="did you mean pixelcnn"):
        jensen.fit("pixelcn", digits)


def test_nothing_is_written_when_the_input_is_bad(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        jensen.fit("made", np.full((20, 3), np.nan), out=tmp_path / "run")
    with pytest.raises(SpaceError):
        jensen.fit("pixelcnn", np.random.default_rng(0).normal(size=(50, 3)), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_samples_far_from_zero_keep_their_spread() -> None:
    seconds = 1.7e9 + np.random.default_rng(0).normal(size=(100, 3))
    for name in ("mixture", "independent"):
        drawn = jensen.fit(name, seconds).sample(500, seed=0)
        # float32 would give a single value: its neighbours lie 128 apart there
        assert drawn.std(0).min() > 0.7 and drawn.std(0).max() < 1.4


@pytest.mark.parametrize("seed", [-1, 2**40, 1.5, "a", None])
def test_a_seed_out_of_range_is_a_usage_error(seed: object) -> None:
    with pytest.raises(UsageError, match="seed"):
        jensen.fit("independent", "iris", seed=seed)


@pytest.mark.parametrize("model", [None, 3, nn.Linear, nn.Linear(2, 2)])
def test_what_is_no_model_is_a_usage_error(model: object) -> None:
    with pytest.raises(UsageError, match="expected a name"):
        jensen.fit(model, "iris")


@pytest.mark.parametrize(
    "name, hyper",
    [
        ("independent", {"smoothing": "abc"}),
        ("independent", {"smoothing": -5}),
        ("made", {"order": [0, 1]}),
        ("made", {"dropout": 2}),
        ("pixelcnn", {"layers": -1}),
        ("pixelcnn", {"channels": -3}),
        ("mixture", {"ridge": math.inf}),
        ("mixture", {"components": 2.5}),
    ],
)
def test_arguments_out_of_range_are_usage_errors(name: str, hyper: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        jensen.fit(name, "digits", steps=1, **hyper)


def test_a_model_that_does_not_give_one_number_a_row_is_told_so() -> None:
    class Summed(Exported):
        def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            return super().log_prob(x, c).sum()

    with pytest.raises(UsageError, match="one log-likelihood a row"):
        jensen.fit(Summed, np.random.default_rng(0).normal(size=(50, 2)), steps=2)


def test_a_mean_of_noisy_bounds_stays_a_bound_behind_dequantisation() -> None:
    class Noisy(Exported):
        log_prob = Model.log_prob

        def log_prob_lower(
            self, x: Tensor, c: Tensor | None = None, k: int = 1, generator: torch.Generator | None = None
        ) -> Tensor:
            exact = -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)
            return exact + 2 * torch.randn(
                len(x), generator=torch.Generator().manual_seed(int(1e6 * x.abs().sum()))
            )

    from jensen.codec import codec_for
    from jensen.scoring import log_likelihood

    rows = np.random.default_rng(0).integers(0, 2, (400, 1))
    codec = codec_for(frozenset({"real"}), Space.binary(1), torch.from_numpy(rows))
    values, kind, _ = log_likelihood(Noisy(codec.model_space), codec, rows, k=64)
    assert kind is Kind.LOWER
    # noise of variance 4 in the bound: a log-mean-exp of 64 draws would add almost 2 nats and exceed the mass
    assert values.mean() + 5 * values.std() / 20 < 0


def test_damage_in_the_record_is_named(fitted: jensen.Fitted, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "run")
    record = json.loads((folder / "model.json").read_text())
    for part, key in (("model", "space"), ("codec", "space")):
        broken = {**record, part: {k: v for k, v in record[part].items() if k != key}}
        (folder / "model.json").write_text(json.dumps(broken))
        with pytest.raises(DataError, match="damaged"):
            jensen.load(folder)


def test_resume_of_a_solved_model_leaves_the_checkpoint_of_another_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"somebody's work")
    with pytest.raises(UsageError, match="solved in one call"):
        jensen.fit("independent", "digits", out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == b"somebody's work"
    with pytest.raises(UsageError, match="needs the folder"):
        jensen.fit("made", "digits", steps=2, resume=True)


def test_a_disk_that_fills_between_two_files_leaves_the_old_run_whole(
    fitted: jensen.Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fitted.save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(*args: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("jensen.fitted.card_text", full)  # after the weights and the history
    with pytest.raises(OutputError, match="No space left"):
        jensen.fit("made", "digits", steps=1, hidden=[16]).save(folder, overwrite=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_only_autoregressive_models_are_sampled_at_a_temperature() -> None:
    rows = jensen.rows("digits")
    with pytest.raises(Cannot) as refused:
        jensen.fit("independent", rows).sample(2, temperature=0.5)
    assert refused.value.given and refused.value.do
    made = jensen.fit("made", rows, steps=20, hidden=[16])
    plain = made.sample(4, seed=1)
    assert np.array_equal(plain, made.sample(4, seed=1, sampler="naive"))
    assert not np.array_equal(plain, made.sample(4, seed=1, temperature=0.3))
    with pytest.raises(UsageError, match="temperature"):
        made.sample(4, temperature=-1)


@pytest.mark.parametrize("name", ["independent", "made", "vae", "gan", "encoder"])
@pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning")  # two steps are a poor fit
def test_a_fitted_model_is_in_evaluation_mode(name: str) -> None:
    fitted = jensen.fit(name, "iris", plan=jensen.Plan(steps=2))
    assert not any(part.training for part in fitted.model.modules())
