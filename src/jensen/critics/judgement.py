"""What a chosen critic says on rows that had no part in training or choosing it: every number with what it claims."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from jensen.critics import Features, Rows
from jensen.critics.contest import Critic, Parts, choose_critic, split_parts
from jensen.critics.platt import log_losses
from jensen.functional.binomial import clopper_pearson
from jensen.functional.critic_limits import LOG_2, betting_limits, fano_limit
from jensen.functional.ratio import normaliser
from jensen.quantity import Kind, Quantity
from jensen.space import Space

ALPHA = 0.05
"""How often each end of the bound's interval may miss."""

SATURATED_JSD, SATURATED_ACCURACY = 0.65, 0.97
"""From here on the bound is near its ceiling log 2 and no longer says how far apart two laws are."""

PERMUTATIONS, MOST_SHUFFLED = 9999, 20_000_000
"""Relabellings behind a p-value; fewer (at least 999) where rows times relabellings would exceed the second."""


@dataclass(frozen=True)
class Judgement:
    """A critic and its numbers on the report's rows. `l0`, `l1`: calibrated logits there; `parts`: which rows they are.

    `limit`: the JSD is at least this, missed with a probability of at most 5 %, at every sample size. `jsd` is the
    bound itself, whose interval is [limit, upper limit of the bound's expectation].
    """

    critic: Critic
    parts: tuple[Parts, Parts]
    l0: Rows
    l1: Rows
    jsd: Quantity
    limit: float
    accuracy: Quantity
    p_value: float
    permutations: int
    gap: Quantity
    normaliser: Quantity
    saturated: bool


def judge(
    x0: Rows,
    x1: Rows,
    space: Space,
    *,
    seed: int = 0,
    features: Features | None = None,
    names: tuple[str, ...] | None = None,
    parts: tuple[Parts, Parts] | None = None,
    permutations: int = PERMUTATIONS,
) -> Judgement:
    """A fresh panel of critics on rows (n0, d) and (n1, d), independent within and between the sides.

    `names`: only these critics; `parts`: a split that is known already; `permutations`: behind the p-value, at most. The
    rows of the report serve for nothing else.
    """
    parts = parts or (split_parts(len(x0), seed, 0), split_parts(len(x1), seed, 1))
    train, choose, report = ((x0[a], x1[b]) for a, b in zip(*parts))
    count = min(map(len, report))
    critic = choose_critic(train, choose, count, space, seed, features, names)
    raw0, raw1 = (critic.raw(x) for x in report)
    l0, l1 = (np.clip(critic.platt(raw), -critic.clip, critic.clip) for raw in (raw0, raw1))
    jsd, limit = bound(l0, l1, critic.clip, critic.bound)
    p_value, permutations = _p_value(np.clip(raw0, -30, 30), np.clip(raw1, -30, 30), seed, permutations)
    accuracy = _accuracy(l0, l1)
    trained = _value(*(critic(x) for x in train))
    return Judgement(
        critic,
        parts,
        l0,
        l1,
        jsd,
        limit,
        accuracy,
        p_value,
        permutations,
        Quantity(
            trained - jsd.value,
            Kind.ESTIMATE,
            "nats",
            how={
                "of": "the same formula on the rows the critic was trained on, less the bound",
                "train": trained,
            },
        ),
        normaliser(torch.from_numpy(l0)),
        jsd.value > SATURATED_JSD or accuracy.value >= SATURATED_ACCURACY,
    )


def bound(l0: Rows, l1: Rows, clip: float, kind: str) -> tuple[Quantity, float]:
    """The lower bound G[D] / 2 + log 2 of the JSD with exact limits, and the limit of the chosen kind."""
    low, high = betting_limits(l1, l0, clip, ALPHA)
    limit = fano_limit(l1, l0, ALPHA) if kind == "fano" else low
    value = _value(l0, l1)
    how = {
        "bound": "G[D] / 2 + log 2",
        "n_real": len(l1),
        "n_fake": len(l0),
        "limit": limit,
        "interval": f"{kind}: each end misses in at most {ALPHA:.0%} of runs, at any sample size; cut at log 2",
    }
    ends = (min(limit, value), min(max(high, value), LOG_2))
    return Quantity(value, Kind.LOWER, "nats", interval=ends, level=1 - 2 * ALPHA, how=how), limit


def _value(l0: Rows, l1: Rows) -> float:
    return LOG_2 - sum(float(side.mean()) for side in log_losses(l0, l1)) / 2


def _accuracy(l0: Rows, l1: Rows) -> Quantity:
    """Balanced accuracy of the sign, a tie counted as wrong; as many rows of either side."""
    count = min(len(l0), len(l1))
    right = int((l0[:count] < 0).sum() + (l1[:count] > 0).sum())
    ends = clopper_pearson(right, 2 * count)
    how = {"n": 2 * count, "interval": "Clopper-Pearson", "chance": 0.5}
    return Quantity(right / (2 * count), Kind.ESTIMATE, "", interval=ends, how=how)


def _p_value(l0: Rows, l1: Rows, seed: int, most: int) -> tuple[float, int]:
    """Of the hypothesis that both sides have one law: exact, since the labels of the report's rows are then exchangeable.

    The statistic is the difference of the mean logits; it counts how many relabellings reach what was seen.
    """
    pooled, n = np.concatenate([l0, l1]), len(l1)
    times = min(most, max(999, MOST_SHUFFLED // len(pooled)))
    tolerance = 1e-9 * (1 + float(np.abs(pooled).sum()))
    seen = float(l1.sum()) - tolerance
    rng = np.random.default_rng([seed, 13])
    at_once = max(1, 1_000_000 // len(pooled))
    reached = 0
    for start in range(0, times, at_once):
        shuffled = np.broadcast_to(pooled, (min(at_once, times - start), len(pooled)))
        reached += int((rng.permuted(shuffled, axis=1)[:, :n].sum(1) >= seen).sum())
    return (1 + reached) / (1 + times), times
