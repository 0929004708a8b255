"""One model of a comparison: scored, sampled and audited on the held-out rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jensen.adapt.samples import Samples
from jensen.auditing import audit
from jensen.checks import check_names
from jensen.checks.verdict import Verdict
from jensen.data import Contexts, Rows
from jensen.errors import Cannot, JensenError
from jensen.fitted import Fitted
from jensen.freshness import Fresh, told_apart
from jensen.functional.site_links import LARGE, SiteLinks
from jensen.insight import Insight, insight
from jensen.links import site_links
from jensen.model import Can, abilities
from jensen.quantity import Kind, Quantity, Scores
from jensen.scoring import some_places, some_rows
from jensen.train import Moment

SHOWN = 36
"""Rows sampled from every model, for the pictures and the sampling rate."""

WIDE, LONG = 1000, ("no_leak", "sampler_matches_log_prob")
"""Columns of a table from which on these checks, which then take minutes, are left to an audit."""


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
    fresh: Fresh | None = None
    why_no_jsd: str | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    links: SiteLinks | None = None
    insight: Insight | None = None

    @property
    def jsd(self) -> Quantity | None:
        """The bound by a fresh critic."""
        return None if self.fresh is None else self.fresh.jsd


def make_entry(title: str, fitted: Fitted, data: Rows, k: int, seed: int, tell: Stage) -> Entry:
    tell(title, "score")
    scores, why_not = None, None
    try:
        scores = scored(fitted, data, k, seed)
    except Cannot as error:
        why_not = f"cannot, because {error}"
    samples, rate = None, None
    if Can.SAMPLE in fitted.can:
        tell(title, "sample")
        begun = time.perf_counter()
        made_here = not isinstance(fitted.model, Samples)
        count = min(SHOWN, int(fitted.record.get("samples", SHOWN)))
        samples = fitted.sample(count, seed=seed, context=_shown_contexts(data))
        seconds = max(time.perf_counter() - begun, 1e-9)
        if made_here:
            rate = Quantity(count / seconds, Kind.ESTIMATE, "rows/s", how={"n": count, "batch": count})
    tell(title, "judge")
    fresh, why_no_jsd = _fresh(fitted, data, seed)
    tell(title, "look")
    seen = insight(fitted, data, seed)
    tell(title, "audit")
    return Entry(
        title,
        fitted,
        scores,
        why_not,
        samples,
        rate,
        fresh,
        why_no_jsd,
        _audit(fitted, data, seed),
        _links(fitted),
        seen,
    )


def scored(fitted: Fitted, data: Rows, k: int, seed: int) -> Scores:
    """The scores of the held-out rows. Raises Cannot for a model without a likelihood."""
    held_out = None if data.context is None else data.context.held_out
    return fitted.score(_held_out(fitted, data), k, held_out, seed=seed)


def _fresh(fitted: Fitted, data: Rows, seed: int) -> tuple[Fresh | None, str | None]:
    """What a fresh critic says, or why there is none."""
    try:
        return told_apart(fitted, data, seed), None
    except Cannot as error:
        return None, f"cannot, because {error}"


def _audit(fitted: Fitted, data: Rows, seed: int) -> list[Verdict]:
    """The checks of a model; rows made elsewhere promise nothing."""
    if isinstance(fitted.model, Samples):
        return []
    rows = some_rows(data.test, 64, seed)
    if data.space.is_image or data.space.dims <= WIDE:
        return audit(fitted, rows, seed=seed)
    told = f"not looked at in a comparison of {data.space.dims:,} columns: jensen audit does"
    left = [name for name in check_names() if name not in LONG]
    return [
        *(Verdict(name, None, told) for name in LONG),
        *audit(fitted, rows, seed=seed, checks=left),
    ]


def _shown_contexts(data: Rows) -> Contexts | None:
    """The contexts of the held-out rows that the pictures show, so that samples and rows are of the same mixture."""
    if data.context is None:
        return None
    return data.context.held_out[np.resize(some_places(len(data.test), SHOWN, 0), SHOWN)]


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


def entry_dict(entry: Entry, level: float) -> dict[str, Any]:
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
        "jsd": None if entry.jsd is None else entry.jsd.to_dict(),
        "why_no_jsd": entry.why_no_jsd,
        "sample_rate": None if entry.sample_rate is None else entry.sample_rate.to_dict(),
        "parameters": record.get("parameters"),
        "steps": run.get("steps", 0),
        "history": fitted.history,
        "audit": [verdict.to_dict() for verdict in entry.verdicts],
        "field": None if entry.links is None else entry.links.to_dict(),
        "latents": None if entry.insight is None else entry.insight.to_dict(),
    }


def _plain(hyper: Mapping[str, Any]) -> dict[str, Any]:
    simple = (int, float, str, bool, list, tuple, dict, type(None))
    return {key: value if isinstance(value, simple) else repr(value) for key, value in hyper.items()}


def _codec_name(record: Mapping[str, Any]) -> str:
    parts = record.get("parts")
    return " then ".join(part["codec"] for part in parts) if parts else str(record["codec"])
