"""Training curves: the loss, and the validation number with its interval, by seconds and by steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.report.svg import draw, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 300  # more than a small plot can show
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def plot_training(model: Mapping[str, Any], place: int) -> Markup | None:
    """The curves of one model; None when it was solved without steps."""
    history: list[Mapping[str, Any]] = model["history"] or []
    if not history:
        return None
    checked = [point for point in history if point.get("valid") is not None]

    def paint(figure: Figure) -> None:
        if checked:
            top, bottom = figure.subplots(2, 1, sharex=True)
            _validation(bottom, checked, series(place))
        else:
            top = bottom = figure.subplots()
        _loss(top, history, series(place))
        bottom.set_xlabel("seconds")
        _steps_above(top, history)

    what = "loss and validation log-likelihood" if checked else "loss"
    label = f"Training of {model['name']}: {what} against seconds and steps."
    return draw(paint, (4.4, 3.7 if checked else 2.3), label, f"training{place}")


def _loss(axes: Axes, history: Sequence[Mapping[str, Any]], colour: str) -> None:
    axes.plot(*_thin(_curve(history, "loss")), color=colour, alpha=0.9, linewidth=1.1)
    axes.set_ylabel("loss, nats")
    _tidy(axes)


def _validation(axes: Axes, checked: Sequence[Mapping[str, Any]], colour: str) -> None:
    seconds, valid = _thin(_curve(checked, "valid"))
    sides = [_thin(_curve(checked, side)) for side in ("valid_low", "valid_high")]
    if all(len(times) == len(seconds) for times, _ in sides):
        axes.fill_between(seconds, sides[0][1], sides[1][1], color=colour, alpha=0.2, linewidth=0)
    axes.plot(seconds, valid, color=colour, marker="o" if len(seconds) < 25 else "", markersize=2.5)
    axes.set_ylabel("validation, nats a row")
    _tidy(axes)


def _curve(history: Sequence[Mapping[str, Any]], name: str) -> Curve:
    points = [(point["seconds"], point[name]) for point in history if point.get(name) is not None]
    times, values = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return times, values


def _thin(curve: Curve) -> Curve:
    if len(curve[0]) <= POINTS:
        return curve
    keep = np.linspace(0, len(curve[0]) - 1, POINTS).astype(int)
    return curve[0][keep], curve[1][keep]


def _tidy(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(axis="y")
    axes.tick_params(length=3)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.02)


def _steps_above(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """A second scale of steps at the top; both rise together, though not in proportion."""
    from matplotlib.ticker import MaxNLocator

    seconds = np.array([point["seconds"] for point in history], dtype=np.float64)
    steps = np.array([point["step"] for point in history], dtype=np.float64)
    ticks = [
        tick
        for tick in MaxNLocator(4, integer=True).tick_values(0, steps[-1])
        if steps[0] <= tick <= steps[-1]
    ]
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    above.set_xticks(np.interp(ticks, steps, seconds), [f"{tick:,.0f}" for tick in ticks])
    above.set_xlabel("steps", labelpad=4)
    above.tick_params(length=3)
