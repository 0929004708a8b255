"""`jensen.divergence`: are these two sets of rows from one law, and where do they differ?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.arguments import texts, whole
from jensen.critics import Features, panel
from jensen.critics.contest import LEAST_ROWS, SHARES, Parts, split_parts
from jensen.critics.judgement import Judgement, judge
from jensen.critics.telescope import Telescope, telescope
from jensen.data.grid import match_grid
from jensen.data.pair import Pair, read_pair
from jensen.discrepancy import Divergence
from jensen.errors import Cannot, UsageError
from jensen.quantity import Kind, Quantity
from jensen.shifts import SIGNIFICANT, column_shifts, row_shifts, shuffle_losses
from jensen.sides import Sides
from jensen.space import Space

Array = NDArray[Any]

FEW_ROWS = 400
"""Below so many rows on a side only large differences show."""

FAR_FROM_ONE = 0.1
"""A normaliser off by more, beyond its noise, makes the log ratio doubtful by as many nats."""


def divergence(
    a: Any,
    b: Any,
    *,
    seed: int = 0,
    columns: Sequence[str] = (),
    drop: Sequence[str] = (),
    features: Features | Any | None = None,
    critics: Sequence[str] | None = None,
    most: int = 50_000,
) -> Divergence:
    """How far the laws behind two sets of rows are apart, as a lower bound of their Jensen-Shannon divergence.

    A panel of critics learns to tell the rows apart on one half of either side; one is calibrated and chosen on a
    second part, and judged once on the rest. Rows must be independent: of a time series, or of rows that share a
    patient, the limits and the p-value are too sure. This is drift detection, and a test of any generator's samples.

    a, b: whatever `jensen.rows` reads, at least 40 rows each; of Rows their test part. Texts are categories, an empty
        cell is a value of its own. A side that ignores the other's grid (whole numbers, cents) is rounded to it first.
    seed: of the split and of the critics. The same seed, rows and number of threads give the same numbers.
    columns, drop: compare only these columns, or all but these.
    features: a function from rows (n, *shape) to vectors (n, f), or anything with `embed`: one critic more.
    critics: only these of the panel: trees, mlp, quadratic, cnn, lens.
    most: rows a side; of more a random part is taken.

    Raises DataError for data that cannot be read or compared, UsageError for arguments out of range.

    >>> rng = np.random.default_rng(0)
    >>> found = divergence(rng.normal(0, 1, (600, 2)), rng.normal(0.8, 1, (600, 2)), critics=["quadratic"])
    >>> found.different, found.jsd
    (True, >= 0.159 nats [0.081, 0.223])
    >>> found.log_ratio([[0.4, 0.4], [2.0, 2.0]]).round(1).tolist()
    [-0.1, 2.8]
    """
    seed = whole("seed", seed, 0)
    most = whole("most", most, 1)
    if most < LEAST_ROWS:
        raise UsageError("most is at least 40", f"got most={most}", "leave it out")
    pair = read_pair(a, b, columns=_names(columns), drop=_names(drop), least=LEAST_ROWS, most=most, seed=seed)
    chosen, lens = None if critics is None else tuple(_names(critics)), _embedding(features)
    panel(pair.space, lens, chosen)  # what was asked for is there, before anything else is said
    if _marks(pair.a) == _marks(pair.b):
        return _nothing("both sides hold the same rows: nothing can tell them apart", pair)
    keep, notes = _varying(pair)
    if not len(keep):
        return _nothing("every column is one constant, the same on both sides", pair)
    space, names = _kept(pair, keep)
    x0, x1 = pair.a[:, keep], pair.b[:, keep]
    parts = split_parts(len(x0), seed, 0), split_parts(len(x1), seed, 1)
    grid = match_grid(x0[parts[0].train], x1[parts[1].train], space, names)
    x0, x1 = grid(x0, 0), grid(x1, 1)
    found = judge(x0, x1, space, seed=seed, features=lens, names=chosen, parts=parts)
    bridged, why = _bridged(x0, x1, space, found, seed)
    at = found.parts[0].report, found.parts[1].report
    r0, r1, where = x0[at[0]], x1[at[1]], (pair.where[0][at[0]], pair.where[1][at[1]])
    losses = shuffle_losses(found.l0, found.l1, r0, r1, found.critic, seed) if not space.is_image else None

    def ratio(rows: Any) -> NDArray[np.float64]:
        x = grid(grid(pair.encode(rows)[:, keep], 0), 1)
        return found.critic(x) if bridged is None else bridged.logit(x)

    return Divergence(
        found.jsd,
        found.limit,
        found.p_value,
        found.saturated,
        found.accuracy,
        found.gap,
        found.normaliser,
        column_shifts(x0, x1, space, names, losses),
        row_shifts(found.l0, found.l1, where),
        None if bridged is None else bridged.kl(r1),
        why,
        found.critic.name,
        found.critic.chances,
        (*pair.notes, *notes, *grid.notes, *_doubts(x0, x1, found)),
        _provenance(pair, found, seed),
        ratio,
        Sides(space, names, x0, x1, (found.l0, found.l1), at, where),
    )


def _marks(x: Array) -> Counter[int]:
    """How often each row occurs; a hash stands for it, since images are long."""
    return Counter(hash(row.tobytes()) for row in x + 0.0)  # -0 is 0


def _names(given: Sequence[str]) -> list[str]:
    return texts("a choice of columns or critics", given)


def _embedding(features: Any) -> Features | None:
    found: Callable[[Any], Any] | None = getattr(features, "embed", features)
    if found is not None and not callable(found):
        raise UsageError(
            "features is a function from rows to vectors", f"got {type(found).__name__}", "or has embed(rows)"
        )
    return found


def _varying(pair: Pair) -> tuple[Array, tuple[str, ...]]:
    """The columns in which any two rows differ, and what to say of the others and of those that are all one on a side."""
    same = [_equal(x, pair.a[0]) for x in (pair.a, pair.b)]
    constant = same[0] & same[1]
    notes = []
    if constant.any():
        notes.append(f"left out, one constant on both sides: {_some(pair, constant)}")
    apart = same[0] & _equal(pair.b, pair.b[0]) & ~constant
    if apart.any():
        notes.append(f"one constant on each side, not the same: {_some(pair, apart)}")
    return np.flatnonzero(~constant) if not pair.space.is_image else _all_or_none(constant), tuple(notes)


def _equal(x: Array, row: Array) -> Array:
    """Which columns of rows (n, d) hold what `row` holds, gaps included."""
    found: Array = ((x == row) | (np.isnan(x) & np.isnan(row))).all(0)
    return found


def _all_or_none(constant: Array) -> Array:
    """Images keep every pixel while any varies: their shape is needed."""
    return np.arange(0 if constant.all() else len(constant))


def _some(pair: Pair, sites: Array) -> str:
    names = [pair.names[site] for site in np.flatnonzero(sites)] if not pair.space.is_image else []
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}" if names else f"{int(sites.sum())} pixels"


def _kept(pair: Pair, keep: Array) -> tuple[Space, tuple[str, ...]]:
    if pair.space.is_image:
        return pair.space, tuple(map(str, range(pair.space.dims)))
    columns = tuple(pair.space.column(site) for site in keep)
    return Space((len(keep),), columns), tuple(pair.names[site] for site in keep)


def _bridged(x0: Array, x1: Array, space: Space, found: Judgement, seed: int) -> tuple[Telescope | None, str]:
    """The telescoped ratio where one critic is saturated, or why there is none."""
    if not found.saturated:
        return None, ""
    # nothing is chosen by these rows, so that those for choosing may be learnt from as well
    k0, k1 = (np.concatenate([part.train, part.choose]) for part in found.parts)
    try:
        return telescope(x0[k0], x1[k1], space, seed), ""
    except Cannot as error:
        return None, str(error)


def _doubts(x0: Array, x1: Array, found: Judgement) -> tuple[str, ...]:
    notes = []
    few = min(len(x0), len(x1))
    if few < FEW_ROWS and found.p_value > SIGNIFICANT:
        notes.append(f"{few} rows on the smaller side: only large differences show")
    counted, others = _marks(x0), _marks(x1)
    shared = sum(times for mark, times in others.items() if mark in counted)
    repeated = sum(times for times in counted.values() if times > 1) / len(x0)
    if shared / len(x1) > 3 * repeated + 0.01:  # more than coincidence, as between the rows of a themselves
        notes.append(f"{shared:,} rows of b also are rows of a: rows on both sides make the two look alike")
    low, high = found.normaliser.interval or (-math.inf, math.inf)
    if not low <= 1 <= high and abs(found.normaliser.value - 1) > FAR_FROM_ONE and not found.saturated:
        notes.append(f"the ratio does not normalise (Z {found.normaliser}): log_ratio is to be doubted")
    if found.saturated:
        notes.append("near log 2 the bound no longer says how far apart: compare features or fewer columns")
    return tuple(notes)


def _provenance(pair: Pair, found: Judgement, seed: int) -> dict[str, Any]:
    sizes = {
        side: {"rows": len(x), **_sizes(part)} for side, x, part in zip("ab", (pair.a, pair.b), found.parts)
    }
    return {
        **sizes,
        "seed": seed,
        "shares": list(SHARES),
        "space": pair.space.describe(),
        "bound": found.critic.bound,
        "platt": found.critic.platt._asdict(),
        "clip": found.critic.clip,
        "permutations": found.permutations,
    }


def _sizes(parts: Parts) -> dict[str, int]:
    return {name: len(rows) for name, rows in parts._asdict().items()}


def _nothing(why: str, pair: Pair) -> Divergence:
    """The answer where the rows themselves are the same: no critic is needed."""
    zero = {"bound": "no divergence is negative"}
    return Divergence(
        Quantity(0.0, Kind.LOWER, "nats", how=zero),
        0.0,
        1.0,
        False,
        Quantity(0.5, Kind.ESTIMATE),
        Quantity(0.0, Kind.ESTIMATE, "nats"),
        Quantity(1.0, Kind.ESTIMATE),
        notes=(*pair.notes, why),
        how={"a": {"rows": len(pair.a)}, "b": {"rows": len(pair.b)}, "space": pair.space.describe()},
    )
