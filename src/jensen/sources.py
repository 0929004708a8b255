"""What a model is fitted to: rows, or a density. Each gives the codec, the batches, the validation and the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.codec import Codec, as_tensor, codec_for
from jensen.conditioning import check_built, context_codec
from jensen.context import ContextCodec, context_facts
from jensen.data import Rows, hash_rows
from jensen.density import Density
from jensen.errors import DataError, JensenError, UsageError
from jensen.feed import Feed, share_of
from jensen.fitted import Fitted
from jensen.foresight import refuse_too_large
from jensen.latent import LatentModel
from jensen.model import Can, Model, Note
from jensen.models import CATALOGUE, catalogue_name, model_class
from jensen.normaliser import log_z
from jensen.objective import Objective
from jensen.objectives import objective_for
from jensen.plan import Plan
from jensen.quantity import Quantity, Scores
from jensen.scoring import RowSource, log_likelihood, on_device, place, some_places
from jensen.weighing import choose_width

SAMPLE_BYTES = 1 << 28
"""Codecs, and models that solve themselves, see at most as many rows as fit into this as float64."""

VALID_ROWS = 1024
"""A validation during training scores at most this many rows."""


WIDTH_ROWS = 128
"""Validation rows on which the width of a proposal is chosen."""


class Source(Protocol):
    """What a model is fitted to."""

    codec: Codec
    given: ContextCodec | None

    def prepare(self, cls: type[Model]) -> None:
        """Make the codecs that a class of models needs."""
        ...

    def objective(self, model: Model, wanted: str | Objective | None) -> Objective | None:
        """The objective; None where the model solves itself."""
        ...

    def feed(self, model: Model, plan: Plan, seed: int, rank: int = 0, processes: int = 1) -> Feed | Draws:
        """The batches of the training: of several processes the share of one."""
        ...

    def validation(self, model: Model, objective: Objective, seed: int) -> Callable[[], Quantity] | None:
        """What decides which weights are kept; larger is better."""
        ...

    def identity(self) -> list[Any]:
        """What tells two sources apart, plain JSON types."""
        ...

    def facts(self) -> dict[str, Any]:
        """The source's part of the record."""
        ...

    def conclude(self, fitted: Fitted, objective: Objective | None, seed: int) -> None:
        """What is found out once the model is trained, into its record."""
        ...


class RowsSource:
    """The rows of a table, of images, of an array, with their context."""

    codec: Codec

    def __init__(self, data: Rows) -> None:
        if not len(data.train):
            raise DataError("there are no training rows", f"got {data.name}", "check the split")
        self.data = data
        self.given: ContextCodec | None = None

    def prepare(self, cls: type[Model]) -> None:
        self.given, self.codec = context_codec(cls, self.data), _codec(cls, self.data)

    def objective(self, model: Model, wanted: str | Objective | None) -> Objective | None:
        if wanted is None and Can.SOLVE in model.can:
            return None
        return objective_for(model, wanted)

    def feed(self, model: Model, plan: Plan, seed: int, rank: int = 0, processes: int = 1) -> Feed:
        data = self.data
        c = None if self.given is None or data.context is None else self.given.encode(data.context.train)
        where = place(model)
        rows = cast(RowSource, data.train)
        return Feed(rows, self.codec, plan.batch, seed, *where, context=c, rank=rank, processes=processes)

    def validation(self, model: Model, objective: Objective, seed: int) -> Callable[[], Quantity] | None:
        if getattr(objective, "monitor", None) is not None:
            return lambda: self._monitored(model, objective, seed)
        if model.can & (Can.LOG_PROB | Can.LOG_PROB_LOWER):
            return lambda: self._scored(model, seed)
        return None

    def identity(self) -> list[Any]:
        given = [] if self.given is None else [context_facts(self.data), self.given.to_dict()]
        return [*split_identity(self.data), self.codec.to_dict(), *given]

    def facts(self) -> dict[str, Any]:
        data = self.data
        return {
            "name": data.name,
            "hash": data.hash,
            "train_hash": data.train_hash,
            "test_hash": None if data.space.binarisation is None else hash_rows(data.test),
            "split_seed": data.seed,
            "counts": data.counts,
            "notes": list(data.notes),
            **context_facts(data),
        }

    def conclude(self, fitted: Fitted, objective: Objective | None, seed: int) -> None:
        """What is found out on encoded validation rows once the model is trained: the width of the proposals of a model with
        latents, with noise of its own; what the objective has to say, and why to doubt the model."""
        model = fitted.model
        if isinstance(model, LatentModel) and len(self.data.valid) > 1:
            rows, c = self._valid_rows(seed, WIDTH_ROWS)
            x, c = self._placed(model, rows, c, seed)
            fitted.record["width"] = choose_width(model, x, c, seed ^ 0x3F84D5B5)
        aim: Any = objective
        if not hasattr(aim, "health"):
            return
        found = aim.health(model, *self._encoded_valid(model, seed), seed)
        fitted.record["health"] = {name: number.to_dict() for name, number in found.items()}
        if doubt := aim.doubt(found):
            fitted.record["notes"].append(asdict(Note("health", doubt, doubtful=True)))

    def _scored(self, model: Model, seed: int) -> Quantity:
        rows, c = self._valid_rows(seed)
        values, kind, how = log_likelihood(model, self.codec, rows, k=4, seed=seed, context=c, quick=True)
        space = self.codec.space
        return Scores(values, kind, space.measure, space.dims, "valid", how=how).mean()

    def _monitored(self, model: Model, objective: Objective, seed: int) -> Quantity:
        """What the objective itself says of encoded validation rows."""
        found: Quantity = objective.monitor(  # type: ignore[attr-defined]
            model, *self._encoded_valid(model, seed), seed
        )
        return found

    def _encoded_valid(self, model: Model, seed: int) -> tuple[Tensor, Tensor | None]:
        rows, c = self._valid_rows(seed)
        return self._placed(model, rows, c, seed)

    def _placed(
        self, model: Model, rows: NDArray[Any], c: Tensor | None, seed: int
    ) -> tuple[Tensor, Tensor | None]:
        """Rows as the model sees them, and their contexts, where it is."""
        device, dtype = place(model)
        z, _ = self.codec.encode(as_tensor(rows), torch.Generator().manual_seed(seed))
        return on_device(z, device, dtype), None if c is None else on_device(c, device, dtype)

    def _valid_rows(self, seed: int, most: int = VALID_ROWS) -> tuple[NDArray[Any], Tensor | None]:
        """The validation rows that are looked at during training, and their encoded contexts."""
        data, places = self.data, some_places(len(self.data.valid), most, seed)
        c = (
            None
            if self.given is None or data.context is None
            else self.given.encode(data.context.valid[places])
        )
        return np.asarray(data.valid[places]), c


class DensitySource:
    """A log density that can be evaluated, and no rows."""

    given: ContextCodec | None = None

    def __init__(self, density: Density) -> None:
        self.density, self.codec = density, density.codec

    def prepare(self, cls: type[Model]) -> None:
        """The codec is the density's own."""

    def objective(self, model: Model, wanted: str | Objective | None) -> Objective | None:
        found = objective_for(model, "reverse-kl" if wanted is None else wanted)
        if not hasattr(found, "towards"):
            raise UsageError(
                f"{type(found).__name__} is fitted to rows",
                "got a target density",
                "use reverse-kl, or pass rows",
            )
        facing: Objective = found.towards(self.density)
        return facing

    def feed(self, model: Model, plan: Plan, seed: int, rank: int = 0, processes: int = 1) -> Draws:
        return Draws(model, share_of(plan.batch, processes), seed)

    def validation(self, model: Model, objective: Objective, seed: int) -> Callable[[], Quantity] | None:
        empty = torch.empty(0)
        return lambda: objective.monitor(model, empty, None, seed)  # type: ignore[attr-defined]

    def identity(self) -> list[Any]:
        return [self.density.name, self.codec.to_dict()]

    def facts(self) -> dict[str, Any]:
        name, target = self.density.name, self.density.target
        return {"name": name, "density": True, "target": target, "counts": {}, "notes": [], "hash": None}

    def conclude(self, fitted: Fitted, objective: Objective | None, seed: int) -> None:
        fitted.record["log_z"] = log_z(fitted, self.density, seed=seed).to_dict()


class Draws:
    """Batches of no rows: an objective that draws its own samples reads off how many."""

    def __init__(self, model: Model, batch: int, seed: int) -> None:
        self.model, self.batch, self.seed = model, batch, seed
        device, dtype = place(model)
        self.empty = torch.empty(batch, 0, device=device, dtype=dtype)

    def batches(self, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The same empty batch again and again."""
        while True:
            yield self.empty, None

    def sample(self, limit: int) -> tuple[Tensor, Tensor | None]:
        """`limit` rows of the model's own, for want of others."""
        return self.model.sample(limit, generator=torch.Generator().manual_seed(self.seed)), None


def build(
    model: str | type[Model] | Model, source: Source, hyper: dict[str, Any], batch: int | None = None
) -> Model:
    """The model for a source, whose codecs are made on the way. Raises UsageError for arguments it does not take, and for
    a model that this machine's memory cannot hold while it is trained on batches of `batch` rows, None: elsewhere."""
    if isinstance(model, Model):
        if hyper:
            raise UsageError(
                "a built model takes no more arguments", f"got {', '.join(hyper)}", "pass its class"
            )
        source.prepare(type(model))
        check_built(model, source.given)
        if source.codec.model_space != model.space:
            raise UsageError(
                "the model was built for other rows",
                f"it models {model.space.describe()}, the rows need {source.codec.model_space.describe()}",
                "pass the class, or build it for that space",
            )
        return model
    cls = model_class(model) if isinstance(model, str) else model
    if not (isinstance(cls, type) and issubclass(cls, Model) and hasattr(cls, "accepts")):
        raise UsageError(
            "expected a name of the catalogue, a Model class that says what it accepts, or a Model",
            f"got {cls!r:.80}",
            f"known: {', '.join(CATALOGUE)}",
        )
    source.prepare(cls)
    given = {} if source.given is None else {"context": source.given.model_space}
    if batch is not None and not given:
        refuse_too_large(cls, source.codec.model_space, hyper, batch)
    try:
        return cls(source.codec.model_space, **given, **hyper)
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


def _codec(cls: type[Model], data: Rows) -> Codec:
    fitted_to_data = data.space.measure != "mass" or data.space.kind not in cls.accepts
    enough = sample_rows(data) if fitted_to_data else 1
    if fitted_to_data and len(data.train) < 2:
        raise DataError(
            "one training row says nothing of how far values spread",
            f"got {sum(data.counts.values())} rows, {len(data.train)} of them to train on",
            "add rows",
        )
    if enough == len(data.train):
        sample = data.train[:]
    else:
        sample = data.train[np.sort(np.random.default_rng(0).choice(len(data.train), enough, replace=False))]
    return codec_for(cls.accepts, data.space, as_tensor(sample))


def sample_rows(data: Rows) -> int:
    """How many training rows a codec, or a model that solves itself, sees."""
    return min(len(data.train), max(SAMPLE_BYTES // (8 * data.space.dims), 1000))


def split_identity(data: Rows) -> tuple[str, int, dict[str, int]]:
    """What tells two splits apart: the rows, the seed and the sizes of the parts."""
    return data.hash, data.seed, data.counts
