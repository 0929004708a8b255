"""The blind spot by depth: how much of what came before a stack of masks reaches, however deep (claim A3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from jensen.functional.schedule import blind_spot_curve
from jensen.report.svg import INK, MUTED, draw, series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTHS = 30
KERNELS = (3, 5, 7)


def plot_blind(shape: Sequence[int], place: Sequence[int], share: float | None) -> tuple[Markup, str]:
    """Curves of A + n B stacks on the map (rows, columns), by n and kernel, and a sentence with their ends.

    `share`: what the module on the page reaches at the same place, drawn as a line; None leaves it out.
    """
    size, at = (shape[0], shape[1]), (place[0], place[1])
    curves = {k: blind_spot_curve(range(DEPTHS + 1), shape=size, position=at, kernel_size=k) for k in KERNELS}

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for number, (kernel, curve) in enumerate(curves.items()):
            style = ("-", "--", ":")[number]
            shares = (100 * curve.share).tolist()
            axes.plot(
                curve.layers.tolist(), shares, style, color=series(number), label=f"{kernel}x{kernel} masks"
            )
        if share is not None:
            axes.axhline(100 * share, color=INK, linewidth=1, label="this module")
        axes.set_xlabel("B layers after the A layer")
        axes.set_ylabel("% of earlier sites reached")
        axes.set_ylim(0, 103)
        axes.grid(axis="y")
        figure.legend(frameon=False, labelcolor=MUTED, loc="outside upper center", ncols=4, columnspacing=1.2)

    ends = "; ".join(f"{k}x{k}: {int(c.reached[-1]):,} of {c.earlier:,}" for k, c in curves.items())
    where = f"row {at[0] + 1}, column {at[1] + 1} of {size[0]}x{size[1]}"
    said = f"Earlier sites that {DEPTHS} B layers reach, at {where}: {ends}."
    return draw(paint, (5.2, 3.3), f"Share of earlier sites reached against depth. {said}", "blind"), said
