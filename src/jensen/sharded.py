"""A model that is cut among processes: each holds a part of every weight, gradient, moment and average (FSDP, ZeRO-3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.objective import Turn
from jensen.together import Together


class Sharded(Together):
    """`Together`, with the weights of the turn cut among the processes and put together for a pass (fully_shard)."""

    def strategy(self) -> Any:
        if self.kind.type == "cpu" and not cuts_on_cpus():
            raise UsageError(
                "this torch cannot cut a model among processes on the CPU",
                f"got torch {torch.__version__}",
                "install a newer torch, or use strategy ddp",
            )
        from lightning_fabric.strategies import ModelParallelStrategy

        return ModelParallelStrategy(_cut, data_parallel_size=self.asked_for, tensor_parallel_size=1)

    def wrap(self, turn: Turn, moves: list[nn.Parameter], forward: Callable[..., Tensor]) -> Any:
        self.synchronise_norms(turn)
        for parameter in turn.parameters():  # convolutions may lie channels last
            parameter.data = parameter.data.contiguous()
        if forward is not turn:
            raise UsageError(
                "a model that is cut among devices is not compiled", "got compile=True", "use strategy ddp"
            )
        if any(p.ndim == 0 for p in turn.parameters()):
            raise UsageError("a weight that is a single number cannot be cut", "got one", "use strategy ddp")
        if any(isinstance(getattr(module, "ready", None), Tensor) for module in turn.modules()):
            raise UsageError(
                "ActNorm begins where the first batch tells it, which a model that is cut would forget",
                "got a model with ActNorm",
                "use strategy ddp",
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is experimental about it
            return self.fabric.setup_module(turn, move_to_device=False)

    def check(self, turns: list[Turn], optimiser: str) -> None:
        if len(turns) > 1:
            raise UsageError(
                "a game of two turns shares its weights between them, and they cannot be cut for both",
                f"got the turns {', '.join(turn.name for turn in turns)}",
                "use strategy ddp",
            )
        if optimiser == "lars":
            raise UsageError(
                "lars looks at whole weights", "got weights that are cut among devices", "use strategy ddp"
            )

    def length(self, length: Tensor) -> Tensor:
        squares = length.square()
        dist.all_reduce(squares)
        return squares.sqrt()

    @contextmanager
    def whole(self, turns: nn.ModuleList) -> Iterator[None]:
        cut: list[Any] = list(turns)
        for turn in cut:
            turn.unshard()
        try:
            yield
        finally:
            for turn in cut:
                turn.reshard()

    def finish(self, turns: nn.ModuleList) -> None:
        super().finish(turns)
        found: dict[int, nn.Parameter] = {}
        with torch.no_grad():
            for module in turns.modules():
                for name, p in list(module.named_parameters(recurse=False)):
                    if hasattr(p, "full_tensor"):
                        if id(p) not in found:
                            found[id(p)] = nn.Parameter(p.full_tensor(), requires_grad=p.requires_grad)
                        module._parameters[name] = found[id(p)]


def cuts_on_cpus() -> bool:
    """Whether this torch cuts weights among CPUs as well: 2.6 only among GPUs."""
    return hasattr(torch.cpu.Stream, "record_event")


def _cut(module: nn.Module, device_mesh: Any) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    found: Any = fully_shard(module, mesh=device_mesh["data_parallel"])
    return cast(nn.Module, found)
