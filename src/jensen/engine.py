"""Where a training runs: in this process alone. `together` has engines of several processes, one a device.

Several processes hold a share of every batch each, and end every step with the same weights: those of one process with the
whole batch, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from jensen.functional.share import Share
from jensen.objective import Turn


class Stream:
    """The random numbers that are common to all shares: torch's own stream from the moment a batch is first cut.

    From then on torch's own is another one in every process, for modules that draw without asking whose rows they are.
    """

    def __init__(self, device: torch.device, rank: int) -> None:
        own = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
        self.generator = torch.Generator(device)
        self.generator.set_state(own)
        seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(rank + 1)))
        torch.manual_seed(seed ^ (torch.initial_seed() & (2**62 - 1)))


class Engine:
    """What the loop asks of where it runs, answered for one process. Engines of several override what they do otherwise."""

    rank: int = 0
    processes: int = 1
    device: torch.device
    stream: Stream | None = None

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, turn: Turn, moves: list[nn.Parameter], forward: Callable[..., Tensor]) -> Any:
        """`forward` of a turn, such that a backward pass averages the gradients of `moves` over processes."""
        return forward

    def passing(self, wrapped: Any, last: bool) -> AbstractContextManager[Any]:
        """A context for the forward and backward pass of a piece of a batch: gradients are exchanged with the last one."""
        return nullcontext()

    def share(self, rows: int, pieces: int) -> Share | None:
        """The share of a batch that these rows are; None where they are the whole of it, in one piece."""
        if pieces == 1 and self.stream is None:
            return None
        if self.stream is None:
            self.stream = Stream(self.device, self.rank)
        return Share(0, rows, rows, self.stream.generator)

    def agree(self, *numbers: float) -> tuple[float, ...]:
        """The largest of each number over processes: one moment for all, one signal for all."""
        return numbers

    def asked(self) -> int:
        """A signal that this process was not sent and should have been; 0: none."""
        return 0

    def mean(self, number: Tensor) -> Tensor:
        """The mean of a number () over processes."""
        return number

    def playing(self) -> AbstractContextManager[Any]:
        """A context for the training. Raises ProcessLost when another process ends before its time."""
        return nullcontext()

    def spread(
        self, state: tuple[dict[str, Tensor], dict[str, Any]] | None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by name and plain facts, from the first process to all."""
        assert state is not None
        return state

    def check(self, turns: list[Turn], optimiser: str) -> None:
        """Raise UsageError for turns or an optimiser that this engine cannot play."""

    def length(self, length: Tensor) -> Tensor:
        """The length () of a gradient of which this process holds a part of that length."""
        return length

    def whole(self, turns: nn.ModuleList) -> AbstractContextManager[Any]:
        """A context in which the weights of the turns are whole in every process."""
        return nullcontext()

    def finish(self, turns: nn.ModuleList) -> None:
        """Leave the turns with whole weights, plain parameters of this process."""
