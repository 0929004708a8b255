"""Flows and bijections of torchflows (davidnabergoj/torchflows)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from jensen.adapt.law import Law, Step, unknown


def law(thing: Any, context: Tensor | None) -> Law:
    """A Flow (`bijection`, `base`), a mixture of flows, or a bijection."""
    if isinstance(thing, nn.Module) and hasattr(thing, "event_shape"):
        if hasattr(thing, "log_prob") and hasattr(thing, "sample"):
            return Flow(thing, context)
        if hasattr(thing, "inverse"):
            return Moved(thing, context)
    raise unknown(thing, "torchflows", "a torchflows Flow or Bijection")


class Flow(Law):
    """`bijection.forward` goes from rows to base."""

    def __init__(self, thing: nn.Module, context: Tensor | None) -> None:
        super().__init__(context)
        self.held = thing
        self.event_shape = tuple(int(size) for size in thing.event_shape)  # type: ignore[union-attr]

    def steps(self, n: int) -> Sequence[Step]:
        if not hasattr(self.held, "bijection"):
            raise NotImplementedError("a mixture has no map")
        return listed(self.held.bijection, self.given(n))

    def log_prob(self, x: Tensor) -> Tensor:
        found: Any = self.held.log_prob(x, context=self.given(len(x)))  # type: ignore[operator]
        # a flow in continuous time returns a tuple
        return found[0] if isinstance(found, tuple) else found

    def sample(self, n: int) -> Tensor:
        found: Tensor = self.held.sample(n, context=self.given(n))  # type: ignore[operator]
        return found

    def drawn(self, n: int) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.held.sample(  # type: ignore[operator]
            n, context=self.given(n), return_log_prob=True
        )
        return found

    def base_log_prob(self, z: Tensor) -> Tensor:
        if not hasattr(self.held, "bijection"):
            raise NotImplementedError("a mixture has no base")
        found: Tensor = self.held.base_log_prob(z)  # type: ignore[operator]
        return found


class Moved(Law):
    """A bijection alone."""

    def __init__(self, thing: nn.Module, context: Tensor | None) -> None:
        super().__init__(context)
        self.held = thing
        self.event_shape = tuple(int(size) for size in thing.event_shape)  # type: ignore[union-attr]

    def steps(self, n: int) -> Sequence[Step]:
        return listed(self.held, self.given(n))


def listed(bijection: Any, given: Tensor | None) -> list[Step]:
    """The steps of a composition, or the one of any other bijection."""
    if hasattr(bijection, "layers") and not hasattr(type(bijection), "f"):
        return [step for one in bijection.layers for step in listed(one, given)]
    return [
        Step(
            type(bijection).__name__,
            lambda x: bijection.forward(x, context=given)[:2],
            lambda z: bijection.inverse(z, context=given)[:2],
        )
    ]
