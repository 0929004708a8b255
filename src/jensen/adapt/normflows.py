"""Flows of normflows (VincentStimper/normalizing-flows): forward goes from base to rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from jensen.adapt.law import Law, Step, unknown


def law(thing: Any, context: Tensor | None) -> Law:
    """A NormalizingFlow or ConditionalNormalizingFlow (`q0`, `flows`), or a single flow layer."""
    if isinstance(thing, nn.Module):
        if hasattr(thing, "q0") and hasattr(thing, "flows") and not isinstance(thing.q0, nn.ModuleList):
            return Flow(thing, context)
        if hasattr(thing, "inverse") and not hasattr(thing, "q0"):
            return Moved(thing, context)
    raise unknown(thing, "normflows", "a NormalizingFlow with one base, or one of its layers")


class Flow(Law):
    """The log-determinants of its layers are added here in the type of the rows: its own sum of them is in float32."""

    def __init__(self, thing: nn.Module, context: Tensor | None) -> None:
        super().__init__(context)
        self.held = thing
        shape = next(
            (getattr(thing.q0, name) for name in ("shape", "d", "dim") if hasattr(thing.q0, name)), None
        )
        self.event_shape = (shape,) if isinstance(shape, int) else None if shape is None else tuple(shape)

    def steps(self, n: int) -> Sequence[Step]:
        layers: Any = self.held.flows
        return [step(one, self.given(n)) for one in reversed(list(layers))]

    def log_prob(self, x: Tensor) -> Tensor:
        found: Tensor = self.held.log_prob(x, **_words(self.given(len(x))))  # type: ignore[operator]
        return found

    def sample(self, n: int) -> Tensor:
        return self.drawn(n)[0]

    def drawn(self, n: int) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.held.sample(n, **_words(self.given(n)))  # type: ignore[operator]
        return found

    def base_log_prob(self, z: Tensor) -> Tensor:
        base: Any = self.held.q0
        found: Tensor = base.log_prob(z, **_words(self.given(len(z))))
        return found


class Moved(Law):
    """A layer alone."""

    def __init__(self, thing: nn.Module, context: Tensor | None) -> None:
        super().__init__(context)
        self.held = thing

    def steps(self, n: int) -> Sequence[Step]:
        return [step(self.held, self.given(n))]


def step(layer: Any, given: Tensor | None) -> Step:
    """A layer as a step: its inverse leads to the base."""
    return Step(
        type(layer).__name__,
        lambda x: layer.inverse(x, **_words(given)),
        lambda z: layer(z, **_words(given)),
    )


def _words(given: Tensor | None) -> dict[str, Tensor]:
    return {} if given is None else {"context": given}
