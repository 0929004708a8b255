"""The running average of a model's weights: what is validated, kept and sampled from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from jensen.parts import local, put

EVERY = 8
"""Steps between two updates: an eighth of the cost, and the same average to within the decay of eight steps."""


class Average:
    """Exponential average of the floating parameters, over about the last tenth of the training so far.

    The decay of an update after t of them is min(limit, (1 + t) / (10 + t)); `limit` is `decay`, a step's, to the
    power of EVERY. With decay 0 the average is the weights themselves.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.live = [p for p in model.parameters() if p.is_floating_point()]
        self.cut = any(hasattr(p, "to_local") for p in self.live)
        """Whether the weights are parts, whose memory belongs to those who put them together."""
        self.limit = decay**EVERY
        self.shadow = [p.detach().clone() for p in self.live] if decay > 0 else []
        self.updates = 0

    def update(self, step: int, at_once: bool = False) -> None:
        """Take in the weights after `step` steps: every eighth step, or `at_once` because training ends here."""
        if not self.shadow or (step % EVERY and not at_once):
            return
        decay = min(self.limit, (1 + self.updates) / (10 + self.updates))
        shadow, live = self.shadow, [p.detach() for p in self.live]
        if self.cut:
            shadow, live = ([local(p) for p in of] for of in (shadow, live))
        torch._foreach_lerp_(shadow, live, 1 - decay)
        self.updates += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Run a block with the averaged weights in the model; the live ones come back after it."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        """Exchange the live weights and the average."""
        for parameter, shadow in zip(self.live, self.shadow):
            if self.cut:
                mine, other = local(parameter), local(shadow)
                held = mine.clone()
                mine.copy_(other)
                other.copy_(held)
            else:
                parameter.data, shadow.data = shadow.data, parameter.data

    def state(self) -> dict[str, Tensor]:
        """The average's tensors by name."""
        return {str(i): tensor for i, tensor in enumerate(self.shadow)}

    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """The inverse of `state`."""
        for i, shadow in enumerate(self.shadow):
            put(shadow, tensors[str(i)])
        self.updates = updates
