"""A fitted model corrected by a critic: f1 = f0 D / (1 - D), and its samples drawn again by what the critic says."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jensen.context import rows_to_score
from jensen.critics.contest import LEAST_ROWS, Critic, choose_critic
from jensen.data import Rows
from jensen.data import rows as read_rows
from jensen.data.grid import Grid, match_grid
from jensen.errors import Cannot, DataError, JensenWarning, UsageError, nearest
from jensen.freshness import fresh_jsd
from jensen.functional.intervals import mean_interval
from jensen.functional.ratio import normaliser
from jensen.model import Can
from jensen.quantity import Kind, Quantity, Scores
from jensen.resampling import Resampled, by_rejection, by_weight, pool_size
from jensen.scoring import some_rows
from jensen.space import Space

MOST = 20_000
"""Rows the critic learns from, at most, and as many samples."""

JUDGED = 4000
"""Samples behind the normaliser and the largest weight."""

WAYS = ("auto", "rejection", "resampling")

LEAST_PASSING = 1 / 50
"""Where a smaller share of the samples passes, "auto" draws by weight instead."""


@dataclass(frozen=True, eq=False, repr=False)
class Refined:
    """A model with the density f1(x) = f0(x) e^l(x) / Z, l being the calibrated logit of a critic of rows against samples.

    before, after: mean log-likelihood of held-out rows, None without a density of f0. gain: after - before, row by row, and
    None with them. jsd_before, jsd_after: lower bounds of the divergence of samples and held-out rows by a second, fresh
    critic, the same for both. normaliser: Z = E_f0 e^l, with the effective share of samples in `how`. acceptance: share of
    f0's samples that pass. Every number of the density is an estimate, as good as the critic: of a part of the data that f0
    never samples it says nothing. It is not saved with the run; the same rows and seed make it again.
    """

    fitted: Any
    critic: Critic
    grid: Grid
    normaliser: Quantity
    ceiling: float
    acceptance: float
    before: Quantity | None = None
    after: Quantity | None = None
    gain: Quantity | None = None
    jsd_before: Quantity | None = None
    jsd_after: Quantity | None = None

    @property
    def space(self) -> Space:
        """The space of the user's rows."""
        found: Space = self.fitted.space
        return found

    @property
    def can(self) -> Can:
        """Sample, and state a density where the model has one."""
        found: Can = self.fitted.can & (Can.SAMPLE | Can.LOG_PROB)
        return found

    @property
    def record(self) -> dict[str, Any]:
        """The record of the model that was refined."""
        found: dict[str, Any] = self.fitted.record
        return found

    def log_ratio(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """log f1 - log f0 (n,) at rows (n, *shape), nats."""
        flat = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
        return self.critic(self.grid(self.grid(flat, 0), 1)) - math.log(self.normaliser.value)

    def score(self, rows: Any, **how: Any) -> Scores:
        """Estimates of log f1, nats a row; arguments as of `Fitted.score`. Raises Cannot where f0 has no log_prob."""
        if Can.LOG_PROB not in self.can:
            raise Cannot(
                "a model without log_prob gets none by refining", f"got {self.fitted.name}", "sample from it"
            )
        found: Scores = self.fitted.score(rows, **how)
        source, _ = rows_to_score(None, self.fitted.name, rows, self.space, None)
        values = found.values + self.log_ratio(np.asarray(source[:]))
        told = {**found.how, "refined": "log f0 + logit - log Z"}
        return Scores(values, Kind.ESTIMATE, found.measure, found.dims, found.rows, how=told)

    def sample(
        self, n: int, seed: int | None = None, context: None = None, *, by: str = "auto"
    ) -> NDArray[Any]:
        """n rows of the corrected model.

        by: "rejection", each sample kept with probability e^(l - largest l), independent rows; "resampling", drawn by weight
        out of a pool (see `resample`), which warns (JensenWarning) of what is to be doubted; "auto": rejection where at least
        one in 50 passes. Raises Cannot where rejection keeps fewer than one in 200.
        """
        if by not in WAYS:
            raise UsageError("unknown way to draw", f"got {by!r}", nearest(str(by), WAYS))
        if context is not None:
            raise Cannot("a refined model takes no context", "got one", "leave it out")
        _check_count(n)
        if by == "rejection" or (by == "auto" and self.acceptance >= LEAST_PASSING):
            return by_rejection(self._draw, self.log_ratio, self.ceiling, self.acceptance, n, seed)
        found = self.resample(n, seed)
        if found.notes:
            warnings.warn("; ".join(found.notes), JensenWarning, stacklevel=2)
        return found.rows

    def resample(self, n: int, seed: int | None = None, *, pool: int | None = None) -> Resampled:
        """n rows out of `pool` samples by their weights e^l, with the effective sample size and notes on what to doubt.

        For any model that samples, also where rejection passes next to nothing. `pool`: by default as many samples as are
        worth four times n. Rows may repeat: see `distinct`. Of samples made elsewhere the pool is all there are.
        """
        _check_count(n)
        share = self.normaliser.how["ess"] / self.normaliser.how["n"]
        size = pool_size(n, share) if pool is None else pool
        _check_count(size)
        return by_weight(
            self._draw, self.log_ratio, n, min(size, int(self.record.get("samples", size))), seed
        )

    def _draw(self, n: int, seed: int) -> NDArray[Any]:
        rows: NDArray[Any] = self.fitted.sample(n, seed=seed)
        return rows

    def describe(self) -> str:
        """A few lines: held-out numbers before and after."""
        lines = []
        if self.before is not None:
            lines.append(f"log-likelihood {self.before} -> {self.after}, gain {self.gain}")
        lines.append(f"JSD by a fresh critic {self.jsd_before} -> {self.jsd_after}")
        share = self.normaliser.how["ess"] / self.normaliser.how["n"]
        lines.append(
            f"Z {self.normaliser}; {self.acceptance:.2g} of the samples pass; by weight they are worth {share:.2g} of as many"
        )
        if self.acceptance < LEAST_PASSING:
            lines.append("so few pass that samples are drawn by weight: see the notes of `resample`")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Refined {self.describe()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        names = ("before", "after", "gain", "jsd_before", "jsd_after", "normaliser")
        found = {name: getattr(self, name) for name in names}
        return {
            **{name: None if one is None else one.to_dict() for name, one in found.items()},
            "critic": self.critic.name,
            "acceptance": self.acceptance,
            "effective_share": self.normaliser.how["ess"] / self.normaliser.how["n"],
        }


def refine(fitted: Any, rows: Any, seed: int) -> Refined:
    """Train a critic on training rows against samples, calibrate it on validation rows, judge both models on test rows."""
    if Can.SAMPLE not in fitted.can:
        raise fitted.model.cannot(Can.SAMPLE)
    if fitted.context_codec is not None:
        raise Cannot("a conditional model is not refined", f"got {fitted.name}", "fit it without a context")
    data = rows if isinstance(rows, Rows) else read_rows(rows, space=fitted.space)
    if data.space != fitted.space:
        raise DataError(
            "the model was fitted to other rows",
            f"{fitted.space.describe()}, got {data.space.describe()}",
            "take rows of its own space",
        )
    real = [_flat(some_rows(part, MOST, seed)) for part in (data.train, data.valid)]
    if min(len(real[0]), len(data.test)) < LEAST_ROWS or len(real[1]) < 6:
        raise DataError(
            f"a critic needs {LEAST_ROWS} rows to train on and to be judged on, and 6 to be calibrated on",
            f"got {data.counts}",
            "pass more rows",
        )
    drawn = _flat(fitted.sample(len(real[0]) + len(real[1]), seed=seed))
    fake = drawn[: len(real[0])], drawn[len(real[0]) :]
    grid = match_grid(fake[0], real[0], data.space, [str(site) for site in range(data.space.dims)])
    train, choose = ((grid(a, 0), grid(b, 1)) for a, b in zip(fake, real))
    critic = choose_critic(train, choose, len(data.test), data.space, seed)
    fresh = grid(_flat(fitted.sample(JUDGED, seed=seed + 1)), 0)
    logit = critic(fresh)
    z = normaliser(torch.from_numpy(logit))
    ceiling = float(logit.max()) - math.log(z.value)
    found = Refined(fitted, critic, grid, z, ceiling, float(np.exp(logit - logit.max()).mean()))
    return _judged(found, data, seed)


def _check_count(n: int) -> None:
    if n < 1:
        raise UsageError("expected at least one row to sample", f"got n={n}", "pass n=16, say")


def _judged(found: Refined, data: Rows, seed: int) -> Refined:
    """The same with what held-out rows say of it."""
    numbers: dict[str, Quantity] = {"jsd_before": fresh_jsd(found.fitted, data, seed + 2)}
    with (
        warnings.catch_warnings()
    ):  # what there is to doubt of draws by weight is in `describe`, not a matter of these rows
        warnings.simplefilter("ignore", JensenWarning)
        numbers["jsd_after"] = fresh_jsd(found, data, seed + 2)
    if Can.LOG_PROB in found.can:
        scores = found.fitted.score(data), found.score(data)
        gains = scores[1].values - scores[0].values
        interval = mean_interval(gains, 0.95)
        numbers |= {
            "before": scores[0].mean(),
            "after": scores[1].mean(),
            "gain": Quantity(
                float(gains.mean()), Kind.ESTIMATE, "nats", interval=interval, how={"n": len(gains)}
            ),
        }
    return replace(found, **numbers)  # type: ignore[arg-type]


def _flat(rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
