"""The interface of a generative model: what it can do is read off the methods it writes."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from jensen.errors import Cannot, SpaceError, UsageError
from jensen.nn.context import ContextInput
from jensen.space import Space


class Can(enum.Flag):
    """Abilities. Everything else in jensen dispatches on these, never on a model's family."""

    NOTHING = 0
    SAMPLE = enum.auto()
    LOG_PROB = enum.auto()
    LOG_PROB_LOWER = enum.auto()
    SAMPLE_WITH_LOG_PROB = enum.auto()
    EMBED = enum.auto()
    SOLVE = enum.auto()
    LOG_WEIGHTS = enum.auto()


@dataclass(frozen=True)
class Note:
    """What a user should know of a fitted model; `doubtful` where it speaks against using it as it is."""

    name: str
    text: str
    doubtful: bool = False


_METHODS = {
    "sample": Can.SAMPLE,
    "log_prob": Can.LOG_PROB,
    "log_prob_lower": Can.LOG_PROB_LOWER,
    "log_weights": Can.LOG_WEIGHTS,
    "sample_with_log_prob": Can.SAMPLE_WITH_LOG_PROB,
    "embed": Can.EMBED,
    "solve": Can.SOLVE,
}


class Model(nn.Module):
    """A distribution over the rows of a space; plain tensors in, plain tensors out.

    A leaf names the kinds of space it `accepts`, writes the methods it can, and leaves the others: those raise
    Cannot. `hyper` records the constructor's arguments, so that a saved model can be built again. Rows x are
    (n, *space.shape): int64 indices 0 .. levels - 1 on discrete spaces, floats on real and mixed ones, nan at a gap. `c` is what the rows are
    conditioned on, (n, d) with a column for each of the `context` space, or None where the model has no context;
    `given` makes features of it.
    """

    accepts: ClassVar[frozenset[str]]
    takes_context: ClassVar[bool] = False
    """Whether the constructor takes `context`, the space of what the rows are conditioned on."""
    takes_unseen: ClassVar[bool] = False
    """Whether rows may have gaps that are unseen (nan), and the likelihood is then that of the other sites."""
    bounded_by: str = ""
    """What makes `log_prob_lower` a bound, in words: it is said beside every number that rests on it."""
    borrowed: ClassVar[bool] = False
    """Whether the networks are somebody else's, given as objects: such a model is used, not saved."""
    solve_rows: ClassVar[int | None] = None
    """`solve` needs no more rows than this; None: the more the better."""

    space: Space
    context: Space | None
    hyper: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Record the arguments of every construction."""
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _recorded(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, space: Space, context: Space | None = None) -> None:
        super().__init__()
        if space.kind not in self.accepts:
            raise SpaceError(
                f"{type(self).__name__} models {' or '.join(sorted(self.accepts))} rows",
                f"got {space.describe()}",
                "choose another model, or another space for the rows",
            )
        if "unseen" in space.gaps and not self.takes_unseen:
            raise SpaceError(
                f"{type(self).__name__} has no likelihood of some of the sites alone",
                f"got {space.describe()} with gaps that are unseen",
                "choose vae or independent, or take gaps as values with gaps='value'",
            )
        if context is not None and not self.takes_context:
            raise SpaceError(
                f"{type(self).__name__} takes no context", f"got {context.describe()}", "leave it out"
            )
        self.space, self.context = space, context
        self.given = None if context is None else ContextInput(context)

    @property
    def context_size(self) -> int:
        """Features of the context, 0 without one."""
        return 0 if self.given is None else self.given.size

    @property
    def can(self) -> Can:
        """The abilities whose methods this model writes."""
        found = Can.NOTHING
        for name, ability in _METHODS.items():
            if getattr(type(self), name) is not getattr(Model, name):
                found |= ability
        return found

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape), drawn from the distribution that log_prob scores."""
        raise self.cannot(Can.SAMPLE)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """log p(x) (n,), nats, exact."""
        raise self.cannot(Can.LOG_PROB)

    def log_prob_lower(
        self, x: Tensor, c: Tensor | None = None, k: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """A number (n,), nats, whose expectation is at most log p(x) and does not fall as k grows."""
        raise self.cannot(Can.LOG_PROB_LOWER)

    def log_weights(
        self, x: Tensor, c: Tensor | None = None, k: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """log p(x, z_j) / q(z_j | x) (n, k), nats, of k draws of latents z a row: exp of each has mean p(x)."""
        raise self.cannot(Can.LOG_WEIGHTS)

    def sample_with_log_prob(
        self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reparameterised rows (n, *shape) and their log_prob (n,)."""
        raise self.cannot(Can.SAMPLE_WITH_LOG_PROB)

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Features (n, d) of rows."""
        raise self.cannot(Can.EMBED)

    def solve(self, x: Tensor, c: Tensor | None = None, seed: int = 0) -> None:
        """Estimate the parameters from rows in one call: counting, or an EM of the model's own."""
        raise self.cannot(Can.SOLVE)

    def notes(self, x: Tensor, c: Tensor | None = None) -> list[Note]:
        """What to know of this model after a fit, seen on some of its training rows; nothing where a leaf writes none."""
        return []

    def features_of(self, c: Tensor | None, n: int) -> Tensor | None:
        """The context's features (n, size), or None where the model has none. Raises SpaceError when it does not fit."""
        if self.given is None:
            self.refuse_context(c)
            return None
        features: Tensor = self.given(c, n)
        return features

    def refuse_context(self, c: Tensor | None) -> None:
        """Raise Cannot when a model without context is given one."""
        if c is not None:
            name = type(self).__name__
            if self.takes_context:
                raise Cannot(
                    f"this {name} was built without a context",
                    f"got c of shape {tuple(c.shape)}",
                    "leave c out",
                )
            raise Cannot(f"{name} takes no context", f"got c of shape {tuple(c.shape)}", "leave c out")

    def cannot(self, ability: Can) -> Cannot:
        """The error for a missing ability, saying what the model can do instead."""
        able = ", ".join(name for name, flag in _METHODS.items() if flag in self.can) or "nothing"
        name = (ability.name or "that").lower()
        return Cannot(f"{type(self).__name__} cannot {name}", f"it can: {able}", "choose a model that can")


def abilities(can: Can) -> Iterator[str]:
    """The names of the methods behind a set of abilities.

    >>> list(abilities(Can.SAMPLE | Can.LOG_PROB))
    ['sample', 'log_prob']
    """
    return (name for name, flag in _METHODS.items() if flag in can)


def one_a_row(values: Tensor, n: int) -> Tensor:
    """The log-likelihoods (n,) a model gave for n rows. Raises UsageError for any other shape."""
    if values.shape != (n,):
        raise UsageError(
            "a model gives one log-likelihood a row",
            f"got shape {tuple(values.shape)} for {n} rows",
            "sum over the sites",
        )
    return values


def one_vector_a_row(features: Any, n: int) -> Tensor:
    """The features (n, d) a model gave for n rows. Raises UsageError for maps and for anything else."""
    if not isinstance(features, Tensor):
        raise UsageError(
            "an encoder gives a tensor (n, features)",
            f"got {type(features).__name__}",
            "return the features alone",
        )
    if features.ndim != 2 or len(features) != n or not features.is_floating_point():
        maps = features.ndim > 2
        raise UsageError(
            "an encoder gives one vector of floats a row, (n, features)",
            f"got shape {tuple(features.shape)} {features.dtype} for {n} rows",
            "pool its maps: x.mean((2, 3)), or global_pool='avg' in timm"
            if maps
            else "flatten all but the rows",
        )
    return features


def _recorded(init: Any) -> Any:
    import functools
    import inspect

    signature = inspect.signature(init)

    @functools.wraps(init)
    def wrapper(self: Model, *args: Any, **kwargs: Any) -> None:
        outermost = "hyper" not in self.__dict__
        if outermost:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            record = {k: v for k, v in bound.arguments.items() if k not in ("self", "space", "context")}
            for parameter in signature.parameters.values():
                if parameter.kind is parameter.VAR_KEYWORD:
                    record.update(record.pop(parameter.name, {}))
            self.__dict__["hyper"] = record
        init(self, *args, **kwargs)

    return wrapper
