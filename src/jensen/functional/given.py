"""Tensors that the user gives to the mathematics, looked at once at the door."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jensen.arguments import said
from jensen.errors import UsageError


def reals(name: str, value: Any) -> Tensor:
    """A dense tensor of floats, as it is. Raises UsageError for arrays, whole numbers, complex numbers and the meta device.

    >>> reals("log_w", torch.zeros(2)).shape
    torch.Size([2])
    >>> reals("log_w", [0.0])
    Traceback (most recent call last):
    ...
    jensen.errors.UsageError: log_w is a tensor of floats; got [0.0]: pass torch.as_tensor(values, dtype=torch.float64)
    """
    plain = isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta
    if not plain or not value.is_floating_point() or torch.finfo(value.dtype).bits < 16:
        what = said(value) if not isinstance(value, Tensor) else _described(value)
        raise UsageError(
            f"{name} is a tensor of floats",
            f"got {what}",
            "pass torch.as_tensor(values, dtype=torch.float64)",
        )
    return value


def _described(value: Tensor) -> str:
    return f"{value.dtype} of shape {tuple(value.shape)}, {value.layout}, on {value.device}"
