"""What a valid stack of masks looks like: the four ways to stack two masked layers, as maps (claim A2)."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from torch import Tensor
from torch.nn.functional import conv2d

from jensen.functional.masks import conv_mask
from jensen.functional.site_links import SiteLinks
from jensen.links import site_links
from jensen.report.maps import state_map

SIDE, PLACE = 5, (2, 2)
SAID = {
    "AA": "valid, but it leaves out more than it must: mask A in both layers misses the left neighbour too",
    "AB": "valid: mask A comes first, so that no output sees itself, and every later layer keeps the centre",
    "BA": "valid: the same inputs as A then B; one mask A on the way is what it takes",
    "BB": "not valid: without a mask A the output sees the input that it should predict",
}


@dataclass(frozen=True)
class Stack:
    """One stack: its name, what reaches row 3, column 3, and what to think of it."""

    name: str
    plot: Markup
    said: str
    reached: str
    valid: bool


def four_stacks() -> list[Stack]:
    """Two 3x3 layers on a 5x5 map, followed live.

    >>> [(stack.name, stack.valid) for stack in four_stacks()]
    [('A then A', True), ('A then B', True), ('B then A', True), ('B then B', False)]
    """
    return [_stack(kinds, said) for kinds, said in SAID.items()]


def _stack(kinds: str, said: str) -> Stack:
    masks = [conv_mask(kind, 1, 1, 3) for kind in kinds]

    def net(x: Tensor) -> Tensor:
        for mask in masks:
            x = conv2d(x, mask, padding=1)
        return x

    links = site_links(net, input_shape=(1, SIDE, SIDE), at=PLACE)
    name = " then ".join(kinds)
    label = f"{name} on a 5x5 map: row 3, column 3 sees {_names(links)}."
    return Stack(
        name,
        state_map(links.states[0], label, here=PLACE, cell=30),
        said,
        _names(links),
        not links.sees_itself,
    )


def _names(links: SiteLinks) -> str:
    """The inputs that are reached, as row and column: 11 12 13."""
    return " ".join(f"{row + 1}{column + 1}" for _, row, column in zip(*links.reached.nonzero()))
