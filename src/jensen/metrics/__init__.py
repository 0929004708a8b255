"""Metrics of samples: one a file, on any features, in chunks, wherever the tensors are.

A metric's file has a function of features, for arrays and tensors of your own, and `measure(sets) -> {name: Quantity}`,
which raises Cannot with the reason where it has nothing to say. None of them is a distance between laws that one could
optimise without being fooled: two sets that share the features' moments have a Frechet distance of 0.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jensen.errors import Cannot, UsageError, nearest

if TYPE_CHECKING:
    from jensen.quantity import Quantity

METRICS: dict[str, str] = {
    "frechet": "jensen.metrics.frechet",
    "kernel": "jensen.metrics.kernel",
    "coverage": "jensen.metrics.coverage",
    "authenticity": "jensen.metrics.authenticity",
    "memorisation": "jensen.metrics.memorisation",
    "two-sample": "jensen.metrics.two_sample",
}
"""The metrics of features by name: the module that has them."""

TABLE_METRICS: dict[str, str] = {
    "columns": "jensen.metrics.columns",
    "pairs": "jensen.metrics.pairs",
    "utility": "jensen.metrics.utility",
    "closeness": "jensen.metrics.closeness",
}
"""The metrics of tables by name: of their columns as they are, categories, dates and gaps included, without a lens."""


def measure(
    name: str, fitted: Any, rows: Any, lens: Any = None, *, n: int | None = None, seed: int = 0
) -> dict[str, Quantity] | str:
    """A metric of the samples of a model against held-out rows, or "cannot, because ...".

    fitted: anything with `sample(n, seed=...)`, or its samples (m, *shape). rows: Rows, of which the test part is held
    out and the train part is what may have been memorised; or held-out rows alone. lens: features, as a function, a
    torch module or anything with `embed`; None: the rows themselves, flattened. n: samples, by default as many as
    held-out rows; of a metric of tables as many as training rows, 2,000 at most. Raises UsageError for an unknown name and
    for features of another shape.
    """
    if name not in METRICS and name not in TABLE_METRICS:
        raise UsageError("unknown metric", f"got {name!r}", nearest(name, [*METRICS, *TABLE_METRICS]))
    from jensen.metrics.features import sets_of
    from jensen.metrics.table import tables_of

    found: dict[str, Quantity]
    try:
        if name in TABLE_METRICS:
            if lens is not None:
                raise UsageError(
                    "a metric of columns takes no lens", f"got {name!r} with a lens", "leave it out"
                )
            found = import_module(TABLE_METRICS[name]).measure(tables_of(fitted, rows, n=n, seed=seed))
        else:
            found = import_module(METRICS[name]).measure(sets_of(fitted, rows, lens, n=n, seed=seed))
    except Cannot as error:
        return f"cannot, because {error}"
    return found
