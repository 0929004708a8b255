"""Adversarial fits from the user's side: trained, resumed, saved, conditioned, doubted, refused."""

from __future__ import annotations

import itertools
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import jensen
from jensen.adversary import Discriminate
from jensen.costs import COSTS
from jensen.errors import Cannot, JensenWarning, SpaceError, UsageError
from jensen.models.gan import GAN
from jensen.objectives import parse_objective
from jensen.objectives.adversarial import PRESETS, Adversarial
from jensen.plan import Plan
from jensen.player import Player
from jensen.space import Column, Space
from jensen.train import Interrupted

SMALL: dict[str, Any] = {"latents": 4, "width": 16, "depth": 1}
QUICK = Plan(batch=32, checks=1)


def line(n: int = 300, seed: int = 0) -> np.ndarray:
    """Two columns of one law on a line: y = x."""
    x = np.random.default_rng(seed).normal(size=(n, 1))
    return np.concatenate([x, x + 0.05 * np.random.default_rng(seed + 1).normal(size=(n, 1))], axis=1)


def quiet(*arguments: Any, **named: Any) -> jensen.Fitted:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JensenWarning)  # such short fits are doubtful, and say so
        return jensen.fit(*arguments, **named)


def test_samples_come_to_lie_where_the_rows_do() -> None:
    fitted = quiet("gan", line(), steps=150, plan=Plan(batch=64, checks=1, steps=150), **SMALL)
    before, after = (quiet("gan", line(), steps=1, **SMALL), fitted)
    off = [np.abs(np.diff(one.sample(500, seed=0))).mean() for one in (before, after)]
    assert off[1] < off[0] / 3 and after.sample(500, seed=0).std(0).min() > 0.5
    with pytest.raises(Cannot):
        fitted.score(line())


@pytest.mark.parametrize("cost", COSTS)
def test_every_cost_trains_and_repeats(cost: str) -> None:
    one, other = (
        quiet("gan", line(), objective=f"adversarial:cost={cost}", steps=6, plan=QUICK, **SMALL)
        for _ in range(2)
    )
    assert np.array_equal(one.sample(9, seed=0), other.sample(9, seed=0))
    assert all(np.isfinite(one.sample(9, seed=0)).ravel())


@pytest.mark.parametrize(
    "options",
    ["norm=spectral,dropout=0.3", "augment=true", "r1=1,r2=1,norm=none", "d_repeats=3,d_pace=2", "pack=2"],
)
@pytest.mark.parametrize("resumed_at", [9])
def test_a_resumed_game_ends_with_the_weights_of_an_uninterrupted_one(
    options: str, resumed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: the discriminator, both optimisers and the noise are in the checkpoint."""
    rows = jensen.rows(np.asarray(jensen.rows("digits").test)[:120])
    settings: dict[str, Any] = {
        "objective": f"adversarial:{options}",
        "steps": 12,
        "plan": QUICK,
        "channels": 4,
    }
    whole = quiet("gan", rows, **settings)
    played, play = itertools.count(1), Player.play
    with monkeypatch.context() as patch:
        patch.setattr(
            Player,
            "play",
            lambda self, *batch: (
                signal.raise_signal(signal.SIGINT) if next(played) == resumed_at else None,
                play(self, *batch),
            )[1],
        )
        with pytest.raises(Interrupted):
            quiet("gan", rows, out=tmp_path / "r", **settings)
    again = quiet("gan", rows, out=tmp_path / "r", resume=True, **settings)
    pairs = zip(whole.model.state_dict().values(), again.model.state_dict().values())
    assert all(torch.equal(a, b) for a, b in pairs)
    loaded = jensen.load(tmp_path / "r")
    assert np.array_equal(loaded.sample(5, seed=3), whole.sample(5, seed=3))


def test_a_table_of_mixed_discrete_columns_is_sampled_in_its_own_values() -> None:
    space = Space(
        (3,),
        (Column("categorical", 3, labels=("a", "b", "c")), Column("levels", 5, 10.0, 2.0), Column("binary")),
    )
    rng = np.random.default_rng(0)
    code = rng.integers(0, 3, 300)
    values = np.stack([code, 10 + 2 * code, code > 1], 1)
    drawn = quiet("gan", values, space=space, steps=5, plan=QUICK, **SMALL).sample(100, seed=0)
    space.check(drawn)
    assert len(np.unique(drawn[:, 1])) > 1


def test_samples_follow_the_class_they_are_given() -> None:
    rows = jensen.rows("iris", context="label")
    fitted = quiet("gan", rows, plan=Plan(steps=250, batch=64, checks=1), **SMALL)
    petal = [fitted.sample(200, seed=0, context=label)[:, 2].mean() for label in ("setosa", "virginica")]
    assert petal[0] < 2.6 < 3.8 < petal[1]  # 1.46 and 5.55 in the data


def test_both_turns_use_one_batch_of_samples_and_each_moves_its_own_network() -> None:
    model = GAN(Space.real(2), **SMALL)
    calls = []
    draw = model.draw
    model.draw = lambda *a, **k: calls.append(1) or draw(*a, **k)  # type: ignore[method-assign]
    turns = Adversarial(dropout=0.1).turns(model)
    mine = {id(p) for p in model.parameters()}
    assert not mine & {id(p) for p in turns[0].moves} and mine == {id(p) for p in turns[1].moves}
    for turn in turns:
        Player(turn, Plan()).play(torch.randn(8, 2), None, 1e-3)  # a stray gradient would raise
    assert len(calls) == 1
    assert isinstance(turns[0], Discriminate) and not any(turn.steady for turn in turns)


def test_the_watched_number_is_a_bound_by_a_fresh_critic_and_leaves_the_model_as_it_was() -> None:
    model = GAN(Space.real(2), **SMALL).train()
    x, before = torch.randn(100, 2), torch.get_rng_state()
    found = Adversarial().monitor(model, x, None, 0)
    assert model.training and torch.equal(before, torch.get_rng_state())
    assert found.kind is jensen.Kind.UPPER and -0.7 < found.value < 0.1 and 0 <= found.how["coverage"] <= 1
    few = Adversarial().monitor(model, x[:20], None, 0)
    assert -1 <= few.value <= 0


def test_a_collapsed_generator_is_doubted_and_a_good_one_is_not() -> None:
    model = GAN(Space.real(2), **SMALL)
    x = torch.randn(400, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()  # every sample is the origin
    assert [note.doubtful for note in model.notes(x)] == [True]
    model.sample = lambda n, c=None, generator=None: torch.randn(n, 2)  # type: ignore[method-assign]
    assert [note.doubtful for note in model.notes(x)] == [False]
    assert model.notes(x[:6]) == []


def test_half_precision_leaves_the_rows_and_the_penalties_in_full() -> None:
    rows = jensen.rows(np.asarray(jensen.rows("digits").test)[:120])
    plan = Plan(batch=32, checks=1, precision="bf16")
    fitted = quiet("gan", rows, objective="adversarial:r1=1,norm=none", steps=3, plan=plan, channels=4)
    assert np.isfinite(fitted.history[-1]["loss"])


@pytest.mark.parametrize("last, kept", [(-0.3, 60), (-0.6, 40)])
def test_of_checks_within_noise_the_later_weights_are_kept(
    last: float, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([-0.5, -0.2, last])

    def monitor(*_: Any) -> jensen.Quantity:
        value = next(values)
        return jensen.Quantity(value, jensen.Kind.UPPER, "nats", interval=(value - 0.15, value + 0.15))

    monkeypatch.setattr(Adversarial, "monitor", monitor)
    fitted = quiet("gan", line(), plan=Plan(steps=60, batch=32, checks=3), **SMALL)
    assert fitted.record["run"]["best_step"] == kept


def test_what_a_penalty_rules_out_is_left_out() -> None:
    """No batch norm where a slope is penalised, and no R1 of the preset beside the Wasserstein penalty."""
    image, vector = GAN(Space.levels((1, 8, 8), 17), channels=2), GAN(Space.real(2), **SMALL)

    def normed(objective: Adversarial) -> bool:
        return any(
            isinstance(m, torch.nn.BatchNorm2d) for m in objective.turns(image)[0].game.critic.modules()
        )

    assert (
        normed(Adversarial()) and not normed(Adversarial(r1=0.1)) and not normed(Adversarial(cost="wgan-gp"))
    )
    rules = Adversarial(cost="wgan-gp").turns(vector)[0].game.rules
    assert (rules.r1, rules.r2, rules.penalty) == (0, 0, 10)


def test_settings_left_at_their_defaults_become_those_of_the_preset() -> None:
    fitted = quiet("gan", line(), steps=2, plan=Plan(batch=16), **SMALL)
    loop = PRESETS["table"].loop
    told = fitted.record["plan"]
    assert (told["batch"], told["rate"], told["patience"]) == (16, loop["rate"], 0)


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("adversarial:cost=hings", "hinge"),
        ("adversarial:preset=slow", "preset"),
        ("adversarial:norm=layer", "norm"),
        ("adversarial:r1=-1", "r1"),
        ("adversarial:pack=1.5", "pack"),
        ("adversarial:dropout=1", "dropout"),
        ("adversarial:augment=2", "augment"),
        ("adversarial:d_pace=0", "d_pace"),
        ("adversarial:anneal=0", "anneal"),
    ],
)
def test_options_out_of_range_are_named(text: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        parse_objective(text)


def test_what_cannot_be_played_is_refused_before_training() -> None:
    with pytest.raises(Cannot, match="gradient"):
        jensen.fit("made", "digits", objective="adversarial", steps=1)
    with pytest.raises(UsageError, match="at once"):
        quiet("gan", line(), objective="adversarial:pack=64", steps=1, plan=QUICK, **SMALL)
    with pytest.raises(UsageError, match="images"):
        quiet("gan", line(), objective="adversarial:augment=true", steps=1, plan=QUICK, **SMALL)
    for mixing in ("norm=batch", "norm=batch,cost=wgan-gp"):
        with pytest.raises(UsageError, match="batch norm"):
            quiet("gan", line(), objective=f"adversarial:{mixing}", steps=1, plan=QUICK, **SMALL)
    with pytest.raises(SpaceError, match="images"):
        GAN(Space.real(3), net="conv")
    with pytest.raises(UsageError, match="latents"):
        GAN(Space.real(3), latents=0)
    with pytest.raises(UsageError, match="outputs"):
        GAN(Space.real(3), outputs="hard")


@pytest.mark.parametrize("size", [8, 15, 28, 64])
@pytest.mark.parametrize("net", ["conv", "residual"])
def test_images_of_any_size_come_out_at_their_own(size: int, net: str) -> None:
    model = GAN(Space.levels((3, size, size), 256), net=net, channels=2, latents=4)
    for turn in Adversarial(width=2).turns(model):
        assert torch.isfinite(turn(model.sample(4)))
    assert model.sample(2).shape == (2, 3, size, size)
