"""Which engine a fit runs on: this process alone, or one of several that `jensen fit --devices` or torchrun started."""

from __future__ import annotations

import os

from jensen.arguments import whole
from jensen.engine import Engine
from jensen.errors import UsageError
from jensen.scoring import usable_device

STRATEGIES = ("ddp", "fsdp")


def engine_for(device: str, devices: int | None, strategy: str = "ddp") -> Engine:
    """The engine of this process: alone, or one of those that were started together.

    `devices`: processes on this machine, each on a device of its own; None or 1 outside a launcher: alone. Raises UsageError
    for a number that is not that of the processes that were started, and for a strategy it does not know.
    """
    if devices is not None:
        devices = whole("devices", devices, 1, do="2 uses two")
    if strategy not in STRATEGIES:
        raise UsageError(
            f"a strategy is {' or '.join(STRATEGIES)}",
            f"got {strategy!r}",
            "ddp suits models that fit one device",
        )
    started, here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if devices is None or (devices == 1 and started == 1):
        return Engine(usable_device(device))
    if devices != here:
        raise UsageError(
            f"{devices} devices take {devices} processes on this machine",
            f"got {here}",
            f"use jensen fit --devices {devices}, or start the script by torchrun --nproc-per-node {devices}",
        )
    from jensen.sharded import Sharded
    from jensen.together import Together

    return (Sharded if strategy == "fsdp" else Together)(device, devices, started // here)
