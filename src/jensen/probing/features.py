"""What a representation is held against: the rows themselves, their principal components, and the untrained encoder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jensen.codec import as_tensor
from jensen.errors import UsageError
from jensen.fitted import Fitted
from jensen.model import Model
from jensen.nn.context import ContextInput
from jensen.scoring import RowSource, on_device, place
from jensen.store import build, model_record

COMPONENTS = 64
VARIANCE = 0.95
CALIBRATION = 2048
"""Rows that batch normalisation of an untrained encoder takes its statistics from."""

Features = dict[str, tuple[NDArray[np.float32], ...]]


def feature_sets(fitted: Fitted, parts: tuple[RowSource, ...], seed: int) -> Features:
    """The features (n, d) of each part, the training one first: of the encoder and what it is held against."""
    raw = tuple(flat(fitted, part, reader(fitted)) for part in parts)
    blank = untrained(fitted, parts[0], seed)
    return {
        "encoder": tuple(np.asarray(fitted.embed(part), np.float32) for part in parts),
        "raw rows": raw,
        "PCA": _components(raw),
        "untrained encoder": tuple(np.asarray(blank.embed(part), np.float32) for part in parts),
    }


def untrained(fitted: Fitted, rows: RowSource, seed: int) -> Fitted:
    """The same encoder with fresh weights, its batch normalisation calibrated on some rows."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = _fresh(fitted.model)
        norms = [one for one in model.modules() if isinstance(one, _BatchNorm)]
        if norms:
            for one in norms:
                one.reset_running_stats()
                one.momentum = 1.0  # one batch says it all
            z, _ = fitted.codec.encode(as_tensor(rows[:CALIBRATION]), torch.Generator().manual_seed(seed))
            model.train().embed(on_device(z, *place(model)))
    return Fitted(model.eval(), fitted.codec, [], {})


def _fresh(model: Model) -> Model:
    """A model with new weights: built from its record, or, where the arguments cannot be written down, reset in place."""
    device, dtype = place(model)
    try:
        return build(model_record(model, None), type(model)).to(device, dtype)
    except UsageError:
        model = copy.deepcopy(model)
    layers = [one for one in model.modules() if any(True for _ in one.parameters(recurse=False))]
    stuck = [type(one).__name__ for one in layers if not hasattr(one, "reset_parameters")]
    if stuck:
        raise UsageError(
            "an untrained copy of the encoder cannot be made",
            f"{', '.join(sorted(set(stuck))[:3])} cannot reset_parameters",
            "write a Model class whose arguments are plain JSON types",
        )
    for one in layers:
        reset: Any = one.reset_parameters
        reset()
    return model


def reader(fitted: Fitted) -> Callable[[Tensor], Tensor]:
    """What makes numbers (n, d) of encoded rows: an image flat, a table with a column for each class."""
    if fitted.space.is_image:
        return nn.Flatten()
    columns = ContextInput(fitted.codec.model_space)
    return lambda z: columns(z, len(z))


def flat(
    fitted: Fitted, rows: RowSource, read: Callable[[Tensor], Tensor], size: int = 4096
) -> NDArray[np.float32]:
    """Rows as plain numbers (n, d), encoded a part at a time."""
    generator = torch.Generator().manual_seed(0)
    parts = [
        read(fitted.codec.encode(as_tensor(rows[start : start + size]), generator)[0]).float().numpy()
        for start in range(0, len(rows), size)
    ]
    return np.concatenate(parts)


def _components(raw: tuple[NDArray[np.float32], ...]) -> tuple[NDArray[np.float32], ...]:
    """The principal components of the training part that hold 95 % of its variance, 64 at most."""
    mean = raw[0].mean(0)
    _, sizes, directions = torch.linalg.svd(torch.from_numpy(raw[0] - mean), full_matrices=False)
    held = sizes.square().cumsum(0)
    enough = int((held < VARIANCE * held[-1]).sum()) + 1
    kept = directions[: min(COMPONENTS, enough)].numpy().T
    return tuple((part - mean) @ kept for part in raw)
