"""Masks of 0 and 1 that make a network autoregressive: convolutions (A and B) and dense layers (MADE).

Multiply the weight by the mask inside the forward pass, `conv2d(x, weight * mask)`: then the dead weights
get a gradient of exactly 0 and stay out of clipping, weight decay and averaging.

References: van den Oord, Kalchbrenner, Kavukcuoglu 2016, Pixel Recurrent Neural Networks, section 3.4
(masks A and B); Germain, Gregor, Murray, Larochelle 2015, MADE, equations 8 to 13 (degrees).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from jensen.arguments import said, whole
from jensen.arguments import sizes as as_sizes
from jensen.errors import UsageError


def conv_mask(
    kind: str,
    out_channels: int,
    in_channels: int,
    kernel_size: int | Sequence[int],
    *,
    channel_groups: int = 1,
) -> Tensor:
    """The taps of a kernel that a masked convolution keeps, `(out, in, kh, kw)` of 0 and 1 in float32.

    A tap before the centre in raster order is kept, a tap after it is not. At the centre, mask A keeps
    nothing and mask B keeps the centre. The first layer takes A, every later one B. The kernel is not flipped
    (cross-correlation, as torch does) and the padding is half the kernel, so that the centre lies on the output.

    `kernel_size`: odd; an int is a square, `(kh, kw)` a rectangle; one or three sizes make a mask for
    sequences or volumes. `channel_groups`: with G > 1 the channels of one site are ordered as well (R before G
    before B). At the centre tap a group then sees every earlier group and no later one; its own in B only.
    The channels of a layer fall into G contiguous blocks, `channel_group(channels, G)`: 3 image channels are the
    groups 0, 1, 2, and 3 * 256 logits are three blocks of 256.

    >>> conv_mask("A", 1, 1, 3)[0, 0].int().tolist()
    [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    >>> conv_mask("B", 3, 3, 1, channel_groups=3)[:, :, 0, 0].int().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    if not isinstance(kind, str) or kind not in ("A", "B"):
        raise UsageError("expected a mask of kind 'A' or 'B'", f"got {said(kind)}", "use 'A' first, then 'B'")
    out_channels, in_channels = whole("out_channels", out_channels, 1), whole("in_channels", in_channels, 1)
    sizes = _kernel(kernel_size)
    before = torch.arange(prod(sizes)) < prod(sizes) // 2
    out_group, in_group = (
        channel_group(out_channels, channel_groups),
        channel_group(in_channels, channel_groups),
    )
    later, earlier = out_group[:, None], in_group[None, :]
    mask = before.expand(out_channels, in_channels, -1).clone()
    mask[..., prod(sizes) // 2] = earlier < later if kind == "A" else earlier <= later
    return mask.view(out_channels, in_channels, *sizes).float()


def channel_group(channels: int, groups: int) -> Tensor:
    """The group of every channel, `(channels,)`: contiguous blocks whose sizes differ by at most one.

    >>> channel_group(7, 3).tolist()
    [0, 0, 0, 1, 1, 2, 2]
    """
    channels, groups = whole("channels", channels, 0), whole("groups", groups, 0)
    if groups < 1 or channels < groups:
        raise UsageError(
            "expected at least one channel for every group of channels",
            f"got {channels} channels and {groups} groups",
            "use at least as many channels as groups",
        )
    return torch.arange(channels) * groups // channels


def raster_order(shape: Sequence[int]) -> Tensor:
    """The flat sites of a row in raster order, `(d,)`: pixel after pixel, the channels of a pixel one after the other.

    >>> raster_order((2, 1, 3)).tolist(), raster_order((3,)).tolist()
    ([0, 3, 1, 4, 2, 5], [0, 1, 2])
    """
    sites = torch.arange(prod(shape))
    return sites.reshape(shape[0], -1).T.flatten() if len(shape) == 3 else sites


def site_order(shape: Sequence[int], order: str | Sequence[int] | None = None) -> Tensor:
    """The flat sites of a row as they are drawn, `(d,)`: "raster" (the default), "reversed", "random", or a list.

    "random" is one permutation for every number of sites, drawn from the seed 0.

    >>> site_order((3,), "reversed").tolist()
    [2, 1, 0]
    """
    raster = raster_order(shape)
    if isinstance(order, str):
        known = {"raster": raster, "reversed": raster.flip(0)}
        if order == "random":
            return torch.randperm(len(raster), generator=torch.Generator().manual_seed(0))
        if order not in known:
            raise UsageError(
                "unknown order", f"got {order!r}", "use raster, reversed, random, or a list of sites"
            )
        return known[order]
    if order is None:
        return raster
    sites = torch.as_tensor(order, dtype=torch.long)
    _ranks(sites)
    if len(sites) != len(raster):
        raise UsageError(
            "an order names every site once", f"got {len(sites)} for {len(raster)} sites", "0 to d - 1"
        )
    return sites


def _kernel(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    many = isinstance(kernel_size, Sequence) and not isinstance(kernel_size, str)
    given = kernel_size if many else (kernel_size, kernel_size)
    sizes = as_sizes("kernel_size", given, do="use 3, 5, 7 or a tuple such as (3, 5)")
    if not sizes or any(size % 2 == 0 for size in sizes):
        raise UsageError(
            "expected odd kernel sizes: an even kernel has no centre tap",
            f"got kernel_size={kernel_size}",
            "use 3, 5, 7 or a tuple such as (3, 5)",
        )
    return sizes


class MadeMasks(NamedTuple):
    """The masks of a MADE, each `(out, in)` of 0 and 1 in float32, as `torch.nn.Linear` stores its weight.

    `layers`: one mask a dense layer, from the input to the output. `skip`: of a direct layer from the input to
    the output. `degrees`: the degree of every hidden unit, `(hidden,)` a hidden layer.
    """

    layers: tuple[Tensor, ...]
    skip: Tensor
    degrees: tuple[Tensor, ...]


def made_degrees(sites: int, hidden_sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """The degree of every hidden unit, `(hidden,)` a layer: a unit of degree m sees the sites of rank <= m.

    Ranks count from 0, so the degrees are 0 .. sites - 2: the last site feeds nobody. They are dealt out in turn, as
    evenly as possible, and not drawn at random: random degrees can leave a site without any path. A layer with fewer
    units than degrees takes evenly spaced ones and loses paths; the skip mask restores the direct ones.

    >>> [d.tolist() for d in made_degrees(4, [5, 2])]
    [[0, 1, 2, 0, 1], [0, 1]]
    """
    if sites < 1 or any(size < 1 for size in hidden_sizes):
        raise UsageError(
            "expected at least one site and one unit a hidden layer",
            f"got {sites} sites and hidden sizes {tuple(hidden_sizes)}",
            "use positive sizes; no hidden layer at all is written []",
        )
    return tuple(_deal(max(sites - 1, 1), size) for size in hidden_sizes)


def _deal(degrees: int, size: int) -> Tensor:
    unit = torch.arange(size)
    return unit % degrees if size >= degrees else unit * degrees // size


def made_masks(
    order: int | Sequence[int] | Tensor,
    hidden_sizes: Sequence[int],
    *,
    inputs_per_site: int | Sequence[int] = 1,
    outputs_per_site: int | Sequence[int] = 1,
) -> MadeMasks:
    """The masks of a MADE whose outputs for a site depend on the earlier sites of `order` only.

    `order`: the sites in the order they are drawn, a permutation of 0 .. D - 1; the int D is 0, 1, .., D - 1.
    `inputs_per_site`, `outputs_per_site`: features in and parameters out, one number for all the sites or one each
    (columns with several categories). Features lie site after site, in the order of the sites and not of `order`:
    site 0's first.

    >>> masks = made_masks([2, 0, 1], [4], outputs_per_site=2)
    >>> paths = masks.layers[1] @ masks.layers[0] + masks.skip
    >>> (paths > 0).int()[::2].tolist()  # site 0 sees site 2, site 1 both, site 2 is drawn first
    [[0, 0, 1], [1, 0, 1], [0, 0, 0]]
    """
    rank = _ranks(order)
    inputs, outputs = _repeat(rank, inputs_per_site, "inputs"), _repeat(rank, outputs_per_site, "outputs")
    hidden = made_degrees(len(rank), hidden_sizes)
    # A unit of degree m sees ranks <= m; an output of rank r sees degrees < r: so r never meets r itself.
    within = [(after[:, None] >= before).float() for before, after in pairwise((inputs, *hidden))]
    last = (outputs[:, None] > (hidden[-1] if hidden else inputs)).float()
    return MadeMasks((*within, last), (outputs[:, None] > inputs).float(), hidden)


def _ranks(order: int | Sequence[int] | Tensor) -> Tensor:
    """The rank of every site: the inverse permutation of the order."""
    sites = torch.arange(order) if isinstance(order, int) else torch.as_tensor(order, dtype=torch.long).cpu()
    if sites.ndim != 1 or not len(sites) or not torch.equal(sites.sort().values, torch.arange(len(sites))):
        raise UsageError(
            "expected an order that names every site 0 .. D - 1 once",
            f"got {sites.tolist()}",
            "pass a permutation such as [2, 0, 1], or the number of sites",
        )
    return sites.argsort()


def _repeat(rank: Tensor, per_site: int | Sequence[int], what: str) -> Tensor:
    counts = [per_site] * len(rank) if isinstance(per_site, int) else list(per_site)
    if len(counts) != len(rank) or min(counts) < 1:
        raise UsageError(
            f"expected one positive number of {what} a site, or one for all",
            f"got {per_site} for {len(rank)} sites",
            f"pass {what}_per_site as an int or as {len(rank)} ints",
        )
    return rank.repeat_interleave(torch.tensor(counts))
