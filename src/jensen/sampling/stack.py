"""A causal stack of convolutions, described by its taps: what follows from the description alone.

A `Stack` is a list of nodes over an image. Node 0 is the features of the sites. The value of another node at a pixel is

    activation(bias + sum over links and taps of W_tap^T value[source](pixel + tap) + sum of added nodes(pixel)),

zero outside the image. Taps are (row, column) with row <= 0: nothing looks down. From the taps follow the receptive
field, how far to the right a pixel sees (and so how many pixels can be drawn at once), and the two cached samplers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.errors import Cannot

Tap = tuple[int, int]
Activation = Literal["none", "relu", "gate"]
"""gate: tanh(a) sigmoid(b) of two halves a, b of the channels."""


@dataclass(frozen=True)
class Link:
    """A linear map from the node `source` through some taps; `weight` is (taps, in, out)."""

    source: int
    taps: tuple[Tap, ...]
    weight: Tensor


@dataclass(frozen=True)
class Node:
    """`bias` (out,), or (n, out) where a context moves it; `add`: nodes added before the activation."""

    links: tuple[Link, ...]
    bias: Tensor
    add: tuple[int, ...] = ()
    activation: Activation = "none"

    @property
    def channels(self) -> int:
        """Of its value."""
        return self.bias.shape[-1] // (2 if self.activation == "gate" else 1)


class Stack:
    """Nodes in order: a node looks at earlier ones only. The last node gives the parameters of a pixel's sites.

    `features`: channels of node 0. `groups`: channels of the image that are drawn one after the other at a pixel; the
    centre tap then carries a mask by channel groups in its weight, and a pixel's nodes are computed once a group.
    """

    def __init__(self, features: int, groups: int = 1) -> None:
        self.features, self.groups = features, groups
        self.nodes: list[Node] = []

    def node(
        self,
        *links: Link,
        bias: Tensor,
        add: Sequence[int] = (),
        activation: Activation = "none",
    ) -> int:
        """Append a node and return its number."""
        self.nodes.append(Node(links, bias, tuple(add), activation))
        return len(self.nodes)

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number - 1]

    @property
    def output(self) -> int:
        """The number of the last node."""
        return len(self.nodes)

    def channels(self, number: int) -> int:
        """Of a node's value."""
        return self.features if number == 0 else self[number].channels

    def inputs(self, number: int) -> list[tuple[int, Tap]]:
        """Every (source, tap) that a node looks at, added nodes as the tap (0, 0)."""
        node = self[number]
        found = [(link.source, tap) for link in node.links for tap in link.taps]
        return found + [(source, (0, 0)) for source in node.add]

    def receptive_field(self, shape: tuple[int, int], position: tuple[int, int]) -> NDArray[np.bool_]:
        """The pixels (height, width) that the output at `position` (from 0) looks at; weights count as non-zero.

        With groups the pixel itself is among them, for its earlier channels.
        """
        seen = [np.zeros(shape, bool) for _ in range(self.output + 1)]
        seen[self.output][position] = True
        for number in range(self.output, 0, -1):
            for source, tap in self.inputs(number):
                seen[source] |= _moved(seen[number], tap)
        return seen[0]

    def slope(self, limit: int = 1 << 12) -> int:
        """s: with time t = column + s * row, every pixel is computed from pixels of earlier times only, at the least s.

        Raises Cannot when no s up to `limit` will do: the stack is not causal in raster order.
        """
        low, high = 1, limit
        if not self._causal(high):
            raise Cannot(
                "the stack is not causal: an output looks at its own pixel or at later ones",
                f"got taps {sorted({tap for n in range(1, self.output + 1) for _, tap in self.inputs(n)})}",
                "shift or mask the first layer",
            )
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._causal(middle) else (middle + 1, high)
        return low

    def steps(self, shape: tuple[int, int]) -> int:
        """The number of exact parallel steps that draw an image (height, width): times that hold a pixel."""
        height, width = shape
        return min(height * width, width + (height - 1) * self.slope()) * self.groups

    def leads(self, slope: int) -> list[int]:
        """How many columns ahead of the pixel that is drawn each node can be computed, at the most.

        Node v at (row, column) is computed at the time column + slope * row - lead. It must not be before any of its
        inputs; a site is drawn after the output's node, so that what looks at it directly comes a time later.
        """
        lead = [-1 if self.groups == 1 else 0]
        for number in range(1, self.output + 1):
            looks = self.inputs(number)
            # a node without inputs is a constant: computed with the pixel itself
            lead.append(
                min((lead[source] - column - slope * row for source, (row, column) in looks), default=0)
            )
        return lead

    def _causal(self, slope: int) -> bool:
        return self.leads(slope)[self.output] >= 0

    def needed_at_once(self) -> list[bool]:
        """Which nodes the output at a pixel needs from its own row."""
        needed = [False] * (self.output + 1)
        needed[self.output] = True
        for number in range(self.output, 0, -1):
            if needed[number]:
                for source, (row, _) in self.inputs(number):
                    needed[source] |= row == 0
        return needed

    def sees_row(self) -> list[bool]:
        """Which nodes look at the sites of their own row."""
        sees = [True]
        for number in range(1, self.output + 1):
            sees.append(any(row == 0 and sees[source] for source, (row, _) in self.inputs(number)))
        return sees

    def depth(self, number: int) -> int:
        """How many rows up a node is looked at, at the most."""
        taps = [tap for n in range(1, self.output + 1) for source, tap in self.inputs(n) if source == number]
        return max((-row for row, _ in taps), default=0)

    @property
    def reach(self) -> int:
        """The largest step to the side of any tap."""
        columns = [abs(tap[1]) for n in range(1, self.output + 1) for _, tap in self.inputs(n)]
        return max(columns, default=0)


def _moved(seen: NDArray[np.bool_], tap: Tap) -> NDArray[np.bool_]:
    """Where a tap looks from the pixels seen."""
    moved = np.zeros_like(seen)
    rows, columns = np.nonzero(seen)
    rows, columns = rows + tap[0], columns + tap[1]
    inside = (rows >= 0) & (columns >= 0) & (columns < seen.shape[1])
    moved[rows[inside], columns[inside]] = True
    return moved


def activate(value: Tensor, activation: Activation) -> Tensor:
    """The plain activation of pre-activations (..., out)."""
    if activation == "gate":
        a, b = value.chunk(2, -1)
        return torch.tanh(a) * torch.sigmoid(b)
    return torch.relu(value) if activation == "relu" else value
