"""What training minimises. A family is a game: one turn for a likelihood, two for adversaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from jensen.model import Can, Model


class Turn(nn.Module):
    """One optimiser's move: forward(x, c) gives the loss () that the parameters in `moves` descend.

    Other parameters that the forward pass uses must be detached there. The turn is played `repeats` times in a
    row, every `every` steps. It is the unit of compilation, of multi-device wrapping and of timing.
    """

    name: str = "loss"
    every: int = 1
    repeats: int = 1
    steady: bool = True
    """Whether a loss far above the first one means that training diverged: not where the goal moves."""
    later_wins: bool = False
    """Whether of two checks that noise cannot tell apart the later weights are kept: where no loss says which are better."""
    pace: float = 1.0
    """The learning rate, as a multiple of the plan's: two turns may have two time scales."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam: how slowly its means of the gradient and of its square forget."""
    by_rows: bool = False
    """Whether the loss of a batch is the mean of its rows' losses, so that a batch may go through in pieces."""
    progress: float = 0.0
    """The share of the budget that is done, 0 to 1; the loop sets it."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of a batch."""
        raise NotImplementedError

    @property
    def moves(self) -> Sequence[nn.Parameter]:
        """The parameters this turn's optimiser moves."""
        return [p for p in self.parameters() if p.requires_grad]


class Loss(Turn):
    """The turn of a family that has one: all parameters of a model descend `loss(model, x, c)`, a mean over rows unless told otherwise."""

    def __init__(
        self, model: Model, loss: Callable[[Any, Tensor, Tensor | None], Tensor], by_rows: bool = True
    ) -> None:
        super().__init__()
        self.model, self.loss, self.by_rows = model, loss, by_rows

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of rows x (n, *shape)."""
        return self.loss(self.model, x, c)


class Objective(Protocol):
    """A way to train every model with the abilities it `needs`. Its options are the fields of a frozen dataclass.

    An objective may also write `monitor(model, x, c, seed) -> Quantity`, what decides which weights are kept (larger is
    better) on encoded validation rows; without it they are scored, where the model has a likelihood or a bound on one.
    One that also writes `health(model, x, c, seed) -> {name: Quantity}` and `doubt(health) -> str` is asked at the end for
    whatever else tells how the training went, and for why the model is to be doubted (a JensenWarning), if it is.
    It may write `suits(model) -> dict`: settings of the loop, by name, in place of the plan's defaults.
    """

    needs: ClassVar[Can]

    def turns(self, model: Model) -> list[Turn]:
        """The moves of one step, in order."""
        ...
