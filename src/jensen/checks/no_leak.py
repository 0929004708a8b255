"""Does every site depend on earlier sites only? A proof by taint, and a count of the links that are really used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.subject import Bare, View
from jensen.checks.verdict import Verdict
from jensen.errors import Cannot
from jensen.functional.jacobian import jacobian_lower_bound
from jensen.functional.module_state import float_type
from jensen.functional.order import Order, own_order, raster_order
from jensen.functional.receptive import Dependence, dependence
from jensen.space import Space

NAME = "no_leak"
LARGE = 1024
"""Sites beyond which the lower bound, a pass or more a site, is left out."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if isinstance(module, Bare):
        return ""
    if not isinstance(getattr(module, "order", None), Tensor) or not hasattr(module, "conditionals"):
        return "the model is not autoregressive: it has no order and conditionals"
    return "" if space is not None else "the space of the rows is not known"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Prove, on these weights, that no site's parameters depend on the site itself or on later ones.

    A model states its own `order`; a bare module is taken in raster order over positions, with the channels of a
    position together or, with `channel_order`, one after the other. True and False are proofs for every finite input
    (False: a path of non-zero weights exists). None names the operation that has no rule. Beside it: how many of the
    allowed pairs are links for certain, by derivatives or, for discrete rows, by changes of one site.
    """
    if isinstance(module, Bare):
        return _bare(module, seed)
    assert space is not None
    return _model(module, space, seed)


def _model(model: Any, space: Space, seed: int) -> Verdict:
    discrete = space.measure == "mass"
    dtype = torch.int64 if discrete else float_type(model)
    sites = View(model, lambda x: _site_summary(model.conditionals(x), x, seed))
    found = dependence(sites, space.shape, dtype=dtype)
    levels = min(space.levels_by_site()) if discrete else 2
    return _judge(sites, found, own_order(model.order, space.shape, space.dims), dtype, levels, seed)


def _site_summary(parameters: Tensor, x: Tensor, seed: int) -> Tensor:
    """(n, *shape, size) -> (n, d): a weighted sum of each site's parameters, which depends on whatever they depend on.

    Constants of -inf (levels a site does not have) would swallow the sum, so that they are clamped first.
    """
    weight = 0.5 + torch.rand(parameters.shape[-1], generator=torch.Generator().manual_seed(seed))
    finite = parameters.nan_to_num(0.0, 0.0, 0.0).clamp(-1e6, 1e6)
    return (finite * weight.to(finite)).sum(-1).reshape(len(x), -1)


def _bare(module: Bare, seed: int) -> Verdict:
    found = dependence(module, module.input_shape, dtype=module.dtype)
    try:
        order = raster_order(module.input_shape, found.output_shape, channel_order=module.channel_order)
    except Cannot as error:
        return Verdict(NAME, None, str(error))
    return _judge(module, found, order, module.dtype, module.levels, seed)


def _judge(
    module: nn.Module, found: Dependence, order: Order, dtype: torch.dtype, levels: int, seed: int
) -> Verdict:
    if found.matrix is None:
        return Verdict(
            NAME,
            None,
            f"not proven: no rule for {'; '.join(found.reasons)}",
            {"reasons": list(found.reasons)},
        )
    forbidden = order.inputs[None, :] >= order.outputs[:, None]
    leaks = found.matrix & forbidden
    used, used_text = _used(module, found, ~forbidden, order, dtype, levels, seed)
    details = {"forbidden_pairs": int(forbidden.sum()), "leaks": int(leaks.sum()), **used}
    if bool(leaks.any()):
        return Verdict(NAME, False, f"{_first_leak(leaks, order)}; {used_text}", details)
    text = f"proven for all {details['forbidden_pairs']} pairs of a site with itself or a later one"
    if found.rows_mix:
        text += ", within a row: rows of a batch mix"
    return Verdict(NAME, True, f"{text}; {used_text}", details)


def _first_leak(leaks: Tensor, order: Order) -> str:
    """The violation nearest to the beginning of the order."""
    pairs = leaks.nonzero()
    keys = order.outputs[pairs[:, 0]] * (int(order.inputs.max()) + 1) + order.inputs[pairs[:, 1]]
    out, into = pairs[int(keys.argmin())].tolist()
    seer = int((order.inputs == order.outputs[out]).nonzero()[0])
    late = int(order.inputs[into] - order.outputs[out])
    what = "itself" if late == 0 else f"site {_site(into, order.shape)}, which comes {late} later"
    return f"{len(pairs)} forbidden pairs are linked, first: site {_site(seer, order.shape)} sees {what}"


def _site(flat: int, shape: tuple[int, ...]) -> str:
    place = [int(i) for i in torch.unravel_index(torch.tensor(flat), shape)]
    return str(place[0]) if len(place) == 1 else f"({', '.join(map(str, place))})"


def _used(
    module: nn.Module,
    found: Dependence,
    allowed: Tensor,
    order: Order,
    dtype: torch.dtype,
    levels: int,
    seed: int,
) -> tuple[dict[str, Any], str]:
    """How many of the allowed pairs are open by taint, and how many are links for certain."""
    assert found.matrix is not None
    total, opened = int(allowed.sum()), int((found.matrix & allowed).sum())
    details: dict[str, Any] = {"allowed_pairs": total, "open_pairs": opened}
    text = f"{opened} of {total} allowed pairs are open"
    sites = len(order.inputs)
    if sites > LARGE:
        return details, f"{text} (links not counted beyond {LARGE} sites)"
    tries = max(1, min(4, 256 // sites))
    links = jacobian_lower_bound(
        module, found.input_shape, seed=seed, inputs=tries, dtype=dtype, levels=levels
    )
    details["used_pairs"] = int((links & allowed).sum())
    details["leaks_seen"] = int((links & ~allowed).sum())
    how = "derivatives" if dtype.is_floating_point else "changes of one site"
    return details, f"{text}, {details['used_pairs']} seen in use by {how} at {tries} random rows"
