"""The log-likelihoods as dots with their intervals; a bound has an arrow to where the truth may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from jensen.report.svg import INK, MUTED, PAPER, draw, series, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARROW = {"lower": 1.0, "upper": -1.0}


def drawn_scores(models: Sequence[Mapping[str, Any]], measure: str) -> list[int]:
    """The places of the models that can be drawn on one axis, best first: finite, and of this measure."""
    places = [
        place
        for place, model in enumerate(models)
        if (score := model["log_likelihood"]) is not None
        and score["value"] is not None
        and score["measure"] in (None, measure)
    ]
    return sorted(places, key=lambda place: -models[place]["log_likelihood"]["value"])


def plot_scores(models: Sequence[Mapping[str, Any]], measure: str) -> Markup | None:
    """The plot, or None when no model has a number to draw."""
    places = drawn_scores(models, measure)
    if not places:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        reach = 0.07 * _width(models, places)
        for height, place in enumerate(reversed(places)):
            _dot(axes, models[place]["log_likelihood"], height, series(place), reach)
        axes.set_yticks(range(len(places)), [short(models[p]["name"]) for p in reversed(places)])
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=9.5)
        axes.set_ylim(-0.6, len(places) - 0.4)
        axes.set_xlabel("log-likelihood, nats a row (more is better)")
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)

    names = ", ".join(models[place]["name"] for place in places)
    label = (
        f"Log-likelihoods with their intervals, from the largest: {names}. The numbers stand in the table."
    )
    return draw(paint, (5.2, 0.75 + 0.36 * len(places)), label, "scores")


def _width(models: Sequence[Mapping[str, Any]], places: Sequence[int]) -> float:
    ends = [end for place in places for end in _ends(models[place]["log_likelihood"])]
    return (max(ends) - min(ends)) or 1.0


def _ends(score: Mapping[str, Any]) -> tuple[float, float]:
    low, high = score["interval"] or (None, None)
    value = score["value"]
    return (value if low is None else low), (value if high is None else high)


def _dot(axes: Axes, score: Mapping[str, Any], height: int, colour: str, reach: float) -> None:
    low, high = _ends(score)
    axes.plot([low, high], [height, height], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
    direction = ARROW.get(score["kind"])
    if direction is not None:
        start = high if direction > 0 else low
        axes.annotate(
            "",
            (start + direction * reach, height),
            (start, height),
            arrowprops={"arrowstyle": "->", "color": MUTED, "shrinkA": 1, "shrinkB": 0, "linewidth": 1.3},
        )
        axes.plot([start + direction * reach], [height], alpha=0)  # so that the axis has room for the arrow
    hollow = score["kind"] == "estimate"
    axes.plot(
        [score["value"]],
        [height],
        "o",
        markersize=7,
        markerfacecolor=PAPER if hollow else colour,
        markeredgecolor=colour,
        markeredgewidth=1.5,
    )
