"""How easily the samples of a model are told from held-out rows: one panel of fresh critics for every family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.critics.contest import LEAST_ROWS, split_parts
from jensen.critics.judgement import judge
from jensen.critics.platt import log_losses
from jensen.data import Rows
from jensen.data.grid import match_grid
from jensen.errors import Cannot
from jensen.quantity import Quantity
from jensen.sampled import check_sampled
from jensen.scoring import some_places

MOST = 2000
"""Held-out rows a critic sees at most, and as many samples."""

PANEL = ("trees", "mlp")
"""The same for every model, and for every kind of rows."""


@dataclass(frozen=True, eq=False)
class Fresh:
    """The bound and the losses -log D it is made of, nats: of samples (n0,) and of held-out rows (n1,), in the report's order.

    `rows`: which held-out rows those are; `samples`: how many there were in all.
    """

    jsd: Quantity
    on_samples: NDArray[np.float64]
    on_rows: NDArray[np.float64]
    rows: tuple[int, ...]
    samples: int


def fresh_jsd(fitted: Any, data: Rows, seed: int) -> Quantity:
    """The bound of `told_apart` alone."""
    return told_apart(fitted, data, seed).jsd


def told_apart(fitted: Any, data: Rows, seed: int) -> Fresh:
    """A lower bound of the Jensen-Shannon divergence, nats, between a model's samples and the held-out rows of some data.

    Rows, split, critics, their budget and their seeds are the same for every model that is given the same data and seed;
    the bound is judged on rows that no critic has seen. 0 says that these critics cannot tell, not that nothing can. Of a
    conditional model the samples are given the contexts of the rows, and the bound is one for the rows alone. Where gaps are
    unseen, samples are left out of sight as the held-out rows are, each like a row drawn at random. Raises
    Cannot for a model that does not sample, for samples of another space, and for fewer rows than a critic needs.
    """
    check_sampled(fitted, data)
    places = some_places(len(data.test), MOST, seed)
    if len(places) < LEAST_ROWS:
        raise Cannot(f"a critic needs {LEAST_ROWS} held-out rows", f"got {len(places)}", "hold out more rows")
    n = _count(fitted, len(places))
    given = None if data.context is None else data.context.held_out[places]
    drawn = _flat(fitted.sample(n, seed=seed, context=given))
    rows = _flat(np.asarray(data.test[places]))
    if "unseen" in data.space.gaps:
        drawn = hide_like(drawn, rows, seed)
    parts = split_parts(len(drawn), seed, 0), split_parts(len(rows), seed, 1)
    names = [str(site) for site in range(data.space.dims)]
    grid = match_grid(drawn[parts[0].train], rows[parts[1].train], data.space, names)
    found = judge(
        grid(drawn, 0), grid(rows, 1), data.space, seed=seed, names=_panel(data), parts=parts, permutations=1
    )
    how = {
        "critic": found.critic.name,
        "panel": list(_panel(data)),
        "limit": found.limit,
        "samples": n,
        "seed": seed,
    }
    bound = Quantity(
        found.jsd.value, found.jsd.kind, "nats", interval=found.jsd.interval, level=found.jsd.level,
        how={**found.jsd.how, **how, "saturated": found.saturated},
    )  # fmt: skip
    on_samples, on_rows = log_losses(found.l0, found.l1)
    return Fresh(bound, on_samples, on_rows, tuple(places[parts[1].report].tolist()), n)


def hide_like(samples: NDArray[np.float64], rows: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Samples (n, d) with nan where a row (m, d) drawn at random for each has it: what is unseen tells nothing apart."""
    chosen = np.random.default_rng([seed, 11]).integers(0, len(rows), len(samples))
    return np.where(np.isnan(rows[chosen]), np.nan, samples)


def _panel(data: Rows) -> tuple[str, ...]:
    return PANEL if data.space.dims <= 1024 else ("mlp", "cnn") if data.space.is_image else ("mlp",)


def _count(fitted: Any, rows: int) -> int:
    """As many samples as rows; of samples made elsewhere no more than there are."""
    have = int(fitted.record.get("samples", rows))
    if have < LEAST_ROWS:
        raise Cannot(f"a critic needs {LEAST_ROWS} samples", f"got {have}", "draw more of them")
    return min(rows, have)


def _flat(rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
