"""G5: two moments of a run with equal losses and unequal samples."""

from __future__ import annotations

import math

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import difference, difference_interval, mean
from jensen.course.figures import curves, pictures
from jensen.course.game import EARLY, LATE, Moment, flat, judged, part, played
from jensen.critics.judgement import judge
from jensen.functional.critic_limits import log_sigmoid
from jensen.quantity import Quantity

EQUAL = 2.0
"""Standard errors within which two losses are called equal."""

PANEL = ("trees", "mlp")


def show(seed: int = 0, *, early: tuple[int, ...] = EARLY, late: tuple[int, ...] = LATE) -> Shown:
    """The pair is chosen by the losses alone, one early and one late; then fresh critics judge frozen samples."""
    found = played(seed, early, late)
    moments = {one.step: one for one in found.moments}
    held = flat(part(found.data, "test"))
    quality = {
        step: judge(flat(one.samples), held, found.data.space, seed=seed, names=PANEL, permutations=1).jsd
        for step, one in moments.items()
    }
    first, second = _chosen([(moments[a], moments[b]) for a in early for b in late])
    findings = (
        _equal(first, second),
        _tells(quality[first.step], quality[second.step], _apart(first, second)),
        _other_opponent(first, second),
    )
    steps = list(moments)
    figures = (
        curves("Losses of a run on digits", ("steps", steps), "loss, nats, with 95 % intervals",
               {"D's loss": [mean(one.d_loss) for one in moments.values()], "G's loss": [mean(one.g_loss) for one in moments.values()]}),
        curves("How far its samples are from held-out rows, by a fresh critic each time", ("steps", steps), "Jensen-Shannon divergence, at least, nats",
               {"fresh critic": list(quality.values())}, lines={"log 2": math.log(2)}),
        pictures("Samples at the two moments", [(f"step {one.step}", (one.samples[:32] / 16).numpy()) for one in (first, second)], across=16),
    )  # fmt: skip
    summary = (
        f"steps {first.step} and {second.step}: D's loss {first.d_loss.mean():.3f} and {second.d_loss.mean():.3f}, G's {first.g_loss.mean():.3f} and "
        f"{second.g_loss.mean():.3f}; fresh critic {quality[first.step]} and {quality[second.step]}"
    )
    return Shown(findings, summary, figures)


def _chosen(pairs: list[tuple[Moment, Moment]]) -> tuple[Moment, Moment]:
    """Of the pairs with equal losses the one that is furthest apart in time; of none the most nearly equal."""
    equal = [pair for pair in pairs if _apart(*pair) < EQUAL]
    if not equal:
        return min(pairs, key=lambda pair: _apart(*pair))
    return max(equal, key=lambda pair: pair[1].step / pair[0].step)


def _apart(one: Moment, other: Moment) -> float:
    """The larger difference of the two losses, in standard errors."""
    return max(
        abs(float(a.mean() - b.mean())) / math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        for a, b in ((one.d_loss, other.d_loss), (one.g_loss, other.g_loss))
    )


def _equal(one: Moment, other: Moment) -> Finding:
    """Undecided where no pair of moments has equal losses: then this run cannot show the claim."""
    apart = _apart(one, other)
    return Finding(
        f"at steps {one.step} and {other.step} both losses are equal, within their noise",
        True if apart < EQUAL else None,
        {"D's loss differs by": difference(one.d_loss, other.d_loss), "G's loss differs by": difference(one.g_loss, other.g_loss), "standard errors": apart},
    )  # fmt: skip


def _tells(first: Quantity, second: Quantity, apart: float) -> Finding:
    assert first.interval is not None and second.interval is not None
    disjoint = first.interval[0] > second.interval[1] or second.interval[0] > first.interval[1]
    return Finding(
        "a fresh critic tells the quality of their samples apart",
        True if disjoint and apart < EQUAL else None,
        {"divergence at the first": first, "divergence at the second": second},
    )


def _other_opponent(first: Moment, second: Moment) -> Finding:
    """The same frozen samples cost something else under the other moment's D."""
    mine, other = (-log_sigmoid(judged(one.critic, first.samples)) for one in (first, second))
    low, high = difference_interval(other, mine, 0.999)
    return Finding(
        f"the opponent has changed: samples of step {first.step} cost G something else under D of step {second.step}",
        True if not low <= 0 <= high else None,
        {"cost under their own D": float(mine.mean()), "under the later D": float(other.mean()), "difference": difference(other, mine)},
    )  # fmt: skip
