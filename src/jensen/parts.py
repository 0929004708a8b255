"""Tensors that may be cut along their first axis among processes (DTensor), and plain ones, by the same calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, sharing its memory; a plain tensor itself."""
    cut: Any = tensor
    return cut.detach().to_local() if hasattr(cut, "to_local") else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor: every process that holds a part calls it in the same order."""
    cut: Any = tensor
    return cut.detach().full_tensor() if hasattr(cut, "full_tensor") else tensor


@torch.no_grad()
def put(target: Tensor, source: Tensor) -> None:
    """Copy a tensor, whole or cut alike, into another, of which this process may hold a part."""
    cut: Any = target
    if hasattr(source, "to_local") or not hasattr(target, "to_local"):
        local(target).copy_(local(source))
        return
    mesh = cut.device_mesh
    parts, mine = source.chunk(mesh.size()), mesh.get_local_rank()
    local(target).copy_(parts[mine] if mine < len(parts) else source[:0])
