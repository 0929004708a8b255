"""What a model of many columns will need, before it is built: the same model on fewer columns, three times, extrapolated.

Weights, masks and what a backward pass keeps are polynomials of degree 2 at most in the number of columns, for layers are
products and attention is a square. Three sizes fix a polynomial; the columns left are spread evenly, those with the most levels
among them, for these set the size of a head.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from jensen.errors import UsageError
from jensen.model import Can, Model
from jensen.space import Space

FEWEST = 600
"""Tables of fewer columns are built without a look ahead."""

SIZES = (48, 96, 192)
ROWS = 2, 4
COPIES = 6
"""Of all weights in training: themselves, gradients, two moments, the running average and the best so far."""

SHARE = 0.8
"""Of the memory that is free, at most."""


@dataclass(frozen=True)
class Footprint:
    """Weights of a model, and the bytes that training it takes, about."""

    parameters: int
    bytes: int


def refuse_too_large(
    cls: type[Model], space: Space, hyper: Mapping[str, Any], batch: int, free: int | None = None
) -> None:
    """Raise UsageError for a table's model that memory cannot hold, with its parameters and bytes, before it is built.

    `space`: that of the model's rows. `free`: bytes, None for what this machine has left. Says nothing of images, and of
    models whose arguments do not suit fewer columns.
    """
    found = foresee(cls, space, hyper, batch)
    free = free_memory() if free is None else free
    if found is None or free is None or found.bytes <= SHARE * free:
        return
    raise UsageError(
        f"{cls.__name__} of {space.dims:,} columns is too large for this machine",
        f"got {found.parameters:,} parameters, about {found.bytes / 1e9:.1f} GB to train; {free / 1e9:.1f} GB are free",
        "drop columns, pass a smaller model or batch (hidden=[64], batch=16), or model independent",
    )


def foresee(cls: type[Model], space: Space, hyper: Mapping[str, Any], batch: int) -> Footprint | None:
    """The footprint of `cls(space, **hyper)` trained on batches of so many rows; None where it cannot be told."""
    if space.is_image or space.dims < FEWEST:
        return None
    sized: Any = getattr(cls, "sized", None)
    told = dict(hyper) if sized is None else {**hyper, **sized(space, hyper)}
    try:
        with torch.random.fork_rng(devices=[]):
            seen = np.array([_measured(cls, _fewer(space, size), told) for size in SIZES], dtype=np.float64)
    except Exception:  # whatever is wrong with such arguments is said when the model is built
        return None
    weights, parameters, masks, kept, more = (
        max(0.0, float(np.polyval(np.polyfit(SIZES, one, 2), space.dims))) for one in seen.T
    )
    return Footprint(round(parameters), round(COPIES * weights + masks + kept + more * batch))


def free_memory() -> int | None:
    """Bytes that this process may still take: of the machine, and of its control group; None where nobody says."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
    except (OSError, ValueError):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    group = Path("/sys/fs/cgroup")
    try:
        most, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        found.append(int(most) - int(used))
    except (OSError, ValueError):  # no control group, or one without a limit
        pass
    return min(found, default=None)


def _fewer(space: Space, size: int) -> Space:
    """The space of `size` of the columns."""
    if len(space.columns) == 1:
        return replace(space, shape=(size,))
    most = int(np.argmax(space.levels_by_site()))
    sites = np.unique(np.append(np.linspace(0, space.dims - 1, size - 1).astype(int), most)).tolist()
    left = [site for site in range(space.dims) if site not in set(sites)]
    sites = sorted([*sites, *left[: size - len(sites)]])
    return replace(space, shape=(size,), columns=tuple(space.columns[site] for site in sites))


def _measured(cls: type[Model], space: Space, hyper: Mapping[str, Any]) -> tuple[float, ...]:
    """Bytes of weights, their number, bytes of buffers, and what a backward pass keeps: whatever the rows, and a row."""
    model = cls(space, **hyper)
    weights, buffers = list(model.parameters()), list(model.buffers())
    own = {t.untyped_storage().data_ptr() for t in [*weights, *buffers]}
    few, many = (_kept(model, space, rows, own) for rows in ROWS)
    a_row = (many - few) / (ROWS[1] - ROWS[0])
    sizes = [sum(t.numel() * t.element_size() for t in part) for part in (weights, buffers)]
    return sizes[0], sum(t.numel() for t in weights), sizes[1], few - ROWS[0] * a_row, a_row


def _kept(model: Model, space: Space, rows: int, own: set[int]) -> int:
    """Bytes that the likelihood of so many rows keeps for its gradient, beside the model's own."""
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        place = t.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = t.untyped_storage().nbytes()
        return t

    floats = space.kind in ("real", "mixed")
    x = torch.zeros(rows, space.dims, dtype=torch.float32 if floats else torch.long)
    with saved_tensors_hooks(pack, lambda t: t):
        if Can.LOG_PROB in model.can:
            loss = model.log_prob(x)
        elif Can.LOG_PROB_LOWER in model.can:
            loss = model.log_prob_lower(x)
        else:
            return 0
    del loss  # until here, so that no memory was used twice
    return sum(kept.values())
