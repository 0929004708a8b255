"""`jensen.compare`: several models, the same held-out rows, paired differences, proven orders."""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from jensen._version import __version__
from jensen.auditing import audit
from jensen.checks.verdict import Verdict
from jensen.conditioning import check_comparable
from jensen.context import context_facts
from jensen.data import Contexts, Rows
from jensen.data import rows as read_rows
from jensen.errors import Cannot, Incomparable, JensenError, SpaceError, UsageError
from jensen.fitted import Fitted
from jensen.fitting import check_seed, fit, split_identity
from jensen.functional.site_links import LARGE, SiteLinks
from jensen.links import site_links
from jensen.model import Can, abilities
from jensen.models import CATALOGUE, model_class
from jensen.plan import Plan
from jensen.quantity import Answer, Kind, Order, Quantity, Scores, order
from jensen.scoring import some_places, some_rows
from jensen.space import Space
from jensen.train import Moment, Watch

SHOWN = 36
"""Rows sampled from every model, for the pictures and the sampling rate."""


class Stage(Protocol):
    """Somebody who follows a comparison: told which model is at which stage, and the moments of its training."""

    def __call__(self, model: str, stage: str, moment: Moment | None = None) -> None: ...


@dataclass
class Entry:
    """One model of a comparison: the fitted model, its scores or the reason why there are none, its samples."""

    name: str
    fitted: Fitted
    scores: Scores | None
    why_not: str | None
    samples: NDArray[Any] | None
    sample_rate: Quantity | None
    verdicts: list[Verdict] = field(default_factory=list)
    links: SiteLinks | None = None


@dataclass
class PairOrder:
    """Two models and what their paired differences prove; `better` has the larger mean."""

    better: str
    worse: str
    order: Order


class Comparison:
    """Models scored on the same held-out rows."""

    def __init__(self, data: Rows, entries: Sequence[Entry], level: float, facts: Mapping[str, Any]) -> None:
        self.data, self.level, self.facts = data, level, dict(facts)
        self.entries = sorted(entries, key=_rank)

    def orders(self) -> list[PairOrder]:
        """Every pair of scored models once. All the pairs together are right with probability `level` (Bonferroni)."""
        scored = [entry for entry in self.entries if entry.scores is not None]
        pairs = list(itertools.combinations(scored, 2))
        level = 1 - (1 - self.level) / max(len(pairs), 1)
        found = []
        for first, second in pairs:
            assert first.scores is not None and second.scores is not None
            found.append(PairOrder(first.name, second.name, order(first.scores, second.scores, level)))
        return found

    def proven(self) -> list[PairOrder]:
        """The orders that are proven."""
        return [pair for pair in self.orders() if pair.order.answer is Answer.PROVEN]

    def table(self) -> str:
        """The table as aligned plain text."""
        from jensen.report.tables import plain_table

        return plain_table(self.to_dict())

    def to_html(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the report: one HTML file that needs nothing else. Returns where it is."""
        from jensen.report import Pictures, write_report

        samples = {entry.name: entry.samples for entry in self.entries if entry.samples is not None}
        pictures = Pictures(self.data.space, some_rows(self.data.test, SHOWN, 0), samples)
        return write_report(self.to_dict(), pictures, Path(path), overwrite=overwrite)

    def to_dict(self) -> dict[str, Any]:
        """The whole comparison in plain JSON types."""
        data = self.data
        return {
            "jensen": __version__,
            "title": data.name
            if data.context is None
            else f"{data.name} given {', '.join(data.context.names)}",
            "data": {
                "name": data.name,
                "hash": data.hash,
                "space": data.space.describe(),
                "measure": data.space.measure,
                "dims": data.space.dims,
                "counts": data.counts,
                "notes": [*data.notes, *self.facts.get("warnings", [])],
                "split_seed": data.seed,
                **context_facts(data),
            },
            "models": [_entry_dict(entry, self.level) for entry in self.entries],
            "orders": [
                {
                    "better": pair.better,
                    "worse": pair.worse,
                    "answer": pair.order.answer.value,
                    "difference": pair.order.difference.to_dict(),
                }
                for pair in self.orders()
            ],
            "order_level": self.level,
            "orders_note": "all pairs together (Bonferroni), for rows like these and these weights",
            "record": self.facts,
        }

    def __repr__(self) -> str:
        return self.table()


def compare(
    models: str | Fitted | Sequence[str | Fitted] | Mapping[str, str | Fitted] | None,
    rows: Any,
    *,
    lens: None = None,
    seed: int = 0,
    steps: int | None = None,
    seconds: float | None = None,
    plan: Plan | None = None,
    k: int = 64,
    level: float = 0.95,
    device: str = "auto",
    command: str = "",
    watch: Stage | None = None,
    context: Any = None,
) -> Comparison:
    """Fit what is named, take what is fitted, and score all of it on the same held-out rows.

    `models`: names of the catalogue, fitted models, or a mapping from titles to either; None is the default line-up
    for the rows. `rows`: anything
    `jensen.rows` reads; its training part fits the named models, its held-out part scores all. `steps`, `seconds`:
    the budget of each model that trains. `k`: draws for numbers that are bounds. `level`: of the intervals, and of
    all proven orders together. `context`: as for `jensen.rows`; every model then states log p(row | context), and the
    default line-up holds the models that can. Raises UsageError for unknown names, SpaceError when a model cannot take
    the rows, Cannot when it takes no context, Incomparable for a fitted model with a context among rows without one,
    or the other way round.

    >>> import jensen
    >>> result = jensen.compare(["independent"], "digits")
    >>> [entry.name for entry in result.entries]
    ['independent']
    """
    if lens is not None:
        raise Cannot("no metric of this version uses a lens", f"got {type(lens).__name__}", "leave lens out")
    if not 0 < level < 1:
        raise UsageError("a level lies between 0 and 1", f"got {level}", "0.95 is usual")
    check_seed(seed)
    data = read_rows(rows, context=context)
    chosen = _titled(line_up(data) if models is None else models)
    check_comparable(chosen, data)
    _refuse_other_bits(chosen, data)
    started, begun = datetime.now(UTC), time.perf_counter()
    tell: Stage = watch or _silent
    entries = []
    for title, item in chosen.items():
        if isinstance(item, str):
            tell(title, "fit")
            on_moment = _relay(tell, title)
            item = fit(
                item, data, steps=steps, seconds=seconds, seed=seed, plan=plan, device=device, watch=on_moment
            )
        entries.append(_entry(title, item, data, k, seed, tell))
    facts = {
        "warnings": [*_strangers(chosen, data)],
        "command": command,
        "seed": seed,
        "k": k,
        "started": started.isoformat(timespec="seconds"),
        "seconds": time.perf_counter() - begun,
        "threads": torch.get_num_threads(),
        "device": next(
            (str(entry.fitted.record["device"]) for entry in entries if "device" in entry.fitted.record),
            device,
        ),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "processor": processor(),
    }
    return Comparison(data, entries, level, facts)


def line_up(rows: Rows) -> list[str]:
    """The default models for some rows: the baseline and the flagship of each family that takes them."""
    kind = rows.space.kind
    if kind == "mixed":
        discrete = [
            column.name or str(i) for i, column in enumerate(rows.space.columns) if column.kind != "real"
        ]
        raise SpaceError(
            "no model of this version takes real and discrete columns together",
            f"got {rows.space.describe()}",
            f"drop the discrete ones (drop={discrete}), or make all columns of one kind with kinds",
        )
    names = ["independent"]
    if kind in ("real", "levels", "binary"):
        names.append("mixture")
    names.append("made")
    if kind != "real" and rows.space.is_image:
        names.append("pixelcnn")
    if rows.context is not None:
        names = [name for name in names if model_class(name).takes_context]
        if not names:
            able = [
                one
                for one in CATALOGUE
                if model_class(one).takes_context and kind in model_class(one).accepts
            ]
            raise Cannot(
                "no model of the default line-up takes a context on such rows",
                f"got {rows.space.describe()}, {rows.context.describe()}",
                f"leave context out{', or name ' + ' or '.join(able) if able else ''}",
            )
    return names


def processor() -> str:
    """The processor's own name and the cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            name = next(line.split(":", 1)[1].strip() for line in handle if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def _entry(title: str, fitted: Fitted, data: Rows, k: int, seed: int, tell: Stage) -> Entry:
    tell(title, "score")
    scores, why_not = None, None
    try:
        held_out = None if data.context is None else data.context.held_out
        scores = fitted.score(_held_out(fitted, data), k, held_out, seed=seed)
    except Cannot as error:
        why_not = f"cannot, because {error}"
    samples, rate = None, None
    if Can.SAMPLE in fitted.can:
        tell(title, "sample")
        begun = time.perf_counter()
        samples = fitted.sample(SHOWN, seed=seed, context=_shown_contexts(data))
        seconds = max(time.perf_counter() - begun, 1e-9)
        rate = Quantity(SHOWN / seconds, Kind.ESTIMATE, "rows/s", how={"n": SHOWN, "batch": SHOWN})
    tell(title, "audit")
    return Entry(
        title,
        fitted,
        scores,
        why_not,
        samples,
        rate,
        audit(fitted, some_rows(data.test, 64, seed), seed=seed),
        _links(fitted),
    )


def _shown_contexts(data: Rows) -> Contexts | None:
    """The contexts of the held-out rows that the pictures show, so that samples and rows are of the same mixture."""
    if data.context is None:
        return None
    return data.context.held_out[np.resize(some_places(len(data.test), SHOWN, 0), SHOWN)]


def _refuse_other_bits(chosen: Mapping[str, str | Fitted], data: Rows) -> None:
    """Raise Incomparable, before anything is fitted, when models would make different bits of grey rows."""
    ways = {
        title: "grey rows"
        if isinstance(item, str) or not item.space.binarisation
        else item.space.binarisation.how
        for title, item in chosen.items()
    }
    if data.space.kind != "binary" and len(set(ways.values())) > 1:
        raise Incomparable(
            "the models were fitted to other binarisations of grey rows",
            ", ".join(f"{title}: {way}" for title, way in ways.items()),
            "pass binarise='dynamic' or binarise=0.5 where the rows are read, to score all on the same bits",
        )


def _held_out(fitted: Fitted, data: Rows) -> Any:
    """The rows to score: as Rows where the spaces agree, for then the scores can say how bits were made."""
    return data if fitted.space.binarised(None) == data.space.binarised(None) else data.test


def _links(fitted: Fitted) -> SiteLinks | None:
    """What the site in the middle of an autoregressive model sees; None for others, and for rows of many sites."""
    if fitted.space.dims > LARGE or not hasattr(fitted.model, "conditionals"):
        return None
    try:
        return site_links(fitted)
    except JensenError:  # no_leak names the operation without a rule
        return None


def _entry_dict(entry: Entry, level: float) -> dict[str, Any]:
    fitted, record = entry.fitted, entry.fitted.record
    run = record.get("run", {})
    mean = None if entry.scores is None else entry.scores.mean(level)
    bits = None if entry.scores is None else entry.scores.bits_per_dim.mean(level)
    cls = type(fitted.model)
    return {
        "name": entry.name,
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "about": (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else "",
        "hyper": _plain(fitted.model.hyper),
        "abilities": list(abilities(fitted.can)),
        "codec": _codec_name(fitted.codec.to_dict()),
        "log_likelihood": None if mean is None else mean.to_dict(),
        "bits_per_dim": None if bits is None or fitted.space.measure != "mass" else bits.to_dict(),
        "why_not": entry.why_not,
        "fit_seconds": run.get("seconds"),
        "stopped": run.get("stopped", ""),
        "sample_rate": None if entry.sample_rate is None else entry.sample_rate.to_dict(),
        "parameters": record.get("parameters"),
        "steps": run.get("steps", 0),
        "history": fitted.history,
        "audit": [verdict.to_dict() for verdict in entry.verdicts],
        "field": None if entry.links is None else entry.links.to_dict(),
    }


def _plain(hyper: Mapping[str, Any]) -> dict[str, Any]:
    simple = (int, float, str, bool, list, tuple, dict, type(None))
    return {key: value if isinstance(value, simple) else repr(value) for key, value in hyper.items()}


def _codec_name(record: Mapping[str, Any]) -> str:
    parts = record.get("parts")
    return " then ".join(part["codec"] for part in parts) if parts else str(record["codec"])


def _titled(
    models: str | Fitted | Sequence[str | Fitted] | Mapping[str, str | Fitted],
) -> dict[str, str | Fitted]:
    if isinstance(models, Mapping):
        titled = dict(models)
    else:
        titled = {}
        for item in [models] if isinstance(models, (str, Fitted)) else models:
            _check_model(item)
            title = base = item if isinstance(item, str) else item.name
            number = itertools.count(2)
            while title in titled:
                title = f"{base}-{next(number)}"
            titled[title] = item
    if not titled:
        raise UsageError("expected at least one model", "got none", f"known: {', '.join(CATALOGUE)}")
    for item in titled.values():
        _check_model(item)
        if isinstance(item, str):
            model_class(item)
    return titled


def _check_model(item: object) -> None:
    if not isinstance(item, (str, Fitted)):
        raise UsageError(
            "expected names of models and fitted models",
            f"got {type(item).__name__}",
            f"known: {', '.join(CATALOGUE)}",
        )


def _strangers(chosen: Mapping[str, str | Fitted], data: Rows) -> list[str]:
    """What must be said of fitted models that did not come from this split of these rows."""
    said = []
    for title, item in chosen.items():
        source = {} if isinstance(item, str) else item.record.get("data", {})
        if not isinstance(item, str) and (
            source.get("hash"),
            source.get("split_seed"),
            source.get("counts"),
        ) != split_identity(data):
            said.append(
                f"{title} was fitted to other data or another split: it may have seen the rows scored here"
            )
        if not isinstance(item, str) and item.space.binarisation != data.space.binarisation:
            said.append(
                f"{title} was fitted to {_how_made(item.space)}, the rows here are {_how_made(data.space)}"
            )
    return said


def _how_made(space: Space) -> str:
    made = space.binarisation
    return "rows that are not binarised" if made is None else f"rows {made.describe()} from {made.grey()}"


def _relay(tell: Stage, title: str) -> Watch:
    def watch(moment: Moment) -> None:
        tell(title, "fit", moment)

    return watch


def _silent(model: str, stage: str, moment: Moment | None = None) -> None:
    return None


def _rank(entry: Entry) -> float:
    return float("inf") if entry.scores is None else -float(entry.scores.values.mean())
