"""Follow a module or a fitted model, and say which of its sites see which: `jensen audit --at`, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from jensen.auditing import no_trace, subject_of
from jensen.checks.subject import Bare, View
from jensen.errors import Cannot, UsageError
from jensen.functional.module_state import float_type
from jensen.functional.order import Order, fold_ranks, own_order, raster_order
from jensen.functional.receptive import Position, output_index
from jensen.functional.site_links import LARGE, SiteLinks
from jensen.functional.taint_study import Study
from jensen.space import Space


def site_links(
    given: Any,
    rows: Any = None,
    *,
    space: Space | None = None,
    input_shape: Sequence[int] | None = None,
    channel_order: bool = False,
    at: Sequence[int] | None = None,
) -> SiteLinks:
    """Follow what `jensen.audit` takes, in eval mode, and look at the place `at`, from 0 (default: the middle).

    The sites of an autoregressive model see each other through the parameters of their distributions, in its own
    order; the outputs of any other module lie in raster order, and a position is one site or, with `channel_order`,
    one a channel. Cost: about two passes a site.

    Raises Cannot when an operation has no rule, UsageError for a place outside the output or a model without
    parameters site by site.

    >>> links = site_links(torch.nn.Conv2d(1, 1, 3, padding=1), input_shape=(1, 4, 4), at=(1, 1))
    >>> links.earlier, links.earlier_reached, links.sees_itself, links.later_seen
    (5, 4, True, 4)
    """
    module, _, space = subject_of(given, rows, space, input_shape, channel_order)
    followed = _followed(module, space)
    with no_trace(module, 0):
        found = _look(followed, at)
        module.train()
        return replace(found, in_training=_in_training(found, followed, at))


class _Followed(NamedTuple):
    """A function of rows of one shape and type; `own`: the order that a model states."""

    function: Any
    shape: tuple[int, ...]
    dtype: torch.dtype
    own: Tensor | None
    channel_order: bool = False

    def order(self, output: tuple[int, ...]) -> Order:
        """Ranks of the inputs and outputs. Raises Cannot where outputs have no place among the inputs."""
        if self.own is None:
            return raster_order(self.shape, output, channel_order=self.channel_order)
        return own_order(self.own, self.shape, int(np.prod(output)))


def _followed(module: Any, space: Space | None) -> _Followed:
    if isinstance(module, Bare):
        return _Followed(module, module.input_shape, module.dtype, None, module.channel_order)
    if not hasattr(module, "conditionals") or not isinstance(getattr(module, "order", None), Tensor):
        raise UsageError(
            "the model has no parameters site by site, so no receptive field",
            f"got {type(module).__name__}",
            "leave the place out",
        )
    assert space is not None
    dtype = torch.int64 if space.measure == "mass" else float_type(module)
    return _Followed(View(module, module.conditionals), space.shape, dtype, module.order)


def _look(followed: _Followed, at: Sequence[int] | None) -> SiteLinks:
    """One study: what reaches the place, and all pairs between sites unless there are too many."""
    study = Study(followed.function, followed.shape, followed.dtype, None, 1e30)
    output, order, why = tuple(study.output_shape), None, ""
    try:
        order = followed.order(output)
    except Cannot as error:
        why = str(error)
        if at is None:
            raise
    at, chosen = _chosen(followed, output, at)
    outputs = torch.zeros(chosen.shape, dtype=torch.long) if order is None else order.outputs
    ranks, place = outputs[chosen].unique(return_inverse=True)
    whole = order is not None and order.sites <= LARGE

    def keep(taint: Tensor) -> Tensor:
        here = fold_ranks(taint[:, chosen], place, len(ranks))
        return torch.cat([here, fold_ranks(taint, outputs, order.sites)], 1) if order and whole else here

    links = study.run(keep).require()
    seen, rest = links[: len(ranks)], links[len(ranks) :]
    matrix = fold_ranks(rest, order.inputs, order.sites) if order is not None and whole else None
    return SiteLinks(followed.shape, at, seen, ranks, order, followed.own is not None, why, matrix)


def _chosen(
    followed: _Followed, output: tuple[int, ...], at: Sequence[int] | None
) -> tuple[tuple[int, ...], Tensor]:
    """The place and the outputs there, (outputs,) bool; the middle of the map where no place is given."""
    position: Position
    behind = (slice(None),) if followed.own is not None else ()  # a model's parameters of a site
    if at is None:
        spatial = followed.shape[1:] or followed.shape
        at = tuple(size // 2 for size in spatial)
        before = (slice(None),) * (len(output) - len(spatial) - len(behind))
        flat = len(followed.shape) == 1 and not behind  # an output (length, ...)
        position = (*at, *before) if flat else (*before, *at, *behind)
    else:
        position = (*at, *behind)
    chosen = torch.zeros(output, dtype=torch.bool)
    chosen[output_index(position, output, followed.shape)] = True
    return tuple(at), chosen.flatten()


def _in_training(found: SiteLinks, followed: _Followed, at: Sequence[int] | None) -> str:
    """How training mode differs from `found`, which is eval mode: BatchNorm shows here. Empty where it does not."""
    if found.order is not None and found.order.sites > LARGE:
        return f"training mode is not followed beyond {LARGE:,} sites"
    try:
        study = Study(followed.function, followed.shape, followed.dtype, None, 1e30)
        _, chosen = _chosen(followed, tuple(study.output_shape), at)
        seen = study.run(lambda taint: taint[:, chosen].any(1, keepdim=True)).require()[0]
    except (Cannot, UsageError) as error:
        return f"training mode is not proven: {error}"
    more = int((seen & ~found.seen.any(0)).sum())
    said = [f"{more} more inputs reach the place"] if more else []
    said += ["rows of a batch mix"] if study.rows_mix else []
    return f"in training mode {' and '.join(said)}" if said else ""
