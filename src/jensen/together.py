"""Several processes that train one model, one a device: Lightning Fabric starts the group and averages gradients."""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jensen.engine import Engine, Stream
from jensen.errors import ProcessLost, UsageError
from jensen.functional.batch_norm import normalised
from jensen.functional.gather import mean_of_processes, processes
from jensen.functional.share import Share
from jensen.interrupt import LAUNCHER
from jensen.objective import Turn

BROKEN = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "process group")
"""What torch says, among other things, when a process of the group does not answer."""


class Together(Engine):
    """This process and its like: DistributedDataParallel around every turn, for what the turn moves."""

    fabric: Any
    control: Any
    launcher: int

    def __init__(self, device: str, devices: int, nodes: int) -> None:
        _check_fabric()
        from lightning_fabric import Fabric

        self.asked_for = devices * nodes
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets on stderr
        kind = self.kind = torch.device(
            "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
        )
        if kind.index is not None:
            raise UsageError(
                "several devices are chosen by their kind", f"got {device}", "use auto, cuda or cpu"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Fabric's advice on threads and precision
            self.fabric = Fabric(
                accelerator="gpu" if kind.type == "cuda" else kind.type,
                devices=devices,
                num_nodes=nodes,
                strategy=self.strategy(),
            )
            first = not dist.is_initialized()
            self.fabric.launch()
        if first:  # one group for all trainings: at the same address a second one may meet the first
            atexit.register(_leave)
        self.rank, self.processes = self.fabric.global_rank, self.fabric.world_size
        super().__init__(self.fabric.device)
        # numbers of the host go another way than those of the devices, which need not wait for them
        self.control = dist.new_group(backend="gloo") if dist.get_backend() != "gloo" else None
        self.launcher = int(os.environ.get(LAUNCHER, "0"))

    def strategy(self) -> Any:
        """What Fabric wraps turns in."""
        from lightning_fabric.strategies import DDPStrategy

        # a parameter that a batch does not reach has no gradient; buffers are alike by themselves
        return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)

    def synchronise_norms(self, turn: Turn) -> None:
        """Let batch normalisation in a turn go by the batch, and not by this process's share of it."""
        for module in turn.modules():
            if isinstance(module, _BatchNorm):
                module.forward = partial(_batch_norm, module)  # type: ignore[method-assign]

    def wrap(self, turn: Turn, moves: list[nn.Parameter], forward: Callable[..., Tensor]) -> Any:
        self.synchronise_norms(turn)
        mine = {id(p) for p in moves}
        others = [p for p in turn.parameters() if p.requires_grad and id(p) not in mine]
        for parameter in others:  # what asks for no gradient now is left alone by the wrapper
            parameter.requires_grad_(False)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")  # its other name is newer
                return self.fabric.setup_module(forward, move_to_device=False)
        finally:
            for parameter in others:
                parameter.requires_grad_(True)

    def passing(self, wrapped: Any, last: bool) -> AbstractContextManager[Any]:
        return self.fabric.no_backward_sync(wrapped, enabled=not last)

    def share(self, rows: int, pieces: int) -> Share | None:
        if self.stream is None:
            self.stream = Stream(self.device, self.rank)
        start = self.rank * rows
        return Share(start, start + rows, self.processes * rows, self.stream.generator, self.processes)

    def agree(self, *numbers: float) -> tuple[float, ...]:
        told = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(told, dist.ReduceOp.MAX, group=self.control)
        return tuple(told.tolist())

    def asked(self) -> int:
        return signal.SIGTERM if self.launcher and os.getppid() != self.launcher else 0

    def mean(self, number: Tensor) -> Tensor:
        return mean_of_processes(number.detach())

    @contextmanager
    def playing(self) -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                # that a turn reached all parameters this time does not mean that it always will
                warnings.filterwarnings("ignore", message=".*find_unused_parameters=True.*")
                yield
        except RuntimeError as error:
            if not _broken(error):
                raise
            raise ProcessLost(
                "another process of the training ended",
                f"got no answer in process {self.rank + 1} of {self.processes}",
                "resume from the last checkpoint",
            ) from error

    def finish(self, turns: nn.ModuleList) -> None:
        for module in turns.modules():
            if isinstance(module, _BatchNorm):
                vars(module).pop("forward", None)

    def spread(
        self, state: tuple[dict[str, Tensor], dict[str, Any]] | None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, facts = state or ({}, {})
        told = {"facts": facts, "tensors": {k: [str(t.dtype), list(t.shape)] for k, t in tensors.items()}}
        text = torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)
        size = torch.tensor([len(text)])
        dist.broadcast(size, 0, group=self.control)
        text = text if self.rank == 0 else torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(text, 0, group=self.control)
        told = json.loads(text.numpy().tobytes())
        found = {}
        for name, (dtype, shape) in told["tensors"].items():
            kind = getattr(torch, dtype.removeprefix("torch."))
            tensor = tensors[name].contiguous() if self.rank == 0 else torch.empty(shape, dtype=kind)
            dist.broadcast(
                tensor.view(-1).view(torch.uint8) if tensor.numel() else tensor, 0, group=self.control
            )
            found[name] = tensor
        return found, told["facts"]


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _batch_norm(module: _BatchNorm, x: Tensor) -> Tensor:
    """`module` of x, by the statistics of the whole batch where a share of it is trained on."""
    if module.training and processes() > 1:
        return normalised(module, x)
    return type(module).forward(module, x)


def _broken(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in text for word in BROKEN)


def _check_fabric() -> None:
    try:
        import lightning_fabric  # noqa: F401
    except ImportError:
        raise UsageError(
            "several devices need Lightning Fabric", "it is not installed", "pip install 'jensen[devices]'"
        ) from None
