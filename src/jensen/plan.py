"""How long to train and how: the budget and the settings of the loop, checked once."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from jensen.arguments import MOST, as_float, said
from jensen.errors import UsageError

DEFAULT_STEPS = 2000
OPTIMISERS = ("adam", "sgd", "lars")
WHOLE = ("steps", "batch", "patience", "checks", "accumulate")
NUMBERS = (*WHOLE, "seconds", "rate", "warmup", "clip", "average", "decay", "save_every")
PRECISIONS = ("float32", "bf16", "auto")


@dataclass(frozen=True)
class Plan:
    """Settings of the training loop.

    `steps` or `seconds` is the budget (both: a budget of steps that seconds cut off; neither: 2000 steps). A budget in
    steps repeats bit for bit on a CPU; one in seconds cannot. `rate`: peak learning rate, reached after `warmup` (a share
    of the budget) and lowered to zero along a cosine. `clip`: a gradient longer than `clip` times the running average
    of their lengths is shortened to that; the same number suits losses of any scale. `average`: largest decay of the
    running average of the weights, which is what is validated and kept; 0 keeps the last weights. `patience`: checks
    without a better validation before stopping early; 0 never stops early. `checks`: validations in a whole budget.
    `decay`: decoupled weight decay (sgd and lars add it to the gradient). `save_every`: seconds between checkpoints.
    `precision`: of the forward and backward pass; "bf16" runs matrix products and convolutions in bfloat16 and the rest
    in float32 (autocast), "auto" does so where there is a GPU that can. Weights, likelihood heads, validation and scores
    stay in float32. "float32" trains as torch itself does on a GPU: products of matrices in float32, convolutions in TF32, whose
    factors have ten bits of mantissa, unless the program sets torch.backends.cudnn.allow_tf32 = False; validation, scores
    and audits never use TF32. `compile`: let torch compile the loss: the first step takes a minute or more, later ones less time
    on a GPU or in long element-wise chains. A setting that is left out is the objective's own where it has one; one that is
    given is kept, also where it equals the default (`given`). `optimiser`: "adam" (rates near 0.002), "sgd" (with momentum; rates near
    0.05) or "lars" (for contrastive learning with batches of thousands; rates near 1). `accumulate`: pieces in which a batch goes
    through, gradients added up, where it is larger than memory; the batch remains what it is, on any number of devices.
    """

    steps: int | None = None
    seconds: float | None = None
    batch: int = 128
    rate: float = 2e-3
    warmup: float = 0.02
    clip: float = 3.0
    average: float = 0.9999
    patience: int = 10
    checks: int = 40
    decay: float = 0.0
    save_every: float = 30.0
    precision: str = "float32"
    compile: bool = False
    optimiser: str = "adam"
    accumulate: int = 1
    given: ClassVar[frozenset[str]] = frozenset()
    """The settings that were given, of an instance."""

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            object.__setattr__(self, "steps", DEFAULT_STEPS)
        _numbers(self)
        _need(
            "steps >= 1",
            self.steps,
            self.steps is None or (self.steps >= 1 and int(self.steps) == self.steps),
        )
        _need("seconds > 0", self.seconds, self.seconds is None or 0 < self.seconds < math.inf)
        _need("batch >= 1", self.batch, self.batch >= 1)
        _need("rate > 0", self.rate, 0 < self.rate < math.inf)
        _need("warmup from 0 to below 1", self.warmup, 0 <= self.warmup < 1)
        _need("clip > 0", self.clip, self.clip > 0)
        _need("average from 0 to below 1", self.average, 0 <= self.average < 1)
        _need("patience >= 0", self.patience, self.patience >= 0)
        _need("accumulate >= 1", self.accumulate, self.accumulate >= 1)
        _need("checks >= 1", self.checks, self.checks >= 1)
        _need("decay >= 0", self.decay, 0 <= self.decay < math.inf)
        _need("save_every > 0", self.save_every, self.save_every > 0)
        _need(
            f"a precision of {', '.join(PRECISIONS)}",
            self.precision,
            isinstance(self.precision, str) and self.precision in PRECISIONS,
        )
        _need(
            f"an optimiser of {', '.join(OPTIMISERS)}",
            self.optimiser,
            isinstance(self.optimiser, str) and self.optimiser in OPTIMISERS,
        )
        _need("compile to be true or false", self.compile, isinstance(self.compile, bool))

    def progress(self, step: int, seconds: float) -> float:
        """The share of the schedule that is done, 0 to 1: of the steps where they are given, else of the seconds.

        With both, the seconds only cut the run off: until they do, it repeats bit for bit like one of steps alone.
        """
        done = step / self.steps if self.steps else seconds / (self.seconds or math.inf)
        return min(done, 1.0)

    def spent(self, step: int, seconds: float) -> bool:
        """Whether the budget is used up: of steps, of seconds, or whichever ends first."""
        return (self.steps is not None and step >= self.steps) or (
            self.seconds is not None and seconds >= self.seconds
        )

    def rate_at(self, progress: float) -> float:
        """The learning rate at a share of the budget: linear warm-up, then a cosine to zero."""
        if progress < self.warmup:
            return self.rate * max(progress / self.warmup, 0.02)
        return self.rate * 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))

    def replaced(self, **changes: Any) -> Plan:
        """The same plan with some settings changed; which ones were given is kept."""
        found = replace(self, **changes)
        object.__setattr__(found, "given", self.given | set(changes))
        return found


def _noting(init: Any) -> Any:
    """An __init__ that notes which settings were given; all of them together come from a copy, and count where they differ."""

    @functools.wraps(init)
    def wrapper(self: Plan, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        names = [one.name for one in fields(Plan)]
        told = {*names[: len(args)], *kwargs}
        if told == set(names):
            told = {one.name for one in fields(Plan) if getattr(self, one.name) != one.default}
        object.__setattr__(self, "given", frozenset(told))

    return wrapper


Plan.__init__ = _noting(Plan.__init__)  # type: ignore[method-assign]


def _numbers(plan: Plan) -> None:
    """Plain numbers in place of what stands for them. Raises UsageError for a setting that is no number, or no whole one
    where it counts something."""
    for name in NUMBERS:
        given = getattr(plan, name)
        if given is None and name in ("steps", "seconds"):
            continue
        found = as_float(given)
        if found is None or (name in WHOLE and not abs(found) <= MOST):
            raise UsageError(
                f"training needs a number for {name}", f"got {said(given)}", "correct that setting"
            )
        if name in WHOLE and not found.is_integer():
            raise UsageError(
                f"training needs a whole number of {name}", f"got {given}", "correct that setting"
            )
        object.__setattr__(plan, name, int(found) if name in WHOLE else found)


def _need(what: str, given: object, holds: bool) -> None:
    if not holds:
        raise UsageError(f"training needs {what}", f"got {said(given)}", "correct that setting")
