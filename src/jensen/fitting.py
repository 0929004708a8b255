"""`jensen.fit`: rows in, a fitted model out."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen._version import __version__
from jensen.checkpoint import FILE as CHECKPOINT
from jensen.checkpoint import drop_checkpoint
from jensen.codec import Codec, as_tensor, codec_for
from jensen.conditioning import check_built, context_codec
from jensen.context import ContextCodec, context_facts
from jensen.data import Rows, hash_rows
from jensen.data import rows as read_rows
from jensen.errors import DataError, Diverged, JensenError, JensenWarning, UsageError
from jensen.feed import Feed
from jensen.fitted import Fitted, claim
from jensen.model import Can, Model
from jensen.models import CATALOGUE, catalogue_name, model_class
from jensen.objective import Objective
from jensen.objectives import describe_objective, objective_for
from jensen.plan import Plan
from jensen.quantity import Quantity, Scores
from jensen.scoring import RowSource, log_likelihood, on_device, place, some_places
from jensen.space import Space
from jensen.store import model_record
from jensen.train import Run, Watch, train

SAMPLE_BYTES = 1 << 28
"""Codecs, and models that solve themselves, see at most as many rows as fit into this as float64."""

VALID_ROWS = 1024
"""A validation during training scores at most this many rows."""


def fit(
    model: str | type[Model] | Model,
    rows: Any,
    *,
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
    watch: Watch | None = None,
    **hyper: Any,
) -> Fitted:
    """Fit a model to the training part of `rows`, validated on their validation part.

    `model`: a name of the catalogue, a Model class, or a Model (trained in place). `rows`: anything `jensen.rows`
    reads; data that is not a Rows yet is split as `jensen.rows(data)` splits it, and the held-out part stays unseen.
    `steps`, `seconds`: the budget. `plan`: the other settings of the loop. `out`: a folder for the run, with
    checkpoints while it trains; `resume` continues an interrupted one, `overwrite` replaces a finished one.
    `context`: what the model is conditioned on, as `jensen.rows` takes it; a Rows has its own. A model that takes a
    context is conditional on rows with one, and unconditional on rows without.
    `device`: auto, cpu, cuda, ... `hyper`: arguments of the model class.

    Repeats bit for bit for the same seed on a CPU with the same number of threads. Raises DataError, SpaceError,
    UsageError or OutputError before anything is written, Cannot for a context that the model does not take; Diverged when training fails, with the last good weights in
    its `fitted` (and in `out`); Interrupted (a KeyboardInterrupt) on Ctrl-C, after a checkpoint.

    >>> import jensen
    >>> rows = jensen.rows("digits")
    >>> fitted = jensen.fit("independent", rows)
    >>> fitted.score(rows).mean()
    = -107.691 nats [-108.528, -106.854]
    """
    check_seed(seed)
    plan = _budget(plan or Plan(), steps, seconds)
    data = read_rows(rows, space=space, context=context)
    with torch.random.fork_rng(devices=_cuda_devices()):
        torch.manual_seed(seed)
        codec, given, built = _build(model, data, hyper)
        built.to(_device(device))
        task = _Task(data, codec, given, built, plan, seed, objective)
        return task.perform(out, resume, overwrite, watch)


class _Task:
    """One fit, with everything it needs read and checked."""

    def __init__(
        self,
        data: Rows,
        codec: Codec,
        given: ContextCodec | None,
        model: Model,
        plan: Plan,
        seed: int,
        objective: str | Objective | None,
    ) -> None:
        self.data, self.codec, self.model, self.plan, self.seed = data, codec, model, plan, seed
        self.given = given
        solves = objective is None and Can.SOLVE in model.can
        self.objective = None if solves else objective_for(model, objective)
        c = None if given is None or data.context is None else given.encode(data.context.train)
        self.feed = Feed(cast(RowSource, data.train), codec, plan.batch, seed, *place(model), context=c)

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
        folder = None if out is None else _open_folder(Path(out), resume, overwrite)
        started = datetime.now(UTC)
        try:
            run = self._solve() if self.objective is None else self._train(folder, resume, watch)
        except Diverged as error:
            run = Run(stopped=str(error))
            error.fitted = self._fitted(run, started)
            if folder is not None:
                error.fitted.save(folder, overwrite=True)
            raise
        except BaseException:
            if folder is not None:
                with suppress(OSError):
                    folder.rmdir()  # only if nothing was written
            raise
        fitted = self._fitted(run, started)
        fitted.record |= self._health()
        if folder is not None:
            fitted.save(folder, overwrite=True)
            drop_checkpoint(folder)
        if fitted.record.get("doubt"):
            warnings.warn(JensenWarning(fitted.record["doubt"]), stacklevel=3)
        return fitted

    def _solve(self) -> Run:
        begun = datetime.now(UTC)
        seen = min(_sample_rows(self.data), self.model.solve_rows or len(self.data.train))
        self.model.solve(*self.feed.sample(seen), seed=self.seed)
        self.model.eval()
        return Run(
            stopped=f"solved in one call on {seen} rows", seconds=(datetime.now(UTC) - begun).total_seconds()
        )

    def _train(self, folder: Path | None, resume: bool, watch: Watch | None) -> Run:
        assert self.objective is not None
        scored = bool(self.model.can & (Can.LOG_PROB | Can.LOG_PROB_LOWER))
        monitored = getattr(self.objective, "monitor", None) is not None
        return train(
            self.model,
            self.objective,
            self.feed,
            self.plan,
            validate=self._monitor if monitored else self._validate if scored else None,
            folder=folder,
            fingerprint="" if folder is None else self._fingerprint(),
            resume=resume,
            watch=watch,
        )

    def _validate(self) -> Quantity:
        rows, c = self._valid_rows()
        values, kind, how = log_likelihood(self.model, self.codec, rows, k=4, seed=self.seed, context=c)
        space = self.codec.space
        return Scores(values, kind, space.measure, space.dims, "valid", how=how).mean()

    def _monitor(self) -> Quantity:
        """What the objective itself says of encoded validation rows."""
        found: Quantity = self.objective.monitor(self.model, *self._encoded_valid(), self.seed)  # type: ignore[union-attr]
        return found

    def _health(self) -> dict[str, Any]:
        """What the objective has to say in the end of encoded validation rows, and why to doubt the model."""
        objective: Any = self.objective
        if not hasattr(objective, "health"):
            return {}
        found = objective.health(self.model, *self._encoded_valid(), self.seed)
        numbers = {name: number.to_dict() for name, number in found.items()}
        return {"health": numbers, "doubt": objective.doubt(found)}

    def _encoded_valid(self) -> tuple[Tensor, Tensor | None]:
        rows, c = self._valid_rows()
        device, dtype = place(self.model)
        z, _ = self.codec.encode(as_tensor(rows), torch.Generator().manual_seed(self.seed))
        return on_device(z, device, dtype), None if c is None else on_device(c, device, dtype)

    def _valid_rows(self) -> tuple[NDArray[Any], Tensor | None]:
        """The validation rows that are looked at during training, and their encoded contexts."""
        data, places = self.data, some_places(len(self.data.valid), VALID_ROWS, self.seed)
        c = (
            None
            if self.given is None or data.context is None
            else self.given.encode(data.context.valid[places])
        )
        return np.asarray(data.valid[places]), c

    def _fingerprint(self) -> str:
        settings = {**asdict(self.plan), "steps": None, "seconds": None, "save_every": None}
        facts = [
            *split_identity(self.data),
            self.codec.to_dict(),
            model_record(self.model, None),
            settings,
            self.seed,
            *([] if self.given is None else [context_facts(self.data), self.given.to_dict()]),
        ]
        text = json.dumps([*facts, self._objective_text()], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _objective_text(self) -> str | None:
        return None if self.objective is None else describe_objective(self.objective)

    def _fitted(self, run: Run, started: datetime) -> Fitted:
        data = self.data
        history = run.history
        record = {
            "jensen": __version__,
            "data": {
                "name": data.name,
                "hash": data.hash,
                "train_hash": data.train_hash,
                "test_hash": None if data.space.binarisation is None else hash_rows(data.test),
                "split_seed": data.seed,
                "counts": data.counts,
                "notes": list(data.notes),
                **context_facts(data),
            },
            "seed": self.seed,
            "objective": self._objective_text(),
            "plan": None if self.objective is None else asdict(self.plan),
            "run": {
                "steps": run.steps,
                "seconds": run.seconds,
                "stopped": run.stopped,
                "best_step": run.best_step,
                "rows_per_second": run.rows_per_second,
            },
            "parameters": sum(t.numel() for t in self.model.state_dict().values() if t.is_floating_point()),
            "started": started.isoformat(timespec="seconds"),
            "device": str(place(self.model)[0]),
            "threads": torch.get_num_threads(),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
        }
        return Fitted(self.model, self.codec, history, record, self.given)


def _budget(plan: Plan, steps: int | None, seconds: float | None) -> Plan:
    if steps is None and seconds is None:
        return plan
    return replace(plan, steps=steps, seconds=seconds)


def _build(
    model: str | type[Model] | Model, data: Rows, hyper: dict[str, Any]
) -> tuple[Codec, ContextCodec | None, Model]:
    if isinstance(model, Model):
        if hyper:
            raise UsageError(
                "a built model takes no more arguments", f"got {', '.join(hyper)}", "pass its class"
            )
        given, codec = context_codec(type(model), data), _codec(type(model), data)
        check_built(model, given)
        if codec.model_space != model.space:
            raise UsageError(
                "the model was built for other rows",
                f"it models {model.space.describe()}, the rows need {codec.model_space.describe()}",
                "pass the class, or build it for that space",
            )
        return codec, given, model
    cls = model_class(model) if isinstance(model, str) else model
    if not (isinstance(cls, type) and issubclass(cls, Model) and hasattr(cls, "accepts")):
        raise UsageError(
            "expected a name of the catalogue, a Model class that says what it accepts, or a Model",
            f"got {cls!r:.80}",
            f"known: {', '.join(CATALOGUE)}",
        )
    given, codec = context_codec(cls, data), _codec(cls, data)
    try:
        built = cls(codec.model_space, **({} if given is None else {"context": given.model_space}), **hyper)
    except JensenError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        name = catalogue_name(cls) or cls.__name__
        told = (
            f"{', '.join(f'{key}={value!r}' for key, value in hyper.items())}: {str(error).splitlines()[0]}"
        )
        raise UsageError(
            f"{name} does not take these arguments", told, f"see `jensen models {name}`"
        ) from error
    return codec, given, built


def _codec(cls: type[Model], data: Rows) -> Codec:
    if not len(data.train):
        raise DataError("there are no training rows", f"got {data.name}", "check the split")
    enough = _sample_rows(data) if data.space.kind == "real" or data.space.kind not in cls.accepts else 1
    if enough == len(data.train):
        sample = data.train[:]
    else:
        sample = data.train[np.sort(np.random.default_rng(0).choice(len(data.train), enough, replace=False))]
    return codec_for(cls.accepts, data.space, as_tensor(sample))


def _sample_rows(data: Rows) -> int:
    return min(len(data.train), max(SAMPLE_BYTES // (8 * data.space.dims), 1000))


def _open_folder(folder: Path, resume: bool, overwrite: bool) -> Path:
    if resume and (folder / "model.json").exists() and not (folder / CHECKPOINT).exists():
        raise UsageError("the run is finished", f"got {folder}", "fit into another folder, or pass overwrite")
    if resume and not (folder / CHECKPOINT).exists():
        raise DataError(
            "there is no interrupted run to resume", f"{folder / CHECKPOINT} is missing", "fit without resume"
        )
    return claim(folder, overwrite or resume)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise UsageError("that device cannot be used", f"{name!r}: {first}", "use auto or cpu") from None
    return device


def check_seed(seed: int) -> None:
    """Raise UsageError unless a seed suits every generator that is fed from it."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise UsageError(
            "a seed is a whole number from 0 to 2^32 - 1", f"got {seed!r}", "0 is as good as any"
        )


def split_identity(data: Rows) -> tuple[str, int, dict[str, int]]:
    """What tells two splits apart: the rows, the seed and the sizes of the parts."""
    return data.hash, data.seed, data.counts


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []


def thread_count(space: Space) -> int:
    """Threads for a command: one for small rows, every core this process may use (at most eight) for large images.

    A step on a table or an 8x8 image is too short to share: two threads took 1.05 to 1.5 times as long as one, and
    0.65 times as long on 28x28 images (two cores, waiting threads asleep).
    """
    if space.dims < 256 or not space.is_image:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, 8))
