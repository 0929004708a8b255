"""Flows and transforms of nflows (bayesiains/nflows)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from jensen.adapt.law import Law, Step, unknown


def law(thing: Any, context: Tensor | None) -> Law:
    """A Flow (`_transform`, `_distribution`), another Distribution, or a Transform."""
    if isinstance(thing, nn.Module):
        if hasattr(thing, "_transform") and hasattr(thing, "_distribution"):
            return Flow(thing, context)
        if hasattr(thing, "log_prob") and hasattr(thing, "sample_and_log_prob"):
            return Distributed(thing, context)
        if hasattr(thing, "forward") and hasattr(thing, "inverse"):
            return Moved(thing, context)
    raise unknown(thing, "nflows", "an nflows Flow or Transform")


class Distributed(Law):
    """Whatever scores and samples; with a context the samples of each come together."""

    def __init__(self, thing: nn.Module, context: Tensor | None) -> None:
        super().__init__(context)
        self.held = thing
        shape = getattr(thing, "_shape", None)
        self.event_shape = None if shape is None else tuple(shape)

    def log_prob(self, x: Tensor) -> Tensor:
        found: Tensor = self.held.log_prob(x, context=self.given(len(x)))  # type: ignore[operator]
        return found

    def sample(self, n: int) -> Tensor:
        found: Tensor = self.held.sample(n, context=self.given(1))  # type: ignore[operator]
        return found

    def drawn(self, n: int) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.held.sample_and_log_prob(n, context=self.given(1))  # type: ignore[operator]
        return found


class Flow(Distributed):
    """`_transform` goes from rows to base; both it and the base take the embedded context."""

    def __init__(self, thing: nn.Module, context: Tensor | None) -> None:
        super().__init__(thing, context)
        shape = getattr(thing._distribution, "_shape", None)
        self.event_shape = None if shape is None else tuple(shape)

    def steps(self, n: int) -> Sequence[Step]:
        return listed(self.held._transform, self._embedded(n))

    def base_log_prob(self, z: Tensor) -> Tensor:
        base: Any = self.held._distribution
        found: Tensor = base.log_prob(z, context=self._embedded(len(z)))
        return found

    def _embedded(self, n: int) -> Tensor | None:
        given = self.given(n)
        network: Any = getattr(self.held, "_embedding_net", None)
        return given if network is None or given is None else network(given)


class Moved(Law):
    """A transform alone: forward goes from rows to base."""

    def __init__(self, thing: nn.Module, context: Tensor | None) -> None:
        super().__init__(context)
        self.held = thing

    def steps(self, n: int) -> Sequence[Step]:
        return listed(self.held, self.given(n))


def listed(transform: Any, given: Tensor | None) -> list[Step]:
    """The steps of a composite transform, or the one of any other."""
    if type(transform).__name__ == "CompositeTransform" and hasattr(transform, "_transforms"):
        return [step for one in transform._transforms for step in listed(one, given)]
    return [
        Step(
            type(transform).__name__,
            lambda x: transform(x, context=given),
            lambda z: transform.inverse(z, context=given),
        )
    ]
