"""Distributions and transforms of torch.distributions, and modules that return (z, log_det)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution, Transform, TransformedDistribution, biject_to, constraints

from jensen.adapt.held import Held, tensors
from jensen.adapt.law import Law, Step, unknown
from jensen.errors import UsageError


def law(thing: Any, context: Tensor | None) -> Law:
    """A Distribution, a Transform (from base to rows), or a module whose forward gives (z, log_det) of rows."""
    if context is not None:
        raise UsageError(
            "torch.distributions have no context", f"got one of {context.numel()}", "leave it out"
        )
    if isinstance(thing, Distribution):
        return Distributed(thing)
    if isinstance(thing, Transform):
        return Moved(thing)
    if isinstance(thing, nn.Module):
        return Returned(thing)
    raise unknown(thing, "torch", "a torch.distributions Distribution or Transform, or a module")


class Distributed(Law):
    """A distribution. One on a part of space, such as positive numbers, is looked at after torch's own map to all of it,
    so that its density there is p(x) |dx/dy|."""

    def __init__(self, thing: Distribution) -> None:
        super().__init__()
        if thing.batch_shape:
            raise UsageError(
                "this is a batch of distributions, and not the distribution of a row",
                f"got batch_shape {tuple(thing.batch_shape)}, event_shape {tuple(thing.event_shape)}",
                f"wrap it: torch.distributions.Independent(it, {len(thing.batch_shape)})",
            )
        self.held = Held(_on_all_of_space(thing))
        self.scalar = not thing.event_shape
        self.maps = not self.scalar and _from_all_of_space(self.held.thing)
        self.event_shape = tuple(thing.event_shape) or (1,)
        floats = [t.dtype for t in tensors(thing) if t.is_floating_point()]
        self.dtype = floats[0] if floats else None

    def log_prob(self, x: Tensor) -> Tensor:
        found: Tensor = self.held.thing.log_prob(self._in(x))
        return found

    def sample(self, n: int) -> Tensor:
        found: Tensor = self.held.thing.sample((n,))
        return found

    def steps(self, n: int) -> Sequence[Step]:
        if not self.maps:
            raise NotImplementedError("it is no transformed distribution")
        return [step(one) for one in reversed(self.held.thing.transforms)]

    def base_log_prob(self, z: Tensor) -> Tensor:
        if not self.maps:
            raise NotImplementedError("it has no base")
        found: Tensor = self.held.thing.base_dist.log_prob(z)
        return found.reshape(len(z), -1).sum(1)

    def _in(self, x: Tensor) -> Tensor:
        return x.reshape(len(x)) if self.scalar else x


class Moved(Law):
    """A transform alone, whose call goes from the base to the rows, as in a TransformedDistribution."""

    def __init__(self, thing: Transform) -> None:
        super().__init__()
        for name, place in (("domain", thing.domain), ("codomain", thing.codomain)):
            if not _is_real(place):
                raise UsageError(
                    f"only transforms between all of space and itself are looked at alone, and the {name} is smaller",
                    f"got {type(thing).__name__} with {name} {place}",
                    "pass the TransformedDistribution that it is a part of",
                )
        self.held = Held(thing)

    def steps(self, n: int) -> Sequence[Step]:
        return [step(self.held.thing)]


class Returned(Law):
    """A module: forward(x) -> (z, log_det), and inverse(z) -> (x, log_det) where it has one."""

    def __init__(self, thing: nn.Module) -> None:
        super().__init__()
        self.held = thing

    def steps(self, n: int) -> Sequence[Step]:
        return [Step(type(self.held).__name__, self._forward, self._back)]

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _two(self.held(x), "forward")

    def _back(self, z: Tensor) -> tuple[Tensor, Tensor]:
        way = getattr(self.held, "inverse", None)
        if way is None:
            raise NotImplementedError("the module has no inverse")
        return _two(way(z), "inverse")


def step(transform: Any) -> Step:
    """A transform from base to rows as a step."""
    return Step(
        type(transform).__name__,
        lambda x: moved(transform.inv, x),
        lambda z: moved(transform, z),
    )


def moved(transform: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """transform(x) and its log|det|, in one call where the transform has one."""
    if hasattr(transform, "call_and_ladj"):
        y, log_det = transform.call_and_ladj(x)
        return y, log_det
    y = transform(x)
    return y, transform.log_abs_det_jacobian(x, y)


def _on_all_of_space(thing: Distribution) -> Distribution:
    try:
        support: Any = thing.support
    except (NotImplementedError, AttributeError):
        return thing
    if _is_real(support):
        return thing
    if getattr(support, "is_discrete", False):
        raise UsageError(
            "only densities of real rows are looked at",
            f"got {type(thing).__name__} on {support}",
            "pass a continuous distribution",
        )
    try:
        way: Any = biject_to(support)
        same = tuple(way.inverse_shape(thing.event_shape)) == tuple(thing.event_shape)
    except NotImplementedError:
        same = False
    if not same:
        raise UsageError(
            "there is no map from the support to all of space that keeps the shape of a row",
            f"got {type(thing).__name__} on {support}",
            "transform it to unbounded coordinates first",
        )
    return TransformedDistribution(thing, [way.inv])


def _from_all_of_space(thing: Distribution) -> bool:
    """Whether a distribution is another on all of space, moved."""
    try:
        return isinstance(thing, TransformedDistribution) and _is_real(thing.base_dist.support)
    except NotImplementedError:
        return False


def _is_real(place: Any) -> bool:
    while hasattr(place, "base_constraint"):
        place = place.base_constraint
    return place in (constraints.real, constraints.real_vector)


def _two(found: Any, way: str) -> tuple[Tensor, Tensor]:
    if not (isinstance(found, tuple) and len(found) == 2 and all(isinstance(one, Tensor) for one in found)):
        raise UsageError(
            f"{way} of the module does not return (z, log_det)",
            f"got {type(found).__name__}",
            "return both, log_det with one number a row",
        )
    return found
