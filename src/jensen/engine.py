"""Where a training runs: in this process alone, or in several, one a device, through Lightning Fabric.

Several processes hold a share of every batch each, and end every step with the same weights: those of one process with the
whole batch, to rounding. They are started by `jensen fit --devices`, by torchrun or by a batch system.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.share import Share
from jensen.noise import Stream
from jensen.objective import Turn
from jensen.scoring import usable_device

STRATEGIES = ("ddp", "fsdp")


class Engine(Protocol):
    """What the loop asks of where it runs."""

    rank: int
    processes: int
    device: torch.device
    stream: Stream | None

    def wrap(self, turn: Turn, moves: list[nn.Parameter], forward: Callable[..., Tensor]) -> Any:
        """`forward` of a turn, such that a backward pass averages the gradients of `moves` over processes."""
        ...

    def passing(self, wrapped: Any, last: bool) -> AbstractContextManager[Any]:
        """A context for the forward and backward pass of a piece of a batch: gradients are exchanged with the last one."""
        ...

    def share(self, rows: int, pieces: int) -> Share | None:
        """The share of a batch that these rows are; None where they are the whole of it, in one piece."""
        ...

    def agree(self, *numbers: float) -> tuple[float, ...]:
        """The largest of each number over processes: one moment for all, one signal for all."""
        ...

    def asked(self) -> int:
        """A signal that this process was not sent and should have been; 0: none."""
        ...

    def mean(self, number: Tensor) -> Tensor:
        """The mean of a number () over processes."""
        ...

    def playing(self) -> AbstractContextManager[Any]:
        """A context for the training. Raises ProcessLost when another process ends before its time."""
        ...

    def spread(
        self, state: tuple[dict[str, Tensor], dict[str, Any]] | None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by name and plain facts, from the first process to all."""
        ...

    def check(self, turns: list[Turn], optimiser: str) -> None:
        """Raise UsageError for turns or an optimiser that this engine cannot play."""
        ...

    def length(self, length: Tensor) -> Tensor:
        """The length () of a gradient of which this process holds a part of that length."""
        ...

    def whole(self, turns: nn.ModuleList) -> AbstractContextManager[Any]:
        """A context in which the weights of the turns are whole in every process."""
        ...

    def finish(self, turns: nn.ModuleList) -> None:
        """Leave the turns with whole weights, plain parameters of this process."""
        ...


class Alone:
    """This process."""

    rank, processes = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: Stream | None = None

    def wrap(self, turn: Turn, moves: list[nn.Parameter], forward: Callable[..., Tensor]) -> Any:
        return forward

    def passing(self, wrapped: Any, last: bool) -> AbstractContextManager[Any]:
        return nullcontext()

    def share(self, rows: int, pieces: int) -> Share | None:
        if pieces == 1 and self.stream is None:
            return None
        if self.stream is None:
            self.stream = Stream(self.device, 0)
        return Share(0, rows, rows, self.stream.generator)

    def agree(self, *numbers: float) -> tuple[float, ...]:
        return numbers

    def asked(self) -> int:
        return 0

    def mean(self, number: Tensor) -> Tensor:
        return number

    def playing(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def spread(
        self, state: tuple[dict[str, Tensor], dict[str, Any]] | None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        assert state is not None
        return state

    def check(self, turns: list[Turn], optimiser: str) -> None:
        pass

    def length(self, length: Tensor) -> Tensor:
        return length

    def whole(self, turns: nn.ModuleList) -> AbstractContextManager[Any]:
        return nullcontext()

    def finish(self, turns: nn.ModuleList) -> None:
        pass


def engine_for(device: str, devices: int | None, strategy: str = "ddp") -> Engine:
    """The engine of this process: alone, or one of those that were started together.

    `devices`: processes on this machine, each on a device of its own; None or 1 outside a launcher: alone. Raises UsageError
    for a number that is not that of the processes that were started, and for a strategy it does not know.
    """
    if devices is not None and (isinstance(devices, bool) or not isinstance(devices, int) or devices < 1):
        raise UsageError("devices is a whole number, 1 or more", f"got {devices!r}", "2 uses two")
    if strategy not in STRATEGIES:
        raise UsageError(
            f"a strategy is {' or '.join(STRATEGIES)}",
            f"got {strategy!r}",
            "ddp suits models that fit one device",
        )
    started, here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if devices is None or (devices == 1 and started == 1):
        return Alone(usable_device(device))
    if devices != here:
        raise UsageError(
            f"{devices} devices take {devices} processes on this machine",
            f"got {here}",
            f"use jensen fit --devices {devices}, or start the script by torchrun --nproc-per-node {devices}",
        )
    from jensen.sharded import Sharded
    from jensen.together import Together

    return (Sharded if strategy == "fsdp" else Together)(device, devices, started // here)
