"""Views of other people's models, so that they can be scored, embedded, compared and audited. No other library is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from jensen.arguments import one_of
from jensen.errors import UsageError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.adapt.features import encoder
    from jensen.adapt.latent import autoencoder
    from jensen.adapt.law import Law
    from jensen.adapt.peer import Peer
    from jensen.fitted import Fitted

__all__ = ["AUTOENCODERS", "VIEWS", "autoencoder", "encoder", "view"]

VIEWS: dict[str, str] = {
    "zuko": "jensen.adapt.zuko:law",
    "nflows": "jensen.adapt.nflows:law",
    "normflows": "jensen.adapt.normflows:law",
    "torchflows": "jensen.adapt.torchflows:law",
    "torch": "jensen.adapt.torch_distributions:law",
}
"""Name of a library -> the function that views its objects: (object, context or None) -> Law."""

AUTOENCODERS: dict[str, str] = {"pythae": "jensen.adapt.latent:pythae"}
"""Name of a library -> the function that views its autoencoders: (object, shape of a row or None) -> Fitted."""

_LAZY = {"encoder": "jensen.adapt.features", "autoencoder": "jensen.adapt.latent"}


def view(
    name: str, thing: Any, *, context: Tensor | None = None, input_shape: Sequence[int] | None = None
) -> Peer | Fitted:
    """A model of another library: a flow, a distribution or a bare transform as a Peer, an autoencoder as a Fitted.

    A Peer has the methods that checks and divergences use, what the original offers of `log_prob`, `sample`, `encode`,
    `decode` (`can` says which); it copies nothing, and `.double()` on a deep copy is a float64 twin. `name`: one of `VIEWS`;
    "torch" takes a torch.distributions Distribution or Transform, and any module that maps rows to (z, log_det).
    `context` (size,): at which to hold a conditional flow. `input_shape`: of one row, where the object does not say.

    A Fitted, of a library in `AUTOENCODERS`, scores rows by our bounds (`.score(rows, k=5000)`), samples, and goes into
    `jensen.tightness`, `jensen.compare` and `jensen.audit`; it copies nothing either. For a hand-written autoencoder there is
    `adapt.autoencoder`. Raises UsageError for what is not recognised, and for a context of an autoencoder.

    >>> import torch
    >>> normal = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> round(view("torch", normal).log_prob(torch.zeros(1, 2)).item(), 4)
    -1.8379
    """
    one_of("adapt", name, str, "the name of a library", f"known: {', '.join([*VIEWS, *AUTOENCODERS])}")
    if name in AUTOENCODERS:
        if context is not None:
            raise UsageError(f"autoencoders of {name} take no context", "got one", "pass the model alone")
        made: Fitted = _function(AUTOENCODERS[name])(thing, input_shape)
        return made
    from jensen.adapt.peer import peer

    if name not in VIEWS:
        raise UsageError("unknown library", f"got {name!r}", nearest(name, [*VIEWS, *AUTOENCODERS]))
    law: Callable[[Any, Tensor | None], Law] = _function(VIEWS[name])
    return peer(law(thing, context), name, input_shape)


def _function(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(import_module(module), function)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'jensen.adapt' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
