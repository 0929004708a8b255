"""`jensen.fit`: rows or a density in, a fitted model out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from jensen._version import __version__
from jensen.arguments import one_of, said
from jensen.arguments import path as as_path
from jensen.checkpoint import FILE as CHECKPOINT
from jensen.checkpoint import drop_checkpoint
from jensen.data import rows as read_rows
from jensen.density import Density, pose
from jensen.engine import Engine
from jensen.engines import engine_for
from jensen.errors import DataError, Diverged, JensenWarning, OutOfMemory, UsageError
from jensen.feed import Feed
from jensen.fitted import Fitted
from jensen.model import Model
from jensen.objective import Objective
from jensen.objectives import describe_objective
from jensen.plan import Plan
from jensen.run_folder import claim
from jensen.scoring import place
from jensen.sources import DensitySource, RowsSource, Source, build, sample_rows
from jensen.space import Space
from jensen.store import model_record
from jensen.train import Run, Watch, train

FOR_A_DENSITY = Plan(batch=512, patience=0)
"""Samples cost no data, and a check of reverse KL against a goal that still cools says little about stopping."""

NOTED_ROWS = 2048
"""What is to be said of a fitted model is seen on at most this many training rows, or samples of its own."""


def fit(
    model: str | type[Model] | Model,
    rows: Any = None,
    *,
    target: Any = None,
    dim: int | None = None,
    support: tuple[Any, Any] | None = None,
    space: Space | None = None,
    context: Any = None,
    objective: str | Objective | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    plan: Plan | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    devices: int | None = None,
    strategy: str = "ddp",
    watch: Watch | None = None,
    **hyper: Any,
) -> Fitted:
    """Fit a model to the training part of `rows`, validated on their validation part; or to a density, without rows.

    `model`: a name of the catalogue, a Model class, or a Model (trained in place). `rows`: anything `jensen.rows`
    reads; data that is not a Rows yet is split as `jensen.rows(data)` splits it, and the held-out part stays unseen.
    `steps`, `seconds`: the budget. `plan`: the other settings of the loop. `out`: a folder for the run, with
    checkpoints while it trains; `resume` continues an interrupted one, `overwrite` replaces a finished one.
    `context`: what the model is conditioned on, as `jensen.rows` takes it; a Rows has its own. A model that takes a
    context is conditional on rows with one, and unconditional on rows without.
    `device`: auto, cpu, cuda, ... `devices`: processes on this machine that train together, each on a device of its own and with
    its share of every batch, when torchrun (or `jensen fit --devices`) started the script; `strategy`: "ddp". Every
    process returns the fitted model, the first one writes `out`. `hyper`: arguments of the model class.

    `target`, in place of rows: a log density, normalised or not, that takes points (n, dim) and gives (n,), nats,
    differentiable; or a name or Target of `jensen.data.targets`; or what `jensen.pose` makes of one, which also takes
    where to start. Then the objective is reverse KL, `dim` the number of coordinates and `support` the (low, high)
    within which the density is positive. What is known of log Z afterwards is in `record["log_z"]`; `jensen.log_z`
    finds out more.

    Repeats bit for bit for the same seed on a CPU with the same number of threads. Raises DataError, SpaceError,
    UsageError or OutputError before anything is written, Cannot for a context that the model does not take; Diverged when training fails, with the last good weights in
    its `fitted` (and in `out`); Interrupted (a KeyboardInterrupt) on Ctrl-C or SIGTERM, after a checkpoint. What the model has to
    say of itself after the fit is in `record["notes"]`, and a JensenWarning where it is to be doubted.

    >>> import jensen
    >>> rows = jensen.rows("digits")
    >>> fitted = jensen.fit("independent", rows)
    >>> fitted.score(rows).mean()
    = -107.691 nats [-108.528, -106.850]
    """
    check_seed(seed)
    seed = int(seed)  # torch takes no integer of numpy
    one_of("plan", plan, (Plan, type(None)), "a Plan", "pass jensen.Plan(batch=64), say")
    if watch is not None and not callable(watch):
        raise UsageError(
            "watch is called with a Moment", f"got {said(watch)}", "pass a function, or leave it out"
        )
    plan = _budget(plan or (Plan() if target is None else FOR_A_DENSITY), steps, seconds)
    source = _source(rows, target, dim, support, space, context, seed)
    engine = engine_for(device, devices, strategy)
    with torch.random.fork_rng(devices=_cuda_devices(engine.device)):
        torch.manual_seed(seed)
        built = build(model, source, hyper, plan.batch if engine.device.type == "cpu" else None)
        built.to(engine.device)
        fitted = _Task(source, built, plan, seed, objective, engine).perform(out, resume, overwrite, watch)
    for note in fitted.record["notes"]:
        if note["doubtful"]:
            warnings.warn(note["text"], JensenWarning, stacklevel=2)
    return fitted


def _source(
    rows: Any, target: Any, dim: int | None, support: Any, space: Space | None, context: Any, seed: int
) -> Source:
    """The rows or the density, read and checked."""
    if (rows is None) == (target is None):
        raise UsageError(
            "a model is fitted to rows or to a target density",
            "got neither" if rows is None else "got both",
            "pass rows, or target=log_density and dim=",
        )
    if target is None:
        if dim is not None or support is not None:
            raise UsageError("dim and support belong to a target density", "got rows", "leave them out")
        return RowsSource(read_rows(rows, space=space, context=context))
    if space is not None or context is not None:
        raise UsageError(
            "a target density has neither space nor context",
            f"got {'space' if space is not None else 'context'}",
            "pass dim= and, where it is bounded, support=",
        )
    return DensitySource(
        target if isinstance(target, Density) else pose(target, dim, support=support, seed=seed)
    )


class _Task:
    """One fit, with everything it needs read and checked."""

    def __init__(
        self,
        source: Source,
        model: Model,
        plan: Plan,
        seed: int,
        objective: str | Objective | None,
        engine: Engine,
    ) -> None:
        self.source, self.model, self.seed, self.engine = source, model, seed, engine
        self.objective = source.objective(model, objective)
        self.plan = _suited(plan, self.objective, model)
        self.feed = source.feed(model, self.plan, seed, engine.rank, engine.processes)

    def perform(self, out: str | Path | None, resume: bool, overwrite: bool, watch: Watch | None) -> Fitted:
        """Solve or train, then save."""
        if resume and out is None:
            raise UsageError("resume needs the folder of the run", "got no out", "pass out")
        if resume and self.objective is None:
            name = type(self.model).__name__
            raise UsageError(
                "there is nothing to resume: this model is solved in one call",
                f"got {name}",
                "fit without resume",
            )
        if out is None or self.engine.rank > 0:  # the first process writes for all
            return self._perform(None if out is None else as_path("out", out), resume, watch)
        with _open_folder(as_path("out", out), resume, overwrite) as folder:
            return self._perform(folder, resume, watch)

    def _perform(self, folder: Path | None, resume: bool, watch: Watch | None) -> Fitted:
        started = datetime.now(UTC)
        try:
            run = self._solve() if self.objective is None else self._train(folder, resume, watch)
        except (Diverged, OutOfMemory) as error:
            run = error.run or Run()
            run.stopped = str(error)
            if isinstance(error, OutOfMemory) and not run.steps:
                raise  # nothing was learned that could be kept
            error.fitted = self._fitted(run, started)
            if folder is not None and self.engine.rank == 0:
                error.fitted.write_into(folder)
            raise
        fitted = self._fitted(run, started)
        self.source.conclude(fitted, self.objective, self.seed)
        self.model.eval()  # whatever looked at it last
        if folder is not None and self.engine.rank == 0:
            fitted.write_into(folder)
            drop_checkpoint(folder)
        return fitted

    def _solve(self) -> Run:
        assert isinstance(self.source, RowsSource) and isinstance(self.feed, Feed)
        begun, data = datetime.now(UTC), self.source.data
        seen = min(sample_rows(data), self.model.solve_rows or len(data.train))
        self.model.solve(*self.feed.sample(seen), seed=self.seed)
        self.model.eval()
        return Run(
            stopped=f"solved in one call on {seen} rows", seconds=(datetime.now(UTC) - begun).total_seconds()
        )

    def _train(self, folder: Path | None, resume: bool, watch: Watch | None) -> Run:
        assert self.objective is not None
        return train(
            self.model,
            self.objective,
            self.feed,
            self.plan,
            validate=self.source.validation(self.model, self.objective, self.seed),
            folder=folder,
            fingerprint="" if folder is None else self._fingerprint(),
            resume=resume,
            watch=watch,
            engine=self.engine,
        )

    def _fingerprint(self) -> str:
        settings = {**asdict(self.plan), "steps": None, "seconds": None, "save_every": None}
        facts = [*self.source.identity(), model_record(self.model, None), settings, self.seed]
        text = json.dumps([*facts, self._objective_text()], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _objective_text(self) -> str | None:
        return None if self.objective is None else describe_objective(self.objective)

    def _fitted(self, run: Run, started: datetime) -> Fitted:
        history = run.history
        record = {
            "jensen": __version__,
            "data": self.source.facts(),
            "notes": [asdict(note) for note in self.model.notes(*self.feed.sample(NOTED_ROWS))],
            "seed": self.seed,
            "objective": self._objective_text(),
            "plan": None if self.objective is None else asdict(self.plan),
            "run": {
                "steps": run.steps,
                "seconds": run.seconds,
                "stopped": run.stopped,
                "best_step": run.best_step,
                "rows_per_second": run.rows_per_second,
                **({"rollbacks": run.rollbacks} if run.rollbacks else {}),
            },
            "parameters": sum(t.numel() for t in self.model.state_dict().values() if t.is_floating_point()),
            "started": started.isoformat(timespec="seconds"),
            "device": str(place(self.model)[0]),
            **({"processes": self.engine.processes} if self.engine.processes > 1 else {}),
            "threads": torch.get_num_threads(),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
        }
        fitted = Fitted(self.model, self.source.codec, history, record, self.source.given)
        # a fresh copy: one that has played holds what it trained with
        told: Any = self.objective
        fitted.objective = cast(Any, replace)(told) if is_dataclass(told) else told
        return fitted


def _budget(plan: Plan, steps: int | None, seconds: float | None) -> Plan:
    if steps is None and seconds is None:
        return plan
    return plan.replaced(steps=steps, seconds=seconds)


def _suited(plan: Plan, objective: Objective | None, model: Model) -> Plan:
    """The plan with what suits the objective in place of settings that were not given."""
    suits = getattr(objective, "suits", None)
    wanted: dict[str, Any] = {} if suits is None else suits(model)
    return plan.replaced(**{k: v for k, v in wanted.items() if k not in plan.given})


@contextmanager
def _open_folder(folder: Path, resume: bool, overwrite: bool) -> Iterator[Path]:
    """The folder of a fit, claimed; with `resume`, one that holds an interrupted run."""
    if resume and not folder.is_dir():
        raise _nothing_to_resume(folder)
    with claim(folder, overwrite or resume) as claimed:
        if resume and not (claimed / CHECKPOINT).exists():
            if (claimed / "model.json").exists():
                raise UsageError(
                    "the run is finished", f"got {folder}", "fit into another folder, or pass overwrite"
                )
            raise _nothing_to_resume(folder)
        yield claimed


def _nothing_to_resume(folder: Path) -> DataError:
    return DataError(
        "there is no interrupted run to resume", f"{folder / CHECKPOINT} is missing", "fit without resume"
    )


def check_seed(seed: int) -> None:
    """Raise UsageError unless a seed suits every generator that is fed from it."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise UsageError(
            "a seed is a whole number from 0 to 2^32 - 1", f"got {seed!r}", "0 is as good as any"
        )


def _cuda_devices(device: torch.device) -> list[int]:
    """Those whose random state a seed changes: a fit on the CPU does not wake a GPU up."""
    awake = device.type == "cuda" or torch.cuda.is_initialized()
    return list(range(torch.cuda.device_count())) if awake else []


def thread_count(space: Space) -> int:
    """Threads for a command: one for small rows, every core this process may use (at most eight) for large images.

    A step on a table or an 8x8 image is too short to share: two threads took 1.05 to 1.5 times as long as one, and
    0.65 times as long on 28x28 images (two cores, waiting threads asleep).
    """
    if space.dims < 256 or not space.is_image:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, 8))
