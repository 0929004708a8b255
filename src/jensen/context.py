"""The user's contexts <-> the numbers a conditional model sees, and where the contexts of some rows come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.data import ArrayLike, Rows, read
from jensen.data.context import Contexts, class_name, context_names, describe_context
from jensen.data.given import context_columns, contexts_of, read_contexts
from jensen.errors import Cannot, DataError, UsageError
from jensen.space import Space


class ContextCodec:
    """Codes 0 .. levels - 1 of discrete columns, (value - mean) / scale of real ones, float32 (n, d).

    A likelihood given c does not change under a bijection of c, so that there is no log-determinant.

    >>> codec = ContextCodec.fit(Space.real(1), np.array([[0.0], [2.0]]))
    >>> codec.encode(np.array([[4.0]])).tolist()
    [[3.0]]
    """

    def __init__(self, space: Space, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        self.space = space
        self.mean, self.scale = np.asarray(mean, dtype=np.float64), np.asarray(scale, dtype=np.float64)

    @classmethod
    def fit(cls, space: Space, values: NDArray[np.float64]) -> ContextCodec:
        """Mean and standard deviation (1/n) of the real columns of contexts (n, d); the grid of the others.

        Raises DataError for a real column that is constant here.
        """
        columns = [space.column(site) for site in range(space.dims)]
        mean, scale = np.zeros(space.dims), np.ones(space.dims)
        for site, column in enumerate(columns):
            if column.kind == "real":
                mean[site], scale[site] = values[:, site].mean(), values[:, site].std()
            elif column.labels is None:
                mean[site], scale[site] = column.low, column.step
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            stuck = [context_names(space)[i] for i in np.flatnonzero(~(scale > 0))]
            raise DataError(
                "a context that is constant in the training rows cannot be standardised",
                f"got {', '.join(stuck[:5])}",
                "leave it out of context",
            )
        return cls(space, mean, scale)

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called."""
        return context_names(self.space)

    @property
    def model_space(self) -> Space:
        """The space of encoded contexts."""
        plain = [c if c.kind == "real" else replace(c, low=0.0, step=1.0) for c in self.space.columns]
        return self.space.with_columns(plain)

    def encode(self, values: NDArray[np.float64]) -> Tensor:
        """Contexts (n, d) in the user's space -> (n, d) float32."""
        encoded = (values - self.mean) / self.scale
        discrete = [self.space.column(site).kind != "real" for site in range(self.space.dims)]
        encoded[:, discrete] = np.rint(encoded[:, discrete])
        return torch.from_numpy(encoded.astype(np.float32))

    def say(self, c: Tensor) -> str:
        """One encoded context (d,) in the user's words, such as label=setosa."""
        values = c.double().cpu().numpy() * self.scale + self.mean
        columns = [self.space.column(site) for site in range(self.space.dims)]
        told = [f"{n}={class_name(column, v)}" for n, column, v in zip(self.names, columns, values)]
        return ", ".join(told[:8]) + (", ..." if len(told) > 8 else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, from which `from_dict` makes the same codec."""
        return {"space": self.space.to_dict(), "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ContextCodec:
        """The inverse of to_dict."""
        return cls(Space.from_dict(record["space"]), np.array(record["mean"]), np.array(record["scale"]))


def rows_to_score(
    codec: ContextCodec | None, name: str, source: Any, space: Space, given: Any, drop: Sequence[str] = ()
) -> tuple[ArrayLike, Contexts | None]:
    """The rows of a source in a known space, and the contexts given or found beside them.

    Raises Cannot for a context that the model `name` does not take, UsageError for one that is missing.
    """
    if codec is None:
        refuse_given(name, given)
        return read(source, space, drop=drop), None
    rows = rows_alone(codec, source, space, drop)
    if given is not None:
        return rows, read_contexts(given, codec.space, len(rows))
    found = contexts_of(source, codec.space)
    if found is None:
        raise missing(codec, name)
    return rows, found


def rows_alone(codec: ContextCodec | None, source: Any, space: Space, drop: Sequence[str] = ()) -> ArrayLike:
    """The rows of a source in a known space, without the columns that are their context."""
    columns = [] if codec is None or isinstance(source, Rows) else context_columns(source, codec.space)
    return read(source, space, drop=[*drop, *(name for name in columns if name not in drop)])


def contexts_to_sample(codec: ContextCodec | None, name: str, given: Any, n: int) -> Contexts | None:
    """n contexts to draw rows for. Raises as `rows_to_score` does."""
    if codec is None:
        refuse_given(name, given)
        return None
    if given is None:
        raise missing(codec, name)
    return read_contexts(given, codec.space, n)


def refuse_given(name: str, given: Any) -> None:
    """Raise Cannot when there is a context for a model that was fitted without one."""
    if given is not None:
        raise Cannot(
            f"{name} was fitted without a context and takes none",
            f"got {type(given).__name__}",
            "leave context out, or fit with context",
        )


def missing(codec: ContextCodec, name: str) -> UsageError:
    """The error for a conditional model without a context."""
    return UsageError(
        f"{name} is conditional and needs a context",
        "got none",
        f"pass context: {describe_context(codec.space)}",
    )


def context_facts(data: Rows) -> dict[str, Any]:
    """What a record keeps of the context of some rows; nothing where there is none."""
    if data.context is None:
        return {}
    return {"context": {"names": list(data.context.names), "hash": data.context.hash}}
