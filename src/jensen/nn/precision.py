"""Convolutions in float32 where numbers are reported: a GPU otherwise multiplies in TF32, ten bits of mantissa."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """No TF32 in cuDNN's convolutions within the block; as before after it. Products of matrices are in float32 by default.

    TF32 rounds every factor to 1e-3 of its size: a sum over 784 pixels of such errors shows in the third digit of a
    likelihood that is called exact. Other devices have nothing to switch.
    """
    if device.type != "cuda":
        yield
        return
    before = _tf32()
    _set_tf32(False)
    try:
        yield
    finally:
        _set_tf32(before)


def _tf32() -> bool | str:
    """The switch as it stands: a bool, or the precision's name where the program set it by torch's newer names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.9 and later would rather have the newer names
        try:
            return bool(torch.backends.cudnn.allow_tf32)
        except RuntimeError:  # the two ways of asking do not mix
            return str(torch.backends.cudnn.conv.fp32_precision)  # type: ignore[attr-defined]


def _set_tf32(wanted: bool | str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        newer = isinstance(wanted, str) or isinstance(_tf32(), str)
        if newer:
            name = wanted if isinstance(wanted, str) else "tf32" if wanted else "ieee"
            torch.backends.cudnn.conv.fp32_precision = name  # type: ignore[attr-defined]
        else:
            torch.backends.cudnn.allow_tf32 = bool(wanted)
