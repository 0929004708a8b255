"""A1: masks against an enumeration that knows nothing of how they are built."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import counted, exactly
from jensen.course.figures import maps, one_map
from jensen.functional.masks import conv_mask, made_masks
from jensen.nn.masked import MaskedConv2d

LITERAL = {"A": [(1, 1), (1, 2), (1, 3), (2, 1)], "B": [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]}
"""Rows and columns from 1 that each mask of a 3x3 kernel keeps: row < 2, or row = 2 and column < 2, B the centre too."""

Sizes = Sequence[int | tuple[int, int]]


def show(seed: int = 0, *, kernels: Sizes = (1, 3, 5, 7, (3, 5)), groups: Sequence[int] = (1, 2, 3)) -> Shown:
    """Compare every tap, run the convolution beside a loop, and walk every path of dense masks."""
    literal = [
        (kind, row, column)
        for kind, row, column in product("AB", range(1, 4), range(1, 4))
        if bool(conv_mask(kind, 1, 1, 3)[0, 0, row - 1, column - 1]) != ((row, column) in LITERAL[kind])
    ]
    found = [_taps(kind, size, group) for kind, size, group in product("AB", kernels, groups)]
    taps, wrong = sum(count for count, _ in found), sum(bad for _, bad in found)
    findings = (
        counted("the 3x3 masks keep the taps that the claim lists", len(literal), 18),
        counted("so do all kernels and channel groups", wrong, taps, kernels=str(list(kernels)), groups=list(groups)),
        *_applied(seed),
        _dense(seed),
    )  # fmt: skip
    return Shown(
        findings, f"{taps:,} taps of {len(found)} masks, {wrong} unlike the enumeration", (_figure(),)
    )


def keeps(kind: str, tap: tuple[int, int], size: tuple[int, int], out: int, into: int) -> bool:
    """Whether a tap, from 1, is kept from the channel group `into` to the group `out`: the claim, word by word."""
    row, column = tap
    centre_row, centre_column = (size[0] + 1) // 2, (size[1] + 1) // 2
    if row < centre_row or (row == centre_row and column < centre_column):
        return True
    if (row, column) != (centre_row, centre_column):
        return False
    return into < out or (kind == "B" and into == out)


def _taps(kind: str, kernel: int | tuple[int, int], groups: int) -> tuple[int, int]:
    """How many taps one mask has, two channels a group on the way out and one on the way in, and how many are wrong."""
    size = (kernel, kernel) if isinstance(kernel, int) else kernel
    mask = conv_mask(kind, 2 * groups, groups, kernel, channel_groups=groups)
    wrong = 0
    for out, into, row, column in product(*(range(n) for n in mask.shape)):
        expected = keeps(kind, (row + 1, column + 1), size, out // 2, into)
        wrong += bool(mask[out, into, row, column]) != expected
    return mask.numel(), wrong


def _applied(seed: int) -> list[Finding]:
    """The layer is the loop over what the mask keeps, with a kernel that is not flipped; dead weights get no gradient."""
    mask = conv_mask("A", 1, 1, 3)
    layer = MaskedConv2d(mask).double()
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(1, 1, 6, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = layer(x)
    y.square().sum().backward()
    loop = _loop(x[0, 0], layer.weight.detach()[0, 0], float(layer.bias.detach()))
    assert layer.weight.grad is not None
    dead = layer.weight.grad[0, 0][mask[0, 0] == 0]
    return [
        exactly("the layer is the cross-correlation with the taps that are kept", float((y.detach()[0, 0] - loop).abs().max()), 1e-12),
        exactly("a weight that is masked out has no gradient", float(dead.abs().max()), 0.0),
    ]  # fmt: skip


def _loop(x: Tensor, kernel: Tensor, bias: float) -> Tensor:
    """y[r, c] = sum of kernel[i, j] x[r + i - 2, c + j - 2] over the taps (i, j), from 1, that mask A keeps."""
    height, width = x.shape
    y = torch.full_like(x, bias)
    for row, column, (i, j) in product(range(height), range(width), LITERAL["A"]):
        at_row, at_column = row + i - 2, column + j - 2
        if 0 <= at_row < height and 0 <= at_column < width:
            y[row, column] += kernel[i - 1, j - 1] * x[at_row, at_column]
    return y


def _dense(seed: int, sites: int = 5, orders: int = 6) -> Finding:
    """Follow every path through the masks of a MADE in random orders: exactly the earlier sites are reached."""
    generator, wrong = torch.Generator().manual_seed(seed), 0
    for _ in range(orders):
        order = torch.randperm(sites, generator=generator).tolist()
        masks = made_masks(order, [9, 8]).layers
        for output in range(sites):
            earlier = set(order[: order.index(output)])
            wrong += len(_reached(masks, output) ^ earlier)
    return counted(
        "the dense masks of a MADE reach the earlier sites and no others", wrong, orders * sites * sites, orders=orders
    )  # fmt: skip


def _reached(masks: tuple[Tensor, ...], output: int) -> set[int]:
    """The inputs from which a path of live weights leads to an output, a unit at a time."""
    units = {output}
    for mask in reversed(masks):
        units = {before for unit in units for before in range(mask.shape[1]) if mask[unit, before] != 0}
    return units


def _figure() -> dict[str, object]:
    def signs(mask: Tensor) -> list[str]:
        return ["".join("#" if value else "." for value in row) for row in mask.tolist()]

    drawn = [
        one_map(f"{kind}, {k}x{k}", signs(conv_mask(kind, 1, 1, k)[0, 0]), f"Mask {kind} of a {k}x{k} kernel")
        for k in (3, 5)
        for kind in "AB"
    ]  # fmt: skip
    for kind in "AB":
        centre = conv_mask(kind, 3, 3, 3, channel_groups=3)[:, :, 1, 1]
        said = f"Centre tap of mask {kind} between colours: from red, green, blue (columns) to red, green, blue (rows)"
        drawn.append(one_map(f"{kind}, colours at the centre", signs(centre), said))
    return maps("What the masks keep", drawn, {"#": "kept", ".": "masked out"})
