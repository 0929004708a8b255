"""In which order, and how many at once, the sites of an autoregressive model can be drawn; and how far masks reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jensen.errors import Cannot, UsageError
from jensen.functional.masks import conv_mask
from jensen.functional.receptive import fold_sites


def parallel_schedule(matrix: Any, sites: int | None = None) -> Tensor:
    """The level of every site, `(sites,)` from 0: 1 + the highest level among the sites it depends on.

    Sites of one level do not depend on each other and can be drawn together, exactly; `levels.max() + 1` steps draw a
    row. `matrix`: bool, `[i, j]` says that the distribution of site i depends on site j, `(sites, sites)` or, with
    `sites` given, `(a * sites, b * sites)` with the channels before the sites, as `dependence` returns it for images.

    Raises `Cannot` if sites depend on themselves, directly or in a circle: then no order draws them one by one.

    >>> parallel_schedule([[0, 0, 0], [1, 0, 0], [1, 0, 0]]).tolist()
    [0, 1, 1]
    """
    links = torch.as_tensor(matrix).bool().cpu()
    links = fold_sites(links, len(links) if sites is None else sites)
    waiting, levels = links.sum(1), torch.zeros(len(links), dtype=torch.long)
    ready, level = waiting == 0, 0
    while bool(ready.any()):
        levels[ready] = level
        waiting = waiting - links[:, ready].sum(1)
        waiting[ready] = -1  # done: never ready again
        ready, level = waiting == 0, level + 1
    if bool((waiting > 0).any()):
        raise Cannot(
            "no order of the sites exists: some depend on themselves, directly or in a circle",
            f"got {_circle(links, waiting > 0)}",
            "find the leak with receptive_field; a site may depend on earlier ones only",
        )
    return levels


def _circle(links: Tensor, stuck: Tensor) -> str:
    """One circle among the sites that are left: follow a link that is left until a site comes twice."""
    path = [int(stuck.nonzero()[0])]
    while path.count(path[-1]) < 2:
        path.append(int((links[path[-1]] & stuck).nonzero()[0]))
    circle = path[path.index(path[-1]) :]
    return "site " + " <- ".join(map(str, circle[:8])) + (" <- ..." if len(circle) > 8 else "")


class Reach(NamedTuple):
    """`layers`: B layers after the A layer; `reached`: earlier sites seen; `earlier`: how many there are; `share`."""

    layers: Tensor
    reached: Tensor
    earlier: int
    share: Tensor


def blind_spot_curve(
    layers: Sequence[int] = (1, 2, 5, 10, 15, 30),
    *,
    shape: tuple[int, int] = (28, 28),
    position: tuple[int, int] = (14, 14),
    kernel_size: int | tuple[int, int] = 3,
    first_kernel_size: int | tuple[int, int] | None = None,
) -> Reach:
    """How many of the earlier sites a stack of one mask A and n mask B layers reaches, for every n in `layers`.

    Exact for non-zero weights. A stack of masks alone stops short of all: what lies above and to the right, beyond the
    slope of the kernel, is out of reach at any depth (the blind spot; van den Oord et al. 2016, Conditional image
    generation with PixelCNN decoders, figure 1).

    >>> blind_spot_curve([1, 2, 15, 30]).reached.tolist(), blind_spot_curve([1]).earlier
    ([11, 21, 328, 328], 406)
    """
    row, column = position
    if not (0 <= row < shape[0] and 0 <= column < shape[1]) or min(layers, default=-1) < 0:
        raise UsageError(
            "expected a position inside the map and depths of at least 0",
            f"got position {position}, shape {shape}, layers {tuple(layers)}",
            "count positions from 0",
        )
    first = conv_mask("A", 1, 1, first_kernel_size or kernel_size)
    later = conv_mask("B", 1, 1, kernel_size)
    seen, counts = torch.zeros(1, 1, *shape), {}
    seen[0, 0, row, column] = 1
    for depth in range(max(layers) + 1):
        counts[depth] = int(_back(seen, first).sum())
        seen = _back(seen, later)
    reached, earlier = torch.tensor([counts[n] for n in layers]), row * shape[1] + column
    return Reach(torch.tensor(list(layers)), reached, earlier, reached / max(earlier, 1))


def _back(seen: Tensor, mask: Tensor) -> Tensor:
    """From the outputs of a layer to its inputs: the transpose of the convolution, clamped to 0 and 1."""
    padding = [size // 2 for size in mask.shape[2:]]
    return torch.nn.functional.conv_transpose2d(seen, mask, padding=padding).gt(0.5).float()
