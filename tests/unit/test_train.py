"""The loop: what it promises about seeds, budgets, bad gradients, averages and resuming."""

from __future__ import annotations

import itertools
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.average import EVERY, Average
from jensen.codec import Integers
from jensen.errors import DataError, Diverged, OutOfMemory, UsageError
from jensen.feed import Feed
from jensen.model import Can, Model
from jensen.models import model_class
from jensen.models.made import MADE
from jensen.objective import Turn
from jensen.objectives import objective_for
from jensen.objectives.likelihood import Likelihood
from jensen.optimiser import Adam
from jensen.plan import Plan
from jensen.player import Player
from jensen.space import Space
from jensen.train import Interrupted, Moment, train

SMALL = {"hidden": [16]}


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def digits() -> jensen.Rows:
    return jensen.rows("digits")


class Location(Model):
    """N(m, 1) on real vectors: a model whose maximum likelihood is the mean of the rows."""

    accepts = frozenset({"real"})

    def __init__(
        self, space: Space, start: float = 0.0, fault_after: int = 10**9, fault: float = 1.0
    ) -> None:
        super().__init__(space)
        self.m = nn.Parameter(torch.full(space.shape, start))
        self.calls, self.fault_after, self.fault = 0, fault_after, fault

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        self.calls += self.training
        out = -0.5 * ((x - self.m).square() + math.log(2 * math.pi)).sum(1)
        return out * self.fault if self.training and self.calls > self.fault_after else out


def real_rows(n: int = 400, d: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(2.0, 3.0, (n, d))


def test_the_same_seed_gives_bitwise_the_same_weights_and_another_seed_does_not(digits: jensen.Rows) -> None:
    one, two, other = (jensen.fit("made", digits, steps=30, seed=seed, **SMALL) for seed in (1, 1, 2))
    assert same_weights(one.model, two.model)
    assert not same_weights(one.model, other.model)


def test_fitting_leaves_the_global_generator_as_it_was(digits: jensen.Rows) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    jensen.fit("made", digits, steps=3, **SMALL)
    assert torch.equal(torch.rand(3), expected)


@contextmanager
def press_at(step: int) -> Iterator[None]:
    """Press Ctrl-C in the middle of a step, whether or not the loop looks at its end."""
    played, play = itertools.count(1), Player.play

    def pressed(self: Player, x: Tensor, c: Tensor | None, rate: float) -> None:
        if next(played) == step:
            signal.raise_signal(signal.SIGINT)
        play(self, x, c, rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Player, "play", pressed)
        yield


def interrupt_at(step: int):
    def watch(moment: Moment) -> None:
        if moment.step >= step:
            signal.raise_signal(signal.SIGINT)

    return watch


@pytest.mark.parametrize("step", [20, 33, 47, 60, 61])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    digits: jensen.Rows, tmp_path: Path, dropout: float, step: int
) -> None:
    whole = jensen.fit("made", digits, steps=90, dropout=dropout, **SMALL)
    with pytest.raises(Interrupted, match="resume"), press_at(step):
        jensen.fit("made", digits, steps=90, out=tmp_path / "r", dropout=dropout, **SMALL)
    resumed = jensen.fit("made", digits, steps=90, out=tmp_path / "r", resume=True, dropout=dropout, **SMALL)
    assert same_weights(whole.model, resumed.model)
    strip = [[(row["step"], row["loss"], row["valid"]) for row in run.history] for run in (whole, resumed)]
    assert strip[0] == strip[1]
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "card.md",
        "history.csv",
        "model.json",
        "model.safetensors",
    ]


def test_a_resume_with_dequantisation_noise_is_exact(tmp_path: Path) -> None:
    rows = jensen.rows(np.random.default_rng(0).integers(0, 5, (300, 3)), kinds="levels")
    whole = jensen.fit(Location, rows, steps=60)
    with pytest.raises(Interrupted):
        jensen.fit(Location, rows, steps=60, out=tmp_path / "r", watch=interrupt_at(20))
    assert same_weights(
        whole.model, jensen.fit(Location, rows, steps=60, out=tmp_path / "r", resume=True).model
    )


def test_a_checkpoint_of_another_run_is_refused(digits: jensen.Rows, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        jensen.fit("made", digits, steps=90, out=tmp_path / "r", watch=interrupt_at(20), **SMALL)
    with pytest.raises(DataError, match="fingerprint"):
        jensen.fit("made", digits, steps=90, out=tmp_path / "r", resume=True, seed=1, **SMALL)


def test_resume_without_a_checkpoint_says_so(digits: jensen.Rows, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no interrupted run"):
        jensen.fit("made", digits, steps=9, out=tmp_path / "none", resume=True, **SMALL)
    assert not (tmp_path / "none").exists()


def test_a_nan_is_reported_and_the_last_good_weights_are_kept(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="not finite") as caught:
        jensen.fit(Location, real_rows(), steps=100, fault_after=50, fault=math.nan, out=tmp_path / "r")
    kept = caught.value.fitted
    assert torch.isfinite(kept.model.m).all() and kept.model.m.abs().max() > 0
    assert (
        jensen.load(tmp_path / "r", model=Location).record["run"]["stopped"].startswith("training diverged")
    )


def test_a_loss_that_climbs_far_above_its_start_is_divergence() -> None:
    with pytest.raises(Diverged, match="the loss went to"):
        jensen.fit(Location, real_rows(), steps=100, fault_after=50, fault=1e4)


def player_and_twin(clip: float, optimiser: str = "adam") -> tuple[Player, nn.Parameter, Turn]:
    class Quadratic(Turn):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))

        def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            return (self.w * x).square().sum()

    turn = Quadratic()
    plan = Plan(steps=1, rate=0.1, clip=clip, decay=0.01, optimiser=optimiser)
    return Player(turn, plan), turn.w, turn


def test_a_step_equals_plain_adamw_while_nothing_is_clipped() -> None:
    player, w, _ = player_and_twin(clip=1e9)
    twin = nn.Parameter(w.detach().clone())
    plain = torch.optim.AdamW([twin], lr=0.1, weight_decay=0.01, fused=False, foreach=False)
    for i in range(5):
        x = torch.tensor([0.5, 1.0, 2.0]) + i
        player.play(x, None, 0.1)
        (twin * x).square().sum().backward()
        plain.step()
        plain.zero_grad()
    # the same five updates in another order of operations: float32 rounding, about 1e-7 each
    torch.testing.assert_close(w, twin, rtol=1e-5, atol=1e-6)


def test_a_step_of_momentum_equals_plain_sgd_while_nothing_is_clipped() -> None:
    player, w, _ = player_and_twin(clip=1e9, optimiser="sgd")
    twin = nn.Parameter(w.detach().clone())
    plain = torch.optim.SGD([twin], lr=0.01, weight_decay=0.01, momentum=0.9, nesterov=True)
    for i in range(5):
        x = torch.tensor([0.5, 1.0, 2.0]) + i / 10
        player.play(x, None, 0.01)
        (twin * x).square().sum().backward()
        plain.step()
        plain.zero_grad()
    torch.testing.assert_close(w, twin, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_a_first_step_of_lars_is_a_thousandth_of_a_matrix_whatever_its_gradient(size: float) -> None:
    class Two(Turn):
        def __init__(self) -> None:
            super().__init__()
            self.matrix, self.bias = nn.Parameter(torch.eye(3) * 5), nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            return size * (self.matrix @ x + self.bias).sum()

    turn = Two()
    before = turn.matrix.detach().clone()
    Player(turn, Plan(steps=1, optimiser="lars")).play(torch.tensor([1.0, 2.0, 3.0]), None, 0.5)
    # Nesterov's first step is 1 + 0.9 of the gradient; a bias moves by its own gradient, here `size` in each place
    moved = (turn.matrix.detach() - before).norm().item()
    assert moved == pytest.approx(0.5 * 1.9 * 1e-3 * before.norm().item(), rel=1e-3)
    torch.testing.assert_close(turn.bias.detach(), torch.full((3,), -0.5 * 1.9 * size))


@pytest.mark.parametrize("optimiser", ["sgd", "lars"])
def test_momentum_leaves_out_gradients_that_are_not_finite_and_is_saved(optimiser: str) -> None:
    player, w, _ = player_and_twin(clip=2.0, optimiser=optimiser)
    player.play(torch.ones(3), None, 0.01)
    before, state = w.detach().clone(), {name: t.clone() for name, t in player.state().items()}
    player.play(torch.tensor([1.0, math.nan, 1.0]), None, 0.01)
    assert torch.equal(w, before) and player.read()[2] == 1
    other, _, _ = player_and_twin(clip=2.0, optimiser=optimiser)
    other.load(state)
    assert all(torch.equal(other.state()[name], tensor) for name, tensor in state.items())


def test_gradients_of_zero_move_nothing_and_break_nothing() -> None:
    player, w, _ = player_and_twin(clip=2.0)
    player.optimiser.decay = 0.0
    before = w.detach().clone()
    for _ in range(3):
        player.play(torch.zeros(3), None, 0.1)
    assert torch.equal(w, before) and player.read()[2] == 0


def test_a_gradient_above_the_running_length_is_shortened_to_it() -> None:
    player, w, _ = player_and_twin(clip=2.0)
    player.play(torch.ones(3), None, 1e-9)
    first = player.length.item()
    assert first == pytest.approx((2 * w.detach()).norm().item(), rel=1e-5)
    before = player.optimiser.first[0].clone()
    player.play(torch.ones(3) * 100, None, 1e-9)
    used = (player.optimiser.first[0] - 0.9 * before) / 0.1
    # Adam's average took in a gradient of twice the running length instead of 10,000 times
    assert used.norm().item() == pytest.approx(2 * first, rel=1e-3)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights() -> None:
    player, w, _ = player_and_twin(clip=2.0)
    player.play(torch.ones(3), None, 0.1)
    before = w.detach().clone()
    player.play(torch.tensor([1.0, math.inf, 1.0]), None, 0.1)
    player.play(torch.tensor([1.0, math.nan, 1.0]), None, 0.1)
    assert torch.equal(w, before)
    assert player.read()[2] == 2


def test_a_gradient_outside_the_moves_is_an_error() -> None:
    class Stray(Turn):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))

        @property
        def moves(self) -> list[nn.Parameter]:
            return [self.a]

        def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            return (self.a * self.b * x).sum()

    with pytest.raises(UsageError, match="does not move"):
        Player(Stray(), Plan(steps=1)).play(torch.ones(1), None, 0.1)


def test_turns_are_played_as_often_as_they_say() -> None:
    played: list[str] = []

    class Counting(Turn):
        def __init__(self, model: Model, name: str, every: int, repeats: int) -> None:
            super().__init__()
            self.model, self.name, self.every, self.repeats = model, name, every, repeats

        def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            played.append(self.name)
            return -self.model.log_prob(x).mean()

    class Game:
        needs = Can.LOG_PROB

        def turns(self, model: Model) -> list[Turn]:
            return [Counting(model, "often", 1, 2), Counting(model, "seldom", 3, 1)]

    jensen.fit(Location, real_rows(), steps=6, objective=Game())
    assert played == ["often", "often", "seldom", *["often"] * 4] * 2


def test_the_average_is_the_recursion_it_documents() -> None:
    layer = nn.Linear(2, 1, bias=False)
    average = Average(layer, 0.5)
    expected = layer.weight.detach().clone()
    for step in range(1, 4 * EVERY + 1):
        with torch.no_grad():
            layer.weight.add_(step)
        average.update(step)
        if step % EVERY == 0:
            t = step // EVERY - 1
            decay = min(0.5**EVERY, (1 + t) / (10 + t))
            expected = decay * expected + (1 - decay) * layer.weight.detach()
    live = layer.weight.detach().clone()
    with average.in_place():
        torch.testing.assert_close(layer.weight.detach(), expected)
    assert torch.equal(layer.weight.detach(), live)


def test_early_stopping_keeps_the_best_validated_weights() -> None:
    model = Location(Space.real(1), start=0.0)
    rows = np.full((64, 1), 10.0)
    feed = Feed(rows, _Plain(), 32, 0, torch.device("cpu"), torch.float32)
    seen: list[float] = []

    def validate() -> jensen.Quantity:
        seen.append(model.m.item())
        return jensen.Quantity(-abs(model.m.item() - 1.0))

    plan = Plan(steps=4000, rate=0.05, average=0.0, patience=3, checks=200)
    run = train(model, Likelihood(), feed, plan, validate=validate)
    assert "no better validation for 3 checks" in run.stopped
    assert model.m.item() == min(seen, key=lambda m: abs(m - 1.0))


class _Plain:
    """A codec that does nothing but make tensors."""

    random = False

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return x.float(), torch.zeros(len(x))


class OnDisk:
    """Rows that are not an array: the feed must stream them."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.shape = rows, rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: object) -> np.ndarray:
        return self.rows[index]


@pytest.mark.parametrize("wrap", [lambda x: x, OnDisk], ids=["memory", "disk"])
def test_batches_from_a_later_step_are_the_tail_of_all_batches(wrap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.feed.SHARD_BYTES", 8 * 100)
    rows = np.arange(730).reshape(-1, 1)
    feed = Feed(wrap(rows), Integers(Space.levels(1, 730)), 10, 3, torch.device("cpu"), torch.float32)
    source = feed.batches()
    whole = [next(source)[0] for _ in range(200)]
    later = feed.batches(150)
    assert all(torch.equal(next(later)[0], batch) for batch in whole[150:])
    # a shard on disk leaves out less than a batch of its rows: 73 batches in memory, at least 65 from 8 shards
    epoch = torch.cat(whole[:65]).flatten()
    assert len(epoch.unique()) == len(epoch)
    assert not torch.equal(whole[0], whole[73])


@pytest.mark.parametrize("wrap", [lambda x: x, OnDisk], ids=["memory", "disk"])
@pytest.mark.parametrize("levels", [2, 256, 257])
def test_batches_are_the_rows_however_few_bytes_they_are_kept_in(wrap, levels: int) -> None:
    rows = np.random.default_rng(0).integers(0, levels, (90, 3))
    rows[0] = levels - 1
    feed = Feed(wrap(rows), Integers(Space.levels(3, levels)), 30, 0, torch.device("cpu"), torch.float32)
    source = feed.batches()
    epoch = torch.cat([next(source)[0] for _ in range(3)])
    assert epoch.dtype == torch.int64
    assert sorted(epoch.tolist()) == sorted(rows.tolist())
    if feed.resident is not None:
        assert feed.resident.element_size() == (1 if levels <= 256 else 8)


def test_gradients_of_length_one_and_of_any_other_move_the_weights_alike() -> None:
    """Twice the gradient over a scale of 2 is the gradient, to the last bit."""
    moved = []
    for scale in (1.0, 2.0):
        weights = [torch.linspace(-1, 1, 7)]
        adam = Adam(weights, 0.01)
        for step in range(3):
            gradients = [scale * torch.linspace(0.1, 3, 7).pow(step + 1)]
            adam.step([0], weights, gradients, 0.1, torch.tensor(scale), torch.zeros(()))
        moved.append(weights[0])
    assert torch.equal(*moved) and not torch.equal(moved[0], torch.linspace(-1, 1, 7))


def test_every_batch_has_noise_of_its_own() -> None:
    from jensen.codec import Dequantise

    feed = Feed(
        np.zeros((8, 2), np.int64), Dequantise(Space.levels(2, 3)), 8, 0, torch.device("cpu"), torch.float32
    )
    source = feed.batches()
    first, second = next(source)[0], next(source)[0]
    assert len(torch.cat([first, second]).unique()) == 32


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": -3},
        {"steps": 2.5},
        {"seconds": 0.0},
        {"seconds": -1.0},
        {"seconds": math.nan},
        {"batch": 0},
        {"rate": 0.0},
        {"rate": math.inf},
        {"warmup": 1.0},
        {"average": 1.0},
        {"clip": 0.0},
        {"patience": -1},
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))):
        Plan(**settings)


def test_seconds_beside_steps_only_cut_off() -> None:
    both = Plan(steps=100, seconds=10.0)
    assert both.progress(50, 9.0) == 0.5
    assert both.spent(50, 10.0) and both.spent(100, 1.0) and not both.spent(99, 9.9)
    assert Plan(seconds=10.0).progress(10**6, 2.5) == 0.25


def test_a_run_of_steps_repeats_with_a_limit_of_seconds_that_it_does_not_reach(digits: jensen.Rows) -> None:
    alone = jensen.fit("made", digits, steps=30, **SMALL)
    limited = jensen.fit("made", digits, steps=30, seconds=600.0, **SMALL)
    assert same_weights(alone.model, limited.model)


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    plan = Plan(steps=100, rate=1.0, warmup=0.1)
    rates = [plan.rate_at(i / 100) for i in range(101)]
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) == pytest.approx(1.0) == pytest.approx(rates[10])
    assert rates[100] == pytest.approx(0.0, abs=1e-12)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_bf16_and_compiled_training_descend_the_same_loss() -> None:
    """bfloat16 keeps 8 bits: relative steps of 2^-8 in the products; the loss of a few steps agrees to a percent."""
    losses = {}
    for precision in ("float32", "bf16", "auto"):
        torch.manual_seed(0)
        model = MADE(Space.binary(16), (32,), dropout=0.0)
        x = torch.randint(2, (256, 16), generator=torch.Generator().manual_seed(0)).numpy()
        feed = Feed(x, Integers(model.space), 64, 0, torch.device("cpu"), torch.float32)
        run = train(model, Likelihood(), feed, Plan(steps=40, precision=precision, average=0))
        assert all(p.dtype == torch.float32 for p in model.parameters())
        losses[precision] = [row["loss"] for row in run.history]
    assert losses["auto"] == losses["float32"]  # no GPU: nothing changes
    assert losses["bf16"] != losses["float32"]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=1e-2)


@pytest.mark.parametrize("wrong", [{"precision": "float16"}, {"compile": 1}])
def test_a_plan_refuses_words_it_does_not_know(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Plan(**wrong)
    assert caught.value.given and caught.value.do


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hyper"), [("made", {"hidden": [16]}), ("transformer", {"width": 16, "layers": 1})]
)
def test_a_compiled_training_goes_the_same_way(digits: jensen.Rows, name: str, hyper: dict[str, Any]) -> None:
    """Fused operations round otherwise: 40 steps in float32 agree to a thousandth."""
    losses = []
    for compiled in (False, True):
        plan = Plan(steps=40, compile=compiled)
        losses.append(
            [row["loss"] for row in jensen.fit(name, digits, plan=plan, dropout=0.0, **hyper).history]
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


class Spiky(Location):
    """Every tenth batch has a row so far out that its loss is a million."""

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().log_prob(x) - (1e6 if self.training and self.calls % 10 == 0 else 0.0)


def test_a_row_far_out_is_no_divergence() -> None:
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).numpy()
    fitted = jensen.fit(Spiky, x, steps=200, plan=Plan(patience=0))
    assert fitted.history[-1]["step"] == 200 and fitted.history[-1]["loss"] > 1e4


class Once(Location):
    """A model whose loss is not a number in three steps, and is well afterwards."""

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        out = super().log_prob(x)
        return out * (math.nan if self.training and 50 <= self.calls < 53 else 1.0)


def test_a_spike_goes_back_to_the_last_good_weights_with_half_the_rate_and_the_history_says_so(
    tmp_path: Path,
) -> None:
    plan = Plan(steps=200, patience=0, rate=0.1, warmup=0)
    fitted = jensen.fit(Once, real_rows(), plan=plan, out=tmp_path / "r")
    (event,) = [row for row in fitted.history if row.get("event")]
    assert event["step"] == 60 and "3 of the last 20 gradients" in event["event"]
    assert "back to the weights of step 40, the rate halved" in event["event"] and event["loss"] is None
    for row in fitted.history:
        rate = plan.rate_at((row["step"] - 1) / 200)
        assert row["rate"] == pytest.approx(rate if row["step"] <= 60 else rate / 2)
    assert fitted.record["run"]["rollbacks"] == 1 and fitted.record["run"]["steps"] == 200
    assert jensen.load(tmp_path / "r", model=Once).history[-1]["step"] == 200
    again = [row.get("event") for row in jensen.load(tmp_path / "r", model=Once).history]
    assert event["event"] in again


def test_a_training_that_keeps_diverging_ends_after_three_times() -> None:
    with pytest.raises(Diverged) as caught:
        jensen.fit(Location, real_rows(), steps=400, fault_after=50, fault=math.nan)
    assert [row["step"] for row in caught.value.run.history if row.get("event")] == [60, 80, 100]
    assert "near step 120" in caught.value.wrong
    assert torch.isfinite(caught.value.fitted.model.m).all()


def test_a_batch_too_large_for_the_memory_goes_through_in_pieces_with_equal_gradients() -> None:
    class Tight(Location):
        most = 1000

        def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            if self.training and len(x) > self.most:
                raise torch.OutOfMemoryError("no room")
            return super().log_prob(x)

    plan = Plan(steps=40, batch=50, patience=0, average=0)
    whole, tight = (
        jensen.fit(model, real_rows(), plan=plan) for model in (Location, type("T", (Tight,), {"most": 13}))
    )
    # 50 rows in pieces of 12 or 13 add up in another order: float32 rounding in every one of 40 steps
    torch.testing.assert_close(tight.model.m, whole.model.m, rtol=1e-5, atol=1e-6)
    assert "in 4 pieces" in tight.history[0]["event"] and not whole.history[0].get("event")
    with pytest.raises(OutOfMemory, match="one row alone") as refused:
        jensen.fit(type("T", (Tight,), {"most": 0}), real_rows(), plan=plan)
    assert refused.value.fitted is None and refused.value.given and refused.value.do


@pytest.mark.parametrize("model, objective", [("gan", None), ("encoder", "contrastive")])
@pytest.mark.parametrize(
    "said", [torch.OutOfMemoryError("no room"), RuntimeError("can't allocate memory: 8 bytes")]
)
def test_a_batch_of_a_loss_that_is_no_mean_over_rows_and_does_not_fit_is_said_and_what_was_learned_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, objective: str | None, said: Exception
) -> None:
    from jensen.player import Player

    gradients, moves = Player._gradients, iter(range(10_000))
    fails = [10_000]

    def tight(self: Player, x: Tensor, c: Tensor | None) -> Tensor:
        if next(moves) >= fails[0]:
            raise said
        return gradients(self, x, c)

    monkeypatch.setattr(Player, "_gradients", tight)
    plan = Plan(steps=60, batch=32, patience=0)
    for fails[0], learned in ((0, False), (75, True)):  # a GAN makes two moves a step, an encoder one
        moves = iter(range(10_000))
        out = tmp_path / f"{learned}"
        with pytest.raises(OutOfMemory, match="no mean over rows") as refused:
            jensen.fit(model, real_rows(), objective=objective, plan=replace(plan, steps=120), out=out)
        error = refused.value
        assert "batch=32, cpu: " in error.given and error.do.startswith("pass batch=16")
        assert (error.fitted is not None) == learned == (out / "model.json").exists()
        if learned:
            kept = jensen.load(out)
            assert "does not fit" in kept.record["run"]["stopped"] and kept.record["run"]["steps"] > 30
            for name, tensor in kept.model.state_dict().items():
                assert torch.equal(tensor, error.fitted.model.state_dict()[name]) and tensor.isfinite().all()
        else:
            assert not out.exists()


@pytest.mark.parametrize("optimiser", ["adam", "sgd", "lars"])
def test_a_float64_model_trains_where_gradients_are_shortened(optimiser: str) -> None:
    """The same steps as in float32, to its rounding: a factor in float64 is none that the fused kernels take."""
    plan = Plan(steps=40, batch=50, patience=0, average=0, clip=0.5, optimiser=optimiser, rate=0.01)
    single, double = Location(Space.real(3)), Location(Space.real(3)).double()
    for model in (single, double):
        jensen.fit(model, real_rows(), plan=plan)
    assert double.m.dtype == torch.float64
    torch.testing.assert_close(double.m.float(), single.m, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "objective"), [("gan", "adversarial"), ("encoder", "contrastive")])
def test_what_only_trains_a_float64_model_is_of_its_type(name: str, objective: str) -> None:
    """Critics and projection heads belong to the objective: in float32 they would refuse what the model gives them."""
    model = model_class(name)(Space.real(3)).double()
    for turn in objective_for(model, objective).turns(model):
        loss = turn(torch.from_numpy(real_rows(20)), None)
        assert loss.dtype == torch.float64
        assert {p.dtype for p in turn.parameters()} == {torch.float64}


def test_a_source_that_hangs_ends_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr("jensen.feed.STALLED", 0.2)
    hung = threading.Event()

    class Hanging(OnDisk):
        def __getitem__(self, index: object) -> np.ndarray:
            hung.wait(60)
            return super().__getitem__(index)

    feed = Feed(Hanging(real_rows()), _Plain(), 32, 0, torch.device("cpu"), torch.float32)
    with pytest.raises(DataError, match=r"gave nothing for 0\.2 s") as caught:
        next(feed.batches())
    assert caught.value.given and caught.value.do
    hung.set()
