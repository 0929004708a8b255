"""A trained model with its codec: the user's rows in, the user's rows and typed numbers out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.arguments import MOST, is_whole, number, one_of, said, whole
from jensen.arguments import path as as_path
from jensen.as_distribution import FittedDistribution, as_distribution
from jensen.autoregressive import Autoregressive
from jensen.card import card_text
from jensen.codec import Codec, as_tensor, codec_from_dict
from jensen.completing import Completion, complete
from jensen.context import ContextCodec, contexts_to_sample, rows_to_score
from jensen.data import Bits, Contexts, Rows, hash_rows
from jensen.data.frames import as_frame
from jensen.disk import PROMISE, all_or_nothing, found
from jensen.errors import Cannot, DataError, UsageError
from jensen.model import Can, Model, abilities, one_vector_a_row
from jensen.models import catalogue_name
from jensen.nn.precision import full_float32
from jensen.objective import Objective
from jensen.quantity import Scores
from jensen.run_folder import AGAIN, FORMAT, claim, class_of, digest, history_text, read_history, read_record
from jensen.scoring import log_likelihood, on_device, place, usable_device
from jensen.space import Space
from jensen.store import build_checked, damage_named, load_tensors, load_weights, model_record, write_tensors

if TYPE_CHECKING:
    from jensen.refining import Refined
    from jensen.surprise import Surprise

RETRIES = 5
"""A run that is saved while it is loaded is loaded again, so often."""


class Fitted:
    """A model that has been fitted, and what it takes to use it on the user's own rows.

    `model` and `codec` do the work; `history` has a line a look at the training; `record` says where all of it came
    from (data hash, seed, settings, versions). `context_codec` encodes what a conditional model is conditioned on; it is
    None where the model was fitted to rows without a context. `objective` is what the fit was told to do, in the process
    that fitted; None once it was loaded, when the record alone says it in words.
    """

    objective: Objective | None = None

    def __init__(
        self,
        model: Model,
        codec: Codec,
        history: list[dict[str, Any]],
        record: dict[str, Any],
        context_codec: ContextCodec | None = None,
    ) -> None:
        self.model, self.codec, self.history, self.record = model, codec, history, record
        self.context_codec = context_codec

    @property
    def space(self) -> Space:
        """The space of the user's rows."""
        return self.codec.space

    @property
    def context_space(self) -> Space | None:
        """The space of the user's contexts, with the classes' labels; None without a context."""
        return None if self.context_codec is None else self.context_codec.space

    @property
    def can(self) -> Can:
        """What the model can do, less what its codec rules out."""
        return self.model.can

    @property
    def name(self) -> str:
        """The catalogue name of the model, or its class's."""
        return catalogue_name(type(self.model)) or type(self.model).__name__

    def sample(
        self,
        n: int,
        seed: int | None = None,
        context: Any = None,
        *,
        temperature: float = 1.0,
        sampler: str = "auto",
        batch: int = 256,
        watch: Callable[[int], None] | None = None,
    ) -> NDArray[Any]:
        """n rows (n, *shape) in the user's own units, drawn from the distribution that `score` scores.

        A density model of levels is the exception: its samples are rounded down to levels, those beyond the ends onto
        the ends, and `score` is a lower bound on the mass that this gives.

        The same seed gives the same rows on the same device; None draws a fresh one. `context`: for a conditional
        model one class or vector for all rows, or n of them. Autoregressive models alone take a `temperature` (below 1
        sharpens every site given the earlier ones: such rows do NOT follow `score`) and a `sampler` ("naive" makes a full
        pass a site, for checks; all give the same rows). Raises Cannot when the model does not sample, or not so.
        `watch` is told how many rows are done.
        """
        if not is_whole(n, 1, MOST - 1):
            raise UsageError(
                "expected at least one row to sample, a whole number", f"got n={said(n)}", "pass n=16, say"
            )
        n, batch = int(n), whole("batch", batch, 1)
        seed = None if seed is None else whole("seed", seed, 0)
        if Can.SAMPLE not in self.can:
            raise self.model.cannot(Can.SAMPLE)
        number("temperature", temperature, 0, inside=True)
        one_of("sampler", sampler, str, "'auto' or 'naive'", "leave it out")
        how: dict[str, Any] = {"temperature": temperature, "sampler": sampler}
        if (temperature, sampler) == (1, "auto"):
            how = {}
        elif not isinstance(self.model, Autoregressive):
            raise Cannot(
                "only autoregressive models have a temperature and samplers to choose from",
                f"got {', '.join(f'{key}={value}' for key, value in how.items())} for {self.name}",
                "leave them out, or fit made, pixelcnn, gated-pixelcnn or transformer",
            )
        given = contexts_to_sample(self.context_codec, self.name, context, n)
        generator = torch.Generator()
        generator.seed() if seed is None else generator.manual_seed(seed)
        self.model.eval()
        parts = []
        for start in range(0, n, batch):
            c = self.encoded_context(given, slice(start, start + batch))
            z = self.model.sample(min(batch, n - start), c, generator=generator, **how)
            # float64: a column far from zero (a time in seconds) has values that float32 cannot tell apart
            z = z.cpu().double() if z.is_floating_point() else z.cpu()
            parts.append(self.codec.decode(z).numpy())
            if watch is not None:
                watch(min(start + batch, n))
        return np.concatenate(parts)

    def sample_frame(self, n: int, seed: int | None = None, context: Any = None, *, like: Any = None) -> Any:
        """n sampled rows as a table: the names, labels, dates and whole numbers of the user's columns, gaps where there are.

        `like`: a DataFrame (pandas, polars, pyarrow, ...) whose library and types the result gets; None: an Arrow table.
        Real values are put on the steps and within the range that were seen. Raises SpaceError for images.
        """
        return as_frame(self.sample(n, seed, context), self.space, like)

    def score(
        self,
        rows: Any,
        k: int = 64,
        context: Any = None,
        *,
        seed: int = 0,
        method: str = "auto",
        width: float | None = None,
        levels: int | None = None,
        watch: Callable[[int], None] | None = None,
    ) -> Scores:
        """Log-likelihoods of `rows` in nats, in the user's own units, with their kind.

        `rows`: anything `jensen.rows` reads, in the space the model was fitted in; a Rows stands for its held-out
        part, anything else for all its rows (the scores' `how` says so when they are
        the data of the fit or its training part, and how bits were made of grey rows).
        `k`: importance samples or noise draws where the number is a bound (more is tighter).
        `context`: of a conditional model, whose numbers are log p(x | c): one class or vector for all rows or one a
        row, unless the rows bring it along (a Rows with context, a table with its columns).

        Of models with latents: `method` "importance" (k draws of the posterior) or "annealed" (k chains of `levels`
        levels, 300, annealed from it: dearer and tighter, where the weights of plain draws are poor); "auto" is exact
        where the model is, else importance. `width`: of the proposal, in posteriors; None: from k = 64 on the one that
        the end of the fit chose on validation rows (`record["width"]`), below that 1, where k = 1 is the ELBO. At one
        width no row's bound falls as k grows to 64. Three statements of the bound stay apart: `scores.mean()` has the
        interval over rows, `scores.on_these_rows()` that of Monte-Carlo noise, and the bound's distance to log p is in
        neither. `scores.certified()` holds whatever the weights; `how["weights"]` says how good they are.

        Raises SpaceError when the rows do not fit, Cannot when the model has no likelihood, UsageError for a context that is missing.
        """
        seed = whole("seed", seed, 0)
        source, given = rows_to_score(self.context_codec, self.name, rows, self.space, context)
        values, kind, how = log_likelihood(
            self.model,
            self.codec,
            source,
            k=k,
            seed=seed,
            watch=watch,
            context=self.encoded_context(given),
            method=method,
            width=width,
            chosen_width=self.record.get("width"),
            levels=levels,
        )
        how = {"model": self.name, "codec": type(self.codec).__name__, **how}
        if "unseen" in self.space.gaps:
            how["gaps"] = "unseen: of the values that are there"
        if given is not None and self.context_codec is not None:
            how |= {"context": list(self.context_codec.names), "context_hash": hash_rows(given.values)}
        scored = hash_rows(source)
        known = self.record.get("data", {})
        how |= _binarised(rows, source, scored, self.space, known)
        # the hash of a run is that of its grey rows
        origin = source.key if isinstance(source, Bits) and source.whole else scored
        if {scored, origin} & {known.get("hash"), known.get("train_hash")}:
            how["seen"] = "the model was fitted on these rows, or on a part of them"
        return Scores(values, kind, self.space.measure, self.space.dims, scored, how=how)

    def surprise(
        self,
        rows: Any,
        n: int = 10,
        *,
        ordinary: Any = None,
        draws: int = 64,
        context: Any = None,
        seed: int = 0,
    ) -> Surprise:
        """The n least likely of `rows`, and for each the columns to blame, in nats: see `jensen.surprise`.

        `rows`, `context`: as in `score`; of Rows the held-out part. The blame of a column is the log of the mean likelihood of
        the row with `draws` ordinary values in that column, less its own log-likelihood: near 0 for an ordinary
        value, large for one that the other columns speak against. `ordinary`: rows whose values are ordinary; None: the
        training part of Rows, else samples of the model. Costs columns x draws likelihoods a row. Raises Cannot for images and
        for a model without a likelihood.
        """
        from jensen.surprise import surprise

        return surprise(self, rows, n, ordinary=ordinary, draws=draws, context=context, seed=seed)

    def refine(self, rows: Any, *, seed: int = 0) -> Refined:
        """This model corrected by a critic that tells `rows` from its samples: log f1 = log f0 + logit - log Z.

        The critic learns from the training part of `rows` (anything `jensen.rows` reads, in the model's space), is
        calibrated on the validation part, and both models are judged on the test part, which must be rows that this
        model was not fitted to. The result has log-likelihood (where the model has one) and Jensen-Shannon divergence
        before and after, `sample` by rejection, `resample` by weight and, for models with log_prob, `score`: an estimate. Raises Cannot for a
        conditional model and one that does not sample, DataError for too few rows.
        """
        from jensen.refining import refine

        return refine(self, rows, seed)

    def encoded_context(self, given: Contexts | None, part: slice = slice(None)) -> Tensor | None:
        """Contexts as the model sees them, on its device."""
        if given is None or self.context_codec is None:
            return None
        return on_device(self.context_codec.encode(given.values[part]), *place(self.model))

    def complete(
        self,
        rows: Any,
        missing: Any = None,
        n: int = 1,
        *,
        particles: int = 256,
        seed: int | None = None,
        context: Any = None,
        watch: Callable[[int], None] | None = None,
    ) -> Completion:
        """n draws of the missing sites of every row from p(missing | observed), independent of each other.

        `rows`: anything `jensen.rows` reads (of Rows the held-out part); what missing sites hold does not matter.
        `missing`: bool, True where a site is to be drawn, of the shape of one row or one a row; None: the gaps of the
        rows, NaN in an array and empty cells of a table. Exact where the observed sites come before the missing ones
        in the model's order (`model.order`, flat sites). Otherwise every draw is that of a system of `particles` of
        its own, which walk the sites and are weighed by the observed ones: approximate, with the effective sample size
        (`ess`) and a JensenWarning below 10; more particles come closer. A model with latents draws and weighs `particles`
        latents for every completion (`jensen.imputing`), always approximate. Cost: n x rows x particles samples, one each
        where exact. The same seed gives the same completions on the same device; None draws a fresh one. `watch` is
        told how many completions are done. `context`: of a conditional model, as in `score`.

        Raises Cannot for a model that is neither autoregressive nor has latents, SpaceError
        for observed values outside the space, UsageError for a mask without missing or without observed sites.
        """
        return complete(
            self.model,
            self.codec,
            rows,
            missing,
            n,
            particles=particles,
            seed=seed,
            context=context,
            context_codec=self.context_codec,
            watch=watch,
        )

    def embed(self, rows: Any, context: Any = None) -> NDArray[Any]:
        """Features (n, d) of rows, given a `context` as in `score`, in eval mode. Raises Cannot for a model without.

        `rows`: anything `jensen.rows` reads, in the space the model was fitted in; of Rows the held-out part.
        """
        if Can.EMBED not in self.can:
            raise self.model.cannot(Can.EMBED)
        source, given = rows_to_score(self.context_codec, self.name, rows, self.space, context)
        batch = 512
        device, dtype = place(self.model)
        generator = torch.Generator().manual_seed(0)
        parts = []
        self.model.eval()
        with torch.no_grad(), full_float32(device):
            for start in range(0, len(source), batch):
                part = slice(start, start + batch)
                z, _ = self.codec.encode(as_tensor(source[part]), generator)
                h = self.model.embed(on_device(z, device, dtype), self.encoded_context(given, part))
                parts.append(one_vector_a_row(h, len(z)).cpu().numpy())
        found = np.concatenate(parts)
        broken = np.flatnonzero(~np.isfinite(found).all(1))
        if len(broken):
            raise DataError(
                "a row's features must be numbers",
                f"got nan or infinity for {len(broken)} rows, the first is row {broken[0]}",
                "leave out rows whose values are far outside what the model was fitted to",
            )
        return found

    def distribution(
        self, context: Any = None, *, batch: int | None = None, dtype: torch.dtype = torch.float32
    ) -> FittedDistribution:
        """This model as a `torch.distributions.Distribution` over rows (*shape) in the user's own units.

        `context`: of a conditional model, one, or with `batch` so many, which then is the batch_shape. `dtype`: of real
        samples. Raises Cannot for a model without exact log_prob, UsageError for a missing context.
        """
        return as_distribution(self, context, batch, dtype)

    def to(self, device: str | torch.device) -> Fitted:
        """Move the model to a device, in place. Raises UsageError for one that is not here."""
        self.model.to(usable_device(device))
        return self

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the run as a folder: model.safetensors, model.json, history.csv, card.md.

        They come to the disk together or not at all: after a crash or a power cut the folder holds the old run or the
        new one. Raises OutputError when the folder holds a run already, or another process is writing it.
        """
        with claim(path, overwrite) as folder:
            self.write_into(folder)
        return folder

    def write_into(self, folder: Path) -> None:
        """Write the run's files into a folder that is claimed already."""
        record = {
            "format": FORMAT,
            "model": model_record(self.model, catalogue_name(type(self.model))),
            "codec": self.codec.to_dict(),
            "context_codec": None if self.context_codec is None else self.context_codec.to_dict(),
            "can": list(abilities(self.can)),
            **self.record,
        }
        with all_or_nothing(folder) as place:
            weights = place("model.safetensors")
            write_tensors(weights, self.model.state_dict())
            place("history.csv").write_text(history_text(self.history), encoding="utf-8")
            place("card.md").write_text(card_text(self.name, self.space, record), encoding="utf-8")
            record["weights"] = digest(weights)
            place("model.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _binarised(
    given: Any, source: Any, scored: str, space: Space, known: Mapping[str, Any]
) -> dict[str, str]:
    """How the bits that were scored had been made: a part of what their number means."""
    if isinstance(given, Rows):
        made = given.space.binarisation
    elif isinstance(source, Bits):
        made = source.binarisation
    elif scored in (known.get("train_hash"), known.get("test_hash")):
        made = space.binarisation
    else:
        return {} if space.binarisation is None else {"binarisation": "not known, given as bits"}
    return {} if made is None else {"binarisation": made.how}


def load(path: str | Path, *, model: type[Model] | None = None, device: str = "cpu") -> Fitted:
    """Read a run that `Fitted.save` or `jensen fit --out` wrote. Nothing in the folder is executed.

    A model of the catalogue is found by its name; any other class must be passed as `model`. Raises DataError when
    a file is missing, damaged or from a newer version.
    """
    folder = as_path("a run", path, "pass the folder that fit wrote")
    one_of("model", model, (type, type(None)), "a Model class", "leave it out for a model of the catalogue")
    where = usable_device(device)
    for _ in range(RETRIES):
        before = _state(folder)
        try:
            return _load(folder, model).to(where)
        except DataError:
            if _state(folder) == before:
                raise  # nobody was writing it meanwhile
    return _load(folder, model).to(where)


def _load(folder: Path, model: type[Model] | None) -> Fitted:
    record = read_record(folder)
    cls = model or class_of(record["model"])
    if f"{cls.__module__}:{cls.__qualname__}" != record["model"]["class"]:
        raise UsageError(
            "the run was saved by another class",
            f"{record['model']['class']}, got {cls.__name__}",
            "pass that class",
        )
    weights = found(folder, "model.safetensors")
    tensors = load_tensors(weights)
    if digest(weights) != record["weights"]:
        raise DataError("weights and record of a run do not belong together", str(folder), AGAIN)
    with damage_named(folder):
        codec = codec_from_dict(record["codec"])
        given = record.get("context_codec") and ContextCodec.from_dict(record["context_codec"])
        built = build_checked(record["model"], cls, tensors)
    load_weights(built, tensors, weights)
    facts = {
        key: value
        for key, value in record.items()
        if key not in ("format", "model", "codec", "context_codec", "can", "weights")
    }
    return Fitted(built.eval(), codec, read_history(folder), facts, given)


def _state(folder: Path) -> list[Any]:
    """What changes when a run is saved into a folder."""
    facts = []
    for name in (PROMISE, "model.json", "model.safetensors"):
        with suppress(OSError):
            known = (folder / name).stat()
            facts.append((name, known.st_ino, known.st_mtime_ns))
    return facts
