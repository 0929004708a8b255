"""`jensen.compare`: several models, the same held-out rows, paired differences, proven orders."""

from __future__ import annotations

import itertools
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jensen._version import __version__
from jensen.adapt.samples import samples_of
from jensen.arguments import number, one_of, said
from jensen.conditioning import check_comparable
from jensen.context import context_facts
from jensen.data import Rows
from jensen.data import rows as read_rows
from jensen.entry import SHOWN, Entry, Stage, entry_dict, make_entry, scored
from jensen.errors import UsageError
from jensen.fidelity import Fidelity, look_at_tables
from jensen.fitted import Fitted
from jensen.fitting import check_seed, fit
from jensen.functional.counts import check_draws, check_whole
from jensen.lens import lens_for, lens_unasked
from jensen.lensing import Gallery, look
from jensen.lineup import line_up, refuse_other_bits, strangers, titled
from jensen.plan import Plan
from jensen.quantity import Answer, Scores, order
from jensen.repeating import Methods, PairOrder, methods_of
from jensen.scoring import some_rows
from jensen.separation import ABOUT, Separation, separations
from jensen.train import Moment, Watch


class Comparison:
    """Models scored on the same held-out rows; `seen`: their samples through a lens, where there is one; `methods`: what
    several seeds say of the way the models are made, where there are several; `fidelity`: their samples as a table, where
    the rows are one."""

    def __init__(
        self,
        data: Rows,
        entries: Sequence[Entry],
        level: float,
        facts: Mapping[str, Any],
        seen: Gallery | None = None,
        methods: Methods | None = None,
        fidelity: Fidelity | None = None,
    ) -> None:
        self.data, self.level, self.facts, self.seen, self.methods = data, level, dict(facts), seen, methods
        self.fidelity = fidelity
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

    def separations(self) -> list[Separation]:
        """Every pair of models that sample, by how easily fresh critics tell their samples from the same held-out rows.

        About the critics' bounds, which order no divergences; decided or not by a paired bootstrap, all pairs together at
        `level` (Bonferroni).
        """
        return list(self._separations)

    @cached_property
    def _separations(self) -> list[Separation]:
        """Once: the text, the page and the record all ask, and each answer redraws the rows some thousand times."""
        told = {entry.name: entry.fresh for entry in self.entries if entry.fresh is not None}
        return separations(told, self.level, int(self.facts.get("seed", 0)))

    def table(self) -> str:
        """The table as aligned plain text, below it whose samples are told apart more easily, and what a lens and single
        columns show."""
        from jensen.report.fidelity import fidelity_lines
        from jensen.report.lens_table import lens_lines
        from jensen.report.methods import method_lines
        from jensen.report.tables import plain_table, separation_lines

        record = self.to_dict()
        below = (method_lines, separation_lines, lens_lines, fidelity_lines)
        return "\n".join([plain_table(record), *(line for lines in below for line in lines(record))])

    def _repr_html_(self) -> str:
        """For notebooks: the table, what is proven, and which checks fail."""
        from jensen.report.inline import comparison_html

        return comparison_html(self.to_dict())

    def to_html(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the report: one HTML file that needs nothing else. Returns where it is."""
        from jensen.report import Pictures, write_report

        samples = {entry.name: entry.samples for entry in self.entries if entry.samples is not None}
        views = None if self.seen is None else self.seen.views
        insights = {entry.name: entry.insight for entry in self.entries if entry.insight is not None}
        real = some_rows(self.data.test, SHOWN, 0)
        if self.fidelity is not None:  # of a table there are more
            real = self.fidelity.real
            samples |= {one.name: one.samples for one in self.fidelity.likenesses if one.samples is not None}
        pictures = Pictures(self.data.space, real, samples, views, insights)
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
            "models": [entry_dict(entry, self.level) for entry in self.entries],
            "orders": [pair.to_dict() for pair in self.orders()],
            "separations": [one.to_dict() for one in self.separations()],
            "separations_note": f"about {ABOUT}",
            "methods": None if self.methods is None else self.methods.to_dict(),
            "lens": None if self.seen is None else self.seen.to_dict(),
            "fidelity": None if self.fidelity is None else self.fidelity.to_dict(),
            "order_level": self.level,
            "orders_note": "all pairs together (Bonferroni), for rows like these and these weights",
            "record": self.facts,
        }

    def __repr__(self) -> str:
        return self.table()


def compare(
    models: str | Fitted | Sequence[str | Fitted] | Mapping[str, Any] | None,
    rows: Any,
    *,
    lens: str | Fitted | None = "auto",
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
    seeds: int = 1,
) -> Comparison:
    """Fit what is named, take what is fitted, and score all of it on the same held-out rows.

    `models`: names of the catalogue, fitted models, or a mapping from titles to either, or to samples made elsewhere: an
    array, a frame or a Path, which enters as a model that can only sample; None is the default line-up for the rows. `rows`: anything
    `jensen.rows` reads; its training part fits the named models, its held-out part scores all. `steps`, `seconds`:
    the budget of each model that trains. `k`: draws for numbers that are bounds. `level`: of the intervals, and of
    all proven orders together. `context`: as for `jensen.rows`; every model then states log p(row | context), and the
    default line-up holds the models that can. `lens`: a fitted encoder, in whose features samples of every model are held
    against held-out rows, beside real rows, a Gaussian control and a second space; "train" for one fitted to the training
    rows (300 steps, or a third of the seconds of a model); "auto" for the same on images alone, with 500 training rows
    and a budget of 150 steps or more, of which it takes a third at most; None for no such numbers. `seeds`: every named
    model is fitted so many times, with seed, seed + 1, ..., and `methods` says what that proves of the methods; table,
    orders and page are of the first. Raises UsageError for unknown names, SpaceError when a model cannot take the rows, Cannot when it takes no context, Incomparable for a fitted model with a context among rows without one,
    or the other way round.

    >>> import jensen
    >>> result = jensen.compare(["independent"], "wine")
    >>> [entry.name for entry in result.entries]
    ['independent']
    """
    number("a level", level, 0, 1, "0.95 is usual", inside=True)
    if watch is not None and not callable(watch):
        raise UsageError("watch is called with stages", f"got {said(watch)}", "leave it out")
    one_of(
        "lens",
        lens,
        (str, Fitted, type(None)),
        "a fitted encoder, 'train' or 'auto'",
        "pass None for no lens",
    )
    one_of("plan", plan, (Plan, type(None)), "a Plan", "pass jensen.Plan(steps=500), say")
    check_seed(seed)
    seed = int(seed)
    check_whole("seeds", seeds, 1, "fits of every named model", "1 for these weights alone, 5 for the method")
    check_draws(k)
    data = read_rows(rows, context=context)
    if isinstance(models, Mapping):
        models = {t: m if isinstance(m, (str, Fitted)) else _drawn(t, m, data) for t, m in models.items()}
    chosen = titled(line_up(data) if models is None else models)
    check_comparable(chosen, data)
    refuse_other_bits(chosen, data)
    started, begun = datetime.now(UTC), time.perf_counter()
    tell: Stage = watch or _silent
    budget = (
        plan if steps is None and seconds is None else (plan or Plan()).replaced(steps=steps, seconds=seconds)
    )
    eye, doubt = None, ""
    if lens == "auto":
        eye, doubt = lens_unasked(data, budget or Plan(), seed, device, tell)
    elif lens is not None:
        eye = lens_for(lens, data, budget or Plan(), seed, device, tell)
    entries, scores = [], dict[str, list[Scores]]()
    for title, item in chosen.items():
        named = item
        if isinstance(item, str):
            train = partial(
                _trained, item, data, steps=steps, seconds=seconds, plan=plan, device=device, tell=tell
            )
            item = train(title, seed=seed)
        entry = make_entry(title, item, data, k, seed, tell)
        entries.append(entry)
        if isinstance(named, str) and seeds > 1 and entry.scores is not None:
            others = (train(title, seed=seed + more) for more in range(1, seeds))
            scores[title] = [entry.scores, *(scored(other, data, k, seed) for other in others)]
    seen = None if eye is None else look(eye, entries, data, seed, tell)
    fidelity = look_at_tables(entries, data, seed, tell)
    facts = {
        "warnings": [*strangers(chosen, data), *([doubt] if doubt else [])],
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
    methods = methods_of(scores, range(seed, seed + seeds), level) if scores else None
    return Comparison(data, entries, level, facts, seen, methods, fidelity)


def _trained(
    name: str,
    data: Rows,
    title: str,
    *,
    seed: int,
    plan: Plan | None,
    device: str,
    tell: Stage,
    **budget: Any,
) -> Fitted:
    tell(title, "fit")
    return fit(name, data, seed=seed, plan=plan, device=device, watch=_relay(tell, title), **budget)


def _drawn(title: str, source: Any, data: Rows) -> Any:
    """Samples made elsewhere as a model; what is neither a path nor like an array is left for the error that names it."""
    if not (isinstance(source, (Path, list)) or hasattr(source, "__array__") or hasattr(source, "columns")):
        return source
    return samples_of(title, source, data.space)


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


def _relay(tell: Stage, title: str) -> Watch:
    def watch(moment: Moment) -> None:
        tell(title, "fit", moment)

    return watch


def _silent(model: str, stage: str, moment: Moment | None = None) -> None:
    return None


def _rank(entry: Entry) -> float:
    return float("inf") if entry.scores is None else -float(entry.scores.values.mean())
