"""A panel of critics: trained on one part, calibrated and chosen on a second, never shown the third."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jensen.critics import Features, Logit, Rows, panel
from jensen.critics.platt import Platt, fit_platt, log_losses
from jensen.functional.critic_limits import LOG_2, betting_limits, fano_limit
from jensen.space import Space

SHARES = (0.5, 0.15)
"""Of the rows to train on, and to calibrate and choose on; the rest is for the report: its noise decides the limit."""

LEAST_ROWS = 40
"""A side: 20 to train on, 6 to choose on, 14 to report on. Fewer say nothing at all."""


class Parts(NamedTuple):
    """Positions of the rows of one side: to train, to choose and to report."""

    train: np.ndarray
    choose: np.ndarray
    report: np.ndarray


def split_parts(n: int, seed: int, side: int) -> Parts:
    """A random split of n rows, another one for each side, repeatable by the seed.

    >>> [len(part) for part in split_parts(100, 0, 0)]
    [50, 15, 35]
    """
    order = np.random.default_rng([seed, side, 7]).permutation(n)
    first, second = round(SHARES[0] * n), round((SHARES[0] + SHARES[1]) * n)
    return Parts(order[:first], order[first:second], order[second:])


@dataclass(frozen=True)
class Critic:
    """The critic that was chosen. `raw`: its log-odds as trained; `clip`: beyond this nobody can know, at so many rows.

    `chances`: what each critic of the panel got on the rows for choosing, log 2 less half its log-loss, in nats.
    `bound`: "betting" or "fano", whichever promised the larger limit there.
    """

    name: str
    raw: Logit
    platt: Platt
    clip: float
    bound: str
    chances: Mapping[str, float]

    def __call__(self, x: Rows) -> Rows:
        """Calibrated log-odds (n,) of "from x1", rows of either side equally likely; clipped."""
        return np.clip(self.platt(self.raw(x)), -self.clip, self.clip)


def choose_critic(
    train: tuple[Rows, Rows],
    choose: tuple[Rows, Rows],
    report_rows: int,
    space: Space,
    seed: int,
    features: Features | None = None,
    names: tuple[str, ...] | None = None,
) -> Critic:
    """Train the panel on `train`, calibrate each critic on `choose` and keep the one of the least log-loss there.

    `report_rows`: how many rows of the smaller side the report will have. Everything that a limit depends on, the clip
    of the logits and the kind of bound, is settled here, before those rows are seen.
    """
    clip = float(np.log(max(report_rows, 2)))
    rivals = {}
    for name, module in panel(space, features, names).items():
        raw = module.fit(*train, space, seed, features)
        logits = [np.clip(raw(x), -30.0, 30.0) for x in choose]
        platt = fit_platt(*logits)
        rivals[name] = (raw, platt, [np.clip(platt(side), -clip, clip) for side in logits])
    chances = {name: _chance(*calibrated) for name, (_, _, calibrated) in rivals.items()}
    best = max(chances, key=lambda name: chances[name])
    raw, platt, (l0, l1) = rivals[best]
    return Critic(best, raw, platt, clip, _choose_bound(l0, l1, report_rows, clip, seed), chances)


def _chance(l0: Rows, l1: Rows) -> float:
    return LOG_2 - sum(float(side.mean()) for side in log_losses(l0, l1)) / 2


def _choose_bound(l0: Rows, l1: Rows, rows: int, clip: float, seed: int) -> str:
    """Which limit would be the larger on as many rows as the report has, drawn again from those for choosing."""
    rng = np.random.default_rng([seed, 11])
    l0, l1 = rng.choice(l0, rows), rng.choice(l1, rows)
    return "fano" if fano_limit(l1, l0) > max(betting_limits(l1, l0, clip)[0], 0.0) else "betting"
