"""What a critic said of rows it had not seen: its log-odds by side, whether they can be taken at their word, and the bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.functional.binomial import clopper_pearson
from jensen.report.svg import INK, MUTED, RULE, draw, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Logits = NDArray[np.float64]
LOG_2 = math.log(2)
GROUPS = 10  # of rows, by what the critic says of them
BINS = 30


def plot_bound(record: Mapping[str, Any]) -> Markup:
    """The bound on a line from 0 to log 2, with its limits and the ceiling."""
    jsd, limit = record["jsd"], record["limit"]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        low, high = jsd["interval"] or (jsd["value"], jsd["value"])
        low, high = (max(0.0, value if end is None else end) for end, value in ((low, 0.0), (high, LOG_2)))
        axes.axvspan(0, max(limit, 0.0), color=series(0), alpha=0.13, linewidth=0)
        axes.plot([low, high], [0, 0], color=series(0), linewidth=6, alpha=0.35, solid_capstyle="butt")
        axes.plot([max(jsd["value"], 0.0)], [0], "o", color=series(0), markersize=8)
        axes.axvline(LOG_2, color=MUTED, linewidth=1.2)
        axes.set_xlim(-0.012, LOG_2 + 0.012)
        axes.set_ylim(-1, 1)
        axes.set_yticks([])
        axes.set_xticks(
            [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, LOG_2], [*["0", ".1", ".2", ".3", ".4", ".5", ".6"], "log 2"]
        )
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("Jensen-Shannon divergence, nats (0: one law, log 2: no overlap)")

    label = f"The bound {jsd['value']:.3f} nats on a line from 0 to log 2; the shaded part is excluded."
    return draw(paint, (6.2, 1.05), label, "bound")


def plot_logits(logits: tuple[Logits, Logits], titles: tuple[str, str]) -> Markup:
    """The log-odds of "from b" at new rows of either side, as shares."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        ends = [float(end) for end in np.quantile(np.concatenate(logits), [0, 1])]
        room = 0.05 * (ends[1] - ends[0]) or 0.5
        edges = np.linspace(ends[0] - room, ends[1] + room, BINS + 1)
        for side, colour in enumerate((MUTED, series(0))):
            shares = np.histogram(logits[side], edges)[0] / len(logits[side])
            fill = side == 0
            axes.stairs(shares, edges, fill=fill, color=colour, alpha=0.35 if fill else 1.0, linewidth=1.4)
        axes.axvline(0, color=RULE, linewidth=1)
        axes.set_ylim(bottom=0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"log-odds of “from {titles[1]}”: right of 0 the critic says {titles[1]}")

    label = "Shares of new rows by the critic's log-odds, both sides. The less they overlap, the easier to tell apart."
    return draw(paint, (4.6, 2.7), label, "logits")


def plot_calibration(logits: tuple[Logits, Logits]) -> Markup:
    """Of the rows to which the critic gives about one probability, the share that is from b."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.2)
        for said, share, low, high in calibration(*logits):
            axes.plot(
                [said, said], [low, high], color=series(0), linewidth=4, alpha=0.3, solid_capstyle="butt"
            )
            axes.plot([said], [share], "o", color=series(0), markersize=5.5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_aspect("equal")
        axes.grid()
        _percent(axes)
        axes.set_xlabel("what the critic says", color=INK)
        axes.set_ylabel("what was so", color=INK)

    label = "Calibration: the share of rows from b against the probability that the critic gave them. On the diagonal it is right."
    return draw(paint, (3.1, 2.9), label, "calibration")


def calibration(l0: Logits, l1: Logits) -> list[tuple[float, float, float, float]]:
    """Groups of rows by the critic's probability of b: its mean, the share from b, and that share's 95 % limits.

    Sides count as if there were as many of each: with n0 and n1 rows, a logit l says odds of e^l n1 / n0. Groups are tenths of the rows,
    fewer where many rows get one and the same number.

    >>> calibration(np.full(50, -1.0), np.full(50, 1.0))[0][1]
    0.0
    """
    pooled = np.concatenate([l0, l1]) + math.log(len(l1) / len(l0))
    from_b = np.repeat([False, True], [len(l0), len(l1)])
    said = 1 / (1 + np.exp(-pooled))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, GROUPS + 1)))
    group = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, max(len(edges) - 2, 0))
    found = []
    for one in np.unique(group):
        here = group == one
        hits, n = int(from_b[here].sum()), int(here.sum())
        found.append((float(said[here].mean()), hits / n, *clopper_pearson(hits, n)))
    return found


def _percent(axes: Axes) -> None:
    ticks = [0, 0.25, 0.5, 0.75, 1]
    labels = [f"{100 * tick:g}%" for tick in ticks]
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
