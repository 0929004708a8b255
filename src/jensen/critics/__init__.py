"""Critics: what tells rows of one set from rows of another. One kind a file, all trained, calibrated and judged alike.

A critic's file has `needs(space, features) -> str`, the reason why it is left out (empty when it is not), and
`fit(x0, x1, space, seed, features) -> Logit`. Rows are (n, d) numbers, images flattened; a category is its code, a gap
is nan. `Logit` takes such rows to log-odds of "from x1" (n,), rows of either side equally likely, whatever their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.errors import UsageError, nearest
from jensen.space import Space

Rows = NDArray[np.float64]
Logit = Callable[[Rows], NDArray[np.float64]]
Features = Callable[[Any], Any]
"""From rows (n, *space.shape) to features (n, f), an array or a tensor."""

CRITICS: dict[str, str] = {
    "trees": "jensen.critics.trees",
    "mlp": "jensen.critics.mlp",
    "quadratic": "jensen.critics.quadratic",
    "cnn": "jensen.critics.cnn",
    "lens": "jensen.critics.lens",
}
"""The panel by name. No forest and no nearest neighbours: their logits are no ratios."""


def panel(
    space: Space, features: Features | None = None, names: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """The critics that apply to rows of this space: name -> module with `fit`. `names`: only these.

    >>> list(panel(Space.real(3))), list(panel(Space.levels((1, 8, 8), 17)))
    (['trees', 'mlp', 'quadratic'], ['trees', 'mlp', 'cnn'])
    """
    for name in names or ():
        if name not in CRITICS:
            raise UsageError("unknown critic", f"got {name!r}", nearest(name, CRITICS))
    modules = {name: import_module(CRITICS[name]) for name in names or CRITICS}
    reasons = {name: module.needs(space, features) for name, module in modules.items()}
    chosen = {name: module for name, module in modules.items() if not reasons[name]}
    if not chosen:
        raise UsageError(
            "no critic applies to these rows",
            "; ".join(f"{name} needs {reason}" for name, reason in reasons.items()),
            "leave the critics out for the default panel",
        )
    return chosen
