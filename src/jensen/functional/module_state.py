"""Where a module's numbers are, and of which type."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def float_type(module: Any) -> torch.dtype:
    """The type of the first floating parameter or buffer, or torch's default; also of what is no module."""
    state = [*module.parameters(), *module.buffers()] if isinstance(module, nn.Module) else []
    return next((t.dtype for t in state if t.is_floating_point()), torch.get_default_dtype())


def device_of(module: Any, otherwise: torch.device | None = None) -> torch.device:
    """Where the first parameter or buffer is; without any, the module's own `device`, or else `otherwise`, or the CPU.

    A mixture that is solved and not trained has buffers alone; a function has nothing.
    """
    state = [*module.parameters(), *module.buffers()] if isinstance(module, nn.Module) else []
    said = state[0].device if state else getattr(module, "device", None)
    return said if isinstance(said, torch.device) else otherwise or torch.device("cpu")
