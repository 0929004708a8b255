"""What every metric stands on: features of held-out rows, of samples and of training rows, through one lens."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jensen.errors import Cannot, UsageError
from jensen.quantity import Kind, Quantity
from jensen.space import Space

CHUNK = 1024


@dataclass(frozen=True)
class Sets:
    """Features (n, d): `real` of held-out rows, `fake` of samples, `train` of the rows a model was fitted to, or None.

    `lens` names the features; numbers through different lenses do not compare.
    """

    real: Tensor
    fake: Tensor
    train: Tensor | None
    lens: str
    seed: int = 0

    def how(self) -> Mapping[str, Any]:
        """The provenance every metric of these sets carries: no two of them compare where these differ."""
        return {
            "lens": self.lens,
            "n_real": len(self.real),
            "n_fake": len(self.fake),
            "features": self.real.shape[1],
            "seed": self.seed,
        }


def sets_of(fitted: Any, rows: Any, lens: Any = None, *, n: int | None = None, seed: int = 0) -> Sets:
    """Draw samples and look at everything through the lens. Raises Cannot for a model that does not sample, and, without
    a lens, for categories: the difference of two codes is no distance."""
    held, train, space = _parts(rows)
    if lens is None and space is not None and _has_categories(space):
        raise Cannot("categories have no distances", f"got {space.describe()}", "pass a lens")
    fake = _samples(fitted, len(held) if n is None else n, seed)
    look = _lens(lens)
    known = None if train is None else look(train)
    return Sets(look(held), look(fake), known, _lens_name(lens), seed)


def features(values: Any) -> Tensor:
    """Features (n, d) as a tensor, from an array, a list or a tensor, further axes flattened; a tensor stays where it is."""
    found = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
    if found.ndim == 0 or len(found) == 0:
        raise UsageError(
            "expected features (n, d)", f"got shape {tuple(found.shape)}", "pass one vector a row"
        )
    return found.reshape(len(found), -1).double()


def estimate(value: float, ends: tuple[float, float] | None, /, **how: Any) -> Quantity:
    """An estimate without a unit, with its interval and provenance."""
    return Quantity(value, Kind.ESTIMATE, interval=ends, how=how)


def _parts(rows: Any) -> tuple[Any, Any, Space | None]:
    """Held-out rows, training rows or None, and the space where it is known."""
    if hasattr(rows, "test") and hasattr(rows, "train"):
        return rows.test[:], rows.train[:], rows.space
    return rows, None, None


def _has_categories(space: Space) -> bool:
    return any(column.kind == "categorical" and (column.levels or 0) > 2 for column in space.columns)


def _samples(fitted: Any, n: int, seed: int) -> Any:
    if not hasattr(fitted, "sample"):
        return fitted
    return fitted.sample(n, seed=seed)


def _lens(lens: Any) -> Any:
    if lens is None:
        return features
    if isinstance(lens, nn.Module):
        return lambda rows: _through(lens, rows)
    look = getattr(lens, "embed", lens)
    if not callable(look):
        raise UsageError(
            "a lens is a function, a torch module or has embed(rows)",
            f"got {type(lens).__name__}",
            "pass a fitted encoder, say",
        )
    return lambda rows: features(look(rows))


def _lens_name(lens: Any) -> str:
    return (
        "rows" if lens is None else str(getattr(lens, "name", getattr(lens, "__name__", type(lens).__name__)))
    )


def _through(module: nn.Module, rows: Any) -> Tensor:
    """Features by a module in chunks, in evaluation mode: batch statistics would mix the rows of a chunk."""
    like = next(module.parameters(), torch.empty(0))
    x = torch.as_tensor(np.asarray(rows), dtype=like.dtype)
    with _evaluating(module), torch.no_grad():
        return features(torch.cat([module(part.to(like.device)) for part in x.split(CHUNK)]))


@contextmanager
def _evaluating(module: nn.Module) -> Any:
    """Every part of a module in evaluation mode, and afterwards each in the one it had."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
