"""A3: the blind spot of one stack of masks, at any depth, and two stacks without one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import counted
from jensen.course.figures import SEEN, curves, maps, one_map
from jensen.functional.masks import conv_mask
from jensen.functional.receptive import receptive_field
from jensen.functional.schedule import Reach, blind_spot_curve
from jensen.models.gated_pixelcnn import GatedPixelCNN
from jensen.nn.masked import MaskedConv2d
from jensen.space import Space

KERNELS = (3, 5, 7)


def show(
    seed: int = 0, *, side: int = 28, depths: Sequence[int] = (1, 3, 6, 10, 15), deepest: int = 30
) -> Shown:
    """Curves of the share that is reached by depth, and the two stacks beside them, in the middle of a map."""
    at, layers = (side // 2, side // 2), range(deepest + 1)
    found = {k: blind_spot_curve(layers, shape=(side, side), position=at, kernel_size=k) for k in KERNELS}
    stacked = {n: _stack_sees(n, side, at) for n in depths}
    gated = {n: _gated_sees(n, side, at) for n in depths}
    findings = (
        *(_never(k, curve) for k, curve in found.items()),
        _followed(stacked, found[3]),
        _whole(gated[max(depths)], side, at, max(depths)),
    )
    ends = {k: f"{int(curve.reached[-1])} of {curve.earlier}" for k, curve in found.items()}
    summary = f"3x3 masks stop at {ends[3]} earlier pixels, two stacks of {max(depths)} layers reach {int(gated[max(depths)].sum())}"
    figures = (_curves(found, gated), _maps(stacked, gated, at))
    return Shown(findings, summary, figures)


def _never(kernel: int, curve: Reach) -> Finding:
    """The set of pixels seen only grows with depth, so that once it stands still it stands still for ever."""
    counts = curve.reached.tolist()
    still = counts[-1] == counts[-2] and counts == sorted(counts)
    last = next(depth for depth, count in zip(curve.layers.tolist(), counts) if count == counts[-1])
    return Finding(
        f"{kernel}x{kernel} masks miss earlier pixels at any depth",
        (counts[-1] < curve.earlier) if still else None,
        {"reached": counts[-1], "earlier": curve.earlier, "share": float(curve.share[-1]), "still from depth": last},
    )  # fmt: skip


def _followed(stacked: dict[int, NDArray[np.bool_]], curve: Reach) -> Finding:
    """Modules with weights, followed operation by operation, see as many pixels as the curve says."""
    wrong = sum(int(field.sum()) != int(curve.reached[n]) for n, field in stacked.items())
    return counted(
        "torch modules of that depth see as many pixels", wrong, len(stacked), depths=list(stacked)
    )


def _whole(field: NDArray[np.bool_], side: int, at: tuple[int, int], layers: int) -> Finding:
    flat, earlier = field.reshape(-1), at[0] * side + at[1]
    seen, later = int(flat[:earlier].sum()), int(flat[earlier:].sum())
    return Finding(
        "two stacks see every earlier pixel, and neither their own nor a later one",
        seen == earlier and later == 0,
        {"reached": seen, "earlier": earlier, "own or later": later, "layers": layers},
    )


def _stack_sees(depth: int, side: int, at: tuple[int, int]) -> NDArray[np.bool_]:
    net = nn.Sequential(*(MaskedConv2d(conv_mask(kind, 1, 1, 3)) for kind in "A" + "B" * depth))
    return receptive_field(net, (1, side, side), at)


def _gated_sees(depth: int, side: int, at: tuple[int, int]) -> NDArray[np.bool_]:
    model = GatedPixelCNN(Space.binary((1, side, side)), channels=2, layers=depth, kernel=3).eval()
    place = (0, *at, slice(None))
    return receptive_field(model.conditionals, (1, side, side), place, dtype=torch.int64)


def _curves(found: dict[int, Reach], gated: dict[int, NDArray[np.bool_]]) -> dict[str, object]:
    depths = found[3].layers.tolist()
    earlier = found[3].earlier
    series = {f"{k}x{k} masks": (100 * curve.share).tolist() for k, curve in found.items()}
    reached = {n: 100 * float(field.sum()) / earlier for n, field in gated.items()}
    series["two stacks, 3x3"] = [reached.get(depth, float("nan")) for depth in depths]
    return curves(
        "How much of what came before is seen, by depth",
        ("layers after the first", depths),
        "% of earlier pixels seen",
        series,
    )


def _maps(
    stacked: dict[int, NDArray[np.bool_]], gated: dict[int, NDArray[np.bool_]], at: tuple[int, int]
) -> dict[str, object]:
    deepest = max(stacked)
    drawn = [
        one_map(name, _signs(field[0], at), f"{name}, {deepest} layers after the first: {int(field.sum())} pixels seen", here=at)
        for name, field in (("one stack of 3x3 masks", stacked[deepest]), ("two stacks", gated[deepest]))
    ]  # fmt: skip
    return maps(f"What the middle sees, {deepest} layers after the first", drawn, SEEN)


def _signs(field: NDArray[np.bool_], at: tuple[int, int]) -> list[str]:
    flat, place, width = field.reshape(-1), at[0] * field.shape[1] + at[1], field.shape[1]
    signs = [
        ("@" if seen else "o")
        if i == place
        else ("#" if seen else "-")
        if i < place
        else "!"
        if seen
        else "."
        for i, seen in enumerate(flat)
    ]
    return ["".join(signs[start : start + width]) for start in range(0, len(signs), width)]
