"""Flows and transforms of zuko (probabilists/zuko): lazy modules, and the distributions and transforms they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from jensen.adapt.held import Held
from jensen.adapt.law import Law, Step, unknown
from jensen.adapt.switches import validation_off
from jensen.adapt.torch_distributions import moved
from jensen.errors import UsageError


def law(thing: Any, context: Tensor | None) -> Law:
    """A lazy flow or transform, or what calling it gives."""
    if not isinstance(thing, (nn.Module, Distribution, Transform)):
        raise unknown(thing, "zuko", "a flow such as zuko.flows.NSF(...), a lazy transform, or flow()")
    found = Zuko(thing, context)
    try:
        made = found.made()
    except Exception as error:  # any module may come here, and calling it may fail in any way
        raise UsageError(
            "no flow comes of calling this module, as zuko's are called",
            f"got {type(thing).__module__}.{type(thing).__qualname__}, which says: {str(error)[:200] or type(error).__name__}",
            "pass a flow such as zuko.flows.NSF(...), and a conditional one with its context",
        ) from None
    if isinstance(made, Transform):
        return found
    if not (hasattr(made, "transform") and hasattr(made, "base")):
        raise unknown(thing, "zuko", "a flow, which has a transform and a base")
    with validation_off():
        found.event_shape = tuple(made.event_shape)
    return found


class Zuko(Law):
    """A flow() has `transform`, from rows to base, and `base`. zuko runs without torch's validation: so it does here."""

    def __init__(self, thing: Any, context: Tensor | None) -> None:
        super().__init__(context)
        self.held = thing if isinstance(thing, nn.Module) else Held(thing)

    def made(self) -> Any:
        """The distribution or transform at the context."""
        if isinstance(self.held, Held):
            return self.held.thing
        with validation_off():
            return self.held() if self.context is None else self.held(self.context)

    def steps(self, n: int) -> Sequence[Step]:
        whole = self.made()
        transform = whole if isinstance(whole, Transform) else whole.transform
        return [_step(one) for one in getattr(transform, "transforms", [transform])]

    def log_prob(self, x: Tensor) -> Tensor:
        with validation_off():
            found: Tensor = self._flow().log_prob(x)
        return found

    def sample(self, n: int) -> Tensor:
        with validation_off():
            found: Tensor = self._flow().sample((n,))
        return found

    def drawn(self, n: int) -> tuple[Tensor, Tensor]:
        with validation_off():
            found: tuple[Tensor, Tensor] = self._flow().rsample_and_log_prob((n,))
        return found

    def base_log_prob(self, z: Tensor) -> Tensor:
        with validation_off():
            found: Tensor = self._flow().base.log_prob(z)
        return found

    def _flow(self) -> Any:
        made = self.made()
        if isinstance(made, Transform):
            raise NotImplementedError("a transform has no density")
        return made


def _step(transform: Any) -> Step:
    def way(one: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        with validation_off():
            return moved(one, x)

    name = type(transform).__name__
    return Step(name, lambda x: way(transform, x), lambda z: way(transform.inv, z))
