"""Views of other people's models, so that they can be scored, embedded, compared and audited. No other library is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jensen.errors import UsageError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.adapt.features import encoder
    from jensen.adapt.law import Law
    from jensen.adapt.peer import Peer

__all__ = ["VIEWS", "encoder", "view"]

VIEWS: dict[str, str] = {
    "zuko": "jensen.adapt.zuko:law",
    "nflows": "jensen.adapt.nflows:law",
    "normflows": "jensen.adapt.normflows:law",
    "torchflows": "jensen.adapt.torchflows:law",
    "torch": "jensen.adapt.torch_distributions:law",
}
"""Name of a library -> the function that views its objects: (object, context or None) -> Law."""


def view(
    name: str, thing: Any, *, context: Tensor | None = None, input_shape: Sequence[int] | None = None
) -> Peer:
    """A flow, a distribution or a bare transform of another library, with the methods that checks and divergences use.

    It has what the original offers of `log_prob`, `sample`, `encode`, `decode` (`can` says which); it copies nothing, and
    `.double()` on a deep copy is a float64 twin. `name`: one of `VIEWS`; "torch" takes a torch.distributions Distribution
    or Transform, and any module that maps rows to (z, log_det). `context` (size,): at which to hold a conditional flow.
    `input_shape`: of one row, where the object does not say. Raises UsageError for what is not recognised.

    >>> import torch
    >>> normal = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> round(view("torch", normal).log_prob(torch.zeros(1, 2)).item(), 4)
    -1.8379
    """
    from jensen.adapt.peer import peer

    if name not in VIEWS:
        raise UsageError("unknown library", f"got {name!r}", nearest(name, VIEWS))
    module, _, function = VIEWS[name].partition(":")
    law: Callable[[Any, Tensor | None], Law] = getattr(import_module(module), function)
    return peer(law(thing, context), name, input_shape)


def __getattr__(name: str) -> Any:
    if name != "encoder":
        raise AttributeError(f"module 'jensen.adapt' has no attribute {name!r}")
    return import_module("jensen.adapt.features").encoder
