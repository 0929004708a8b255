"""The one loop, in the order things happen. Every family is trained by it."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn

from jensen.average import Average
from jensen.checkpoint import checkpoint_in, damaged, load_checkpoint, save_checkpoint
from jensen.engine import Engine
from jensen.errors import DataError, Diverged, OutOfMemory, ProcessLost, UsageError
from jensen.interrupt import Pressed, asked_to_end
from jensen.model import Model
from jensen.objective import Objective
from jensen.parts import whole
from jensen.plan import Plan
from jensen.player import Player
from jensen.quantity import Quantity
from jensen.state import Snapshot, State, below

ROLLBACKS = 3
"""How often a training that diverges goes back to its last good weights, with half the rate each time, before it ends."""

LOOK = 20
"""Steps between two looks at the loss: the only times the loop waits for the device."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during training, after the step was finished and the checkpoint, if there is a folder, written.

    `signal` is the number of the signal.
    """

    signal: int = signal.SIGINT


@dataclass
class Moment:
    """What a watcher of the training is told at every look."""

    step: int
    seconds: float
    progress: float
    loss: float
    rate: float
    rows_per_second: float
    valid: Quantity | None = None
    parameters: int = 0
    """Numbers that are trained."""


class Batches(Protocol):
    """What the loop is fed: batches (x, c) from a step on, the same ones as an uninterrupted run would see."""

    batch: int

    def batches(self, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]: ...


class Watch(Protocol):
    """Somebody who follows the training: a progress bar, a log."""

    def __call__(self, moment: Moment) -> None: ...


@dataclass
class Run:
    """The record of a training: what happened, look by look, and why it ended."""

    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    stopped: str = ""
    best_step: int | None = None
    rows_per_second: float = 0.0
    rollbacks: int = 0
    pieces: int = 1


def train(
    model: Model,
    objective: Objective,
    feed: Batches,
    plan: Plan,
    *,
    validate: Callable[[], Quantity] | None = None,
    folder: Path | None = None,
    fingerprint: str = "",
    resume: bool = False,
    watch: Watch | None = None,
    engine: Engine | None = None,
) -> Run:
    """Train `model` in place and leave the best validated average of its weights in it.

    `validate` scores held-out rows with the weights that are in the model; larger is better. With a `folder` the
    state is saved every `plan.save_every` seconds, and `resume` continues from it exactly.

    A loss or a gradient that is not finite, or a loss far above the first, takes the training back to the state of the
    last check, and the rate is halved; the history says so under "event". After three times Diverged is raised, with the
    last good weights in the model, and Interrupted on Ctrl-C or SIGTERM.

    With an `engine` of several processes the feed gives this one its share of every batch, and all make the same steps; only
    the first writes into the folder. Raises ProcessLost in the others when one ends before its time.
    """
    engine = engine or Engine(next(model.parameters()).device)
    try:
        with engine.playing(), asked_to_end() as pressed:
            training = _Training(model, objective, plan, validate, folder, fingerprint, engine)
            if resume:
                training.resume()
            try:
                training.play(feed, watch, pressed)
            except OutOfMemory as error:
                raise training.short_of_memory(error) from error
    except ProcessLost as error:
        raise _with_folder(error, folder) from error
    return training.run


def _with_folder(error: ProcessLost, folder: Path | None) -> ProcessLost:
    """The error, with where to go on from."""
    if folder is None or not checkpoint_in(folder):
        return ProcessLost(error.wrong, error.given, "nothing was saved yet: start anew")
    found = ProcessLost(error.wrong, f"{error.given}; the checkpoint is in {folder}", "resume from it")
    found.folder = folder
    return found


class _Training:
    """The state of one training: players, average, best weights, clock."""

    def __init__(
        self,
        model: Model,
        objective: Objective,
        plan: Plan,
        validate: Callable[[], Quantity] | None,
        folder: Path | None,
        fingerprint: str,
        engine: Engine,
    ) -> None:
        self.engine = engine
        self.model, self.plan, self.validate, self.folder, self.fingerprint = (
            model,
            plan,
            validate,
            folder,
            fingerprint,
        )
        self.turns = nn.ModuleList(objective.turns(model))
        engine.check(list(self.turns), plan.optimiser)  # type: ignore[arg-type]
        self.players = [Player(turn, plan, engine) for turn in self.turns]  # type: ignore[arg-type]
        trained = {id(p): p.numel() for part in (model, self.turns) for p in part.parameters()}
        self.parameters = sum(trained.values())
        self.average = Average(model, plan.average)
        self.best: dict[str, Tensor] | None = None
        self.best_value = -math.inf
        self.waited = 0
        self.next_check = 1.0 / plan.checks
        self.looked = 0
        self.run = Run(pieces=plan.accumulate)
        self.state = State(model, self.turns, self.players, self.average)
        self.good = self.state.copy(0)

    def play(self, feed: Batches, watch: Watch | None, pressed: Pressed) -> None:
        """Steps until the budget is spent, the validation stops improving, or Ctrl-C or SIGTERM."""
        run, plan = self.run, self.plan
        before, begun = run.seconds, time.perf_counter()
        saved = looked = begun
        progress = plan.progress(run.steps, before)
        if plan.spent(run.steps, before):
            raise UsageError(
                "the budget is spent already",
                f"the run is at step {run.steps}",
                "resume with a larger budget",
            )
        self.model.train()
        for x, c in feed.batches(run.steps):
            rate = plan.rate_at(progress) * 0.5**run.rollbacks
            for player in self.players:
                if run.steps % player.turn.every == 0:
                    player.turn.progress = progress
                    for _ in range(player.turn.repeats):
                        player.play(x, c, rate)
            run.steps += 1
            mine = self.engine.asked() or (pressed.number if pressed.is_set() else 0)
            spent, asked = self.engine.agree(time.perf_counter() - begun, mine)
            now = begun + spent
            progress = plan.progress(run.steps, before + spent)
            over = plan.spent(run.steps, before + spent)
            self.average.update(run.steps, at_once=over)
            if run.steps % LOOK == 0 or over:
                steps, run.seconds = run.steps - self.looked, before + spent
                rows = feed.batch * self.engine.processes * steps
                run.rows_per_second = rows / max(now - looked, 1e-9)
                moment = self._look(steps, progress, rate, over)
                if moment is not None and (over or moment.progress >= self.next_check):
                    self._check(moment)
                if watch is not None and moment is not None:
                    watch(moment)
                if over or (plan.patience and self.waited >= plan.patience):
                    break
                looked, self.looked = begun + self.engine.agree(time.perf_counter() - begun)[0], run.steps
                if self.folder is not None and now - saved > plan.save_every:
                    self.save()
                    saved = now
            if asked:
                run.seconds = before + spent
                self._interrupt(int(asked))
        run.stopped = "the budget is spent" if over else f"no better validation for {self.waited} checks"
        run.seconds = before + time.perf_counter() - begun
        self._keep_best()

    def _look(self, steps: int, progress: float, rate: float, over: bool) -> Moment | None:
        """Read the losses: the one place that waits for the device. None where they sent the training back."""
        run = self.run
        losses, lowest, skipped = zip(*(player.read() for player in self.players))
        loss = losses[0] / max(steps, 1)
        first = next((row["loss"] for row in run.history if not row.get("event")), None)
        # one row far out lifts the loss of its batch by any amount, and clipping survives it: only where no batch is well
        steady = self.players[0].turn.steady and first is not None
        if any(skipped) or not math.isfinite(loss) or (steady and lowest[0] > _far_above(float(first or 0))):
            self._diverged(sum(skipped), lowest[0] if math.isfinite(loss) else loss, rate, over)
            return None
        moment = Moment(
            run.steps, run.seconds, progress, loss, rate, run.rows_per_second, parameters=self.parameters
        )
        run.history.append(
            {"step": run.steps, "seconds": run.seconds, "loss": loss, "rate": rate, "valid": None}
        )
        pieces = max(player.pieces for player in self.players)
        if pieces > run.pieces:
            run.pieces = pieces
            run.history[-1]["event"] = (
                f"out of memory: batches go through in {pieces} pieces, gradients added up"
            )
        return moment

    def _check(self, moment: Moment) -> None:
        """Validate the averaged weights; keep them if they are the best so far."""
        self.next_check = (math.floor(moment.progress * self.plan.checks + 1e-9) + 1) / self.plan.checks
        self.good = self.state.copy(self.run.steps)
        if self.validate is None:
            return
        with self.average.in_place():
            with self.engine.whole(self.turns):
                moment.valid = self._agreed(self.validate())
            if self._is_best(moment.valid):
                self.best_value, self.waited = max(moment.valid.value, self.best_value), 0
                self.run.best_step = moment.step
                self.best = self.state.weights()
            else:
                self.waited += 1
        low, high = moment.valid.interval or (None, None)
        self.run.history[-1] |= {"valid": moment.valid.value, "valid_low": low, "valid_high": high}

    def _agreed(self, valid: Quantity) -> Quantity:
        """One validation for all processes, whose devices may round differently."""
        if self.engine.processes == 1:
            return valid
        value, *ends = self.engine.agree(valid.value, *(valid.interval or ()))
        return replace(valid, value=value, interval=(ends[0], ends[1]) if ends else None)

    def _is_best(self, valid: Quantity) -> bool:
        """Whether these weights are the ones to keep so far."""
        ties = valid.interval is not None and self.players[0].turn.later_wins
        return (valid.interval[1] if ties and valid.interval else valid.value) > self.best_value

    def _keep_best(self) -> None:
        """Leave the best validated average in the model, or else the last average."""
        if self.best is not None:
            self.state.put_weights(self.best)
        else:
            self.average.swap()
        self.engine.finish(self.turns)
        self.model.eval()

    def _diverged(self, skipped: int, loss: float, rate: float, over: bool) -> None:
        """Go back to the last good state with half the rate and say so; at the end, or too often, raise Diverged."""
        last = self.run.best_step
        self.state.put_back(self.good)
        what = (
            f"{skipped} of the last {LOOK} gradients were not finite"
            if skipped
            else f"the loss went to {loss:.4g}"
        )
        if not over and self.run.rollbacks < ROLLBACKS:
            self.run.rollbacks += 1
            event = f"{what}: back to the weights of step {self.good.step}, the rate halved"
            row = {"step": self.run.steps, "seconds": self.run.seconds, "loss": None, "rate": rate}
            self.run.history.append({**row, "valid": None, "event": event})
            return
        self._keep_best()
        kept = (
            f"the weights of step {last}"
            if last is not None
            else "the average of the weights so far, the last steps included"
        )
        diverged = Diverged(
            f"training diverged near step {self.run.steps}",
            f"{what}; kept: {kept}",
            f"lower the rate (it was {self.plan.rate:g}) or look for outliers in the rows",
        )
        diverged.run = self.run
        raise diverged

    def short_of_memory(self, error: OutOfMemory) -> OutOfMemory:
        """The error with what was learned before the batch that did not fit: the best weights, in the model."""
        self._keep_best()
        kept = (
            f"kept: the best weights up to step {self.run.steps}"
            if self.run.steps
            else "nothing was learned yet"
        )
        found = OutOfMemory(error.wrong, f"{error.given}; {kept}", error.do)
        found.run = self.run
        return found

    def _interrupt(self, number: int) -> NoReturn:
        """Save the state as it is. A look, a check or an update of the average that an uninterrupted run does not make
        at this step would change the weights that the resumed run ends with."""
        if self.folder is not None:
            self.save()
        self.engine.agree(0.0)  # nobody leaves before it is saved
        interrupted = Interrupted(self._how_to_resume())
        interrupted.signal = number
        raise interrupted

    def _how_to_resume(self) -> str:
        where = (
            f"the checkpoint is in {self.folder}: resume to continue" if self.folder else "nothing was saved"
        )
        return f"interrupted after step {self.run.steps}; {where}"

    def save(self) -> None:
        """Everything that a resumed run needs, in one atomic file, by the first process."""
        assert self.folder is not None
        good = {f"good.{name}": tensor for name, tensor in self.good.tensors.items()}
        tensors = self.state.tensors() | good
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        tensors = {name: whole(tensor) for name, tensor in tensors.items()}
        if self.engine.rank != 0:
            return
        tensors["random.cpu"] = torch.get_rng_state()
        if self.engine.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.engine.device)
        if self.engine.stream is not None:  # what is common to all shares goes on, on any number of devices
            tensors[f"random.{self.engine.device.type}"] = self.engine.stream.generator.get_state()
        facts: dict[str, Any] = {
            "run": vars(self.run),
            "best_value": self.best_value if self.best is not None else None,
            "waited": self.waited,
            "next_check": self.next_check,
            "updates": self.average.updates,
            "good": [self.good.updates, self.good.step],
            "looked": self.looked,
            "fingerprint": self.fingerprint,
        }
        save_checkpoint(self.folder, tensors, facts)

    def resume(self) -> None:
        """Continue from the checkpoint of the folder. Raises DataError when it belongs to another run."""
        assert self.folder is not None
        tensors, facts = self.engine.spread(load_checkpoint(self.folder) if self.engine.rank == 0 else None)
        if facts.get("fingerprint") != self.fingerprint:
            raise DataError(
                "the interrupted run had other rows, another model or other settings",
                f"its fingerprint is {facts.get('fingerprint')}, this one's {self.fingerprint}",
                "repeat the command of that run with resume, or start anew with overwrite",
            )
        try:
            self._restore(tensors, facts)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise damaged(self.folder, error) from error

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.best = None
        if best := below(tensors, "best."):
            self.state.put_weights(best)
            self.best = self.state.weights()
        updates, step = facts["good"]
        self.state.put_back(Snapshot(below(tensors, "good."), updates))
        self.good = self.state.copy(step)
        self.state.put_back(Snapshot(tensors, facts["updates"]))
        self.best_value = facts["best_value"] if self.best is not None else -math.inf
        self.waited, self.next_check = facts["waited"], facts["next_check"]
        self.looked, self.run = facts["looked"], Run(**facts["run"])
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and self.engine.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.engine.device)


def _far_above(first: float) -> float:
    """A loss that no healthy training climbs to: as far above the first look as ten times its size."""
    return first + 10 * abs(first) + 10
