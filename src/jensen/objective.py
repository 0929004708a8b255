"""What training minimises. A family is a game: one turn for a likelihood, two for adversaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from torch import Tensor, nn

from jensen.model import Can, Model


class Turn(nn.Module):
    """One optimiser's move: forward(x, c) gives the loss () that the parameters in `moves` descend.

    `holds` are parameters that the forward pass uses and must not move. The turn is played `repeats` times in a
    row, every `every` steps. It is the unit of compilation, of multi-device wrapping and of timing.
    """

    name: str = "loss"
    unit: str = "nats"
    every: int = 1
    repeats: int = 1

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of a batch."""
        raise NotImplementedError

    @property
    def moves(self) -> Sequence[nn.Parameter]:
        """The parameters this turn's optimiser moves."""
        return [p for p in self.parameters() if p.requires_grad]

    @property
    def holds(self) -> Sequence[nn.Parameter]:
        """Parameters the loss uses and this turn must not move."""
        return []


class Objective(Protocol):
    """A way to train every model with the abilities it `needs`."""

    needs: ClassVar[Can]

    def turns(self, model: Model) -> list[Turn]:
        """The moves of one step, in order."""
        ...
