"""Is the Jacobian of every autoregressive map triangular: does a feature move by earlier features alone?"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from jensen.checks.maps import Part, has, jacobians, near_and_far, parts, pattern_order
from jensen.checks.subject import precise
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import float_type
from jensen.space import Space

NAME = "triangular"
LARGE = 256
ROWS = 32


class Judged(NamedTuple):
    """One map: whether it claims to be triangular, the forbidden links (d, d) that its Jacobians have, and in words."""

    claims: bool
    leaks: Tensor
    said: str


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if space is None or not has(module, "encode"):
        return "the module does not encode rows"
    if not any(part.order is not None or part.foreign for part in parts(module, 1)):
        return "no map of it declares an order of features"
    return "" if space.dims <= LARGE else f"{space.dims} features are too many for their Jacobian"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """The non-zero entries of each map's Jacobian, in float64, at rows near and far, after the order that it declares.

    A single entry above the diagonal, however small, is a leak: the stated log-determinant, the sum of the diagonal's,
    is then wrong. A map of another library declares no order; where the log-determinant that it states is the sum of
    the diagonal's at every row it claims to be triangular in some order, and a cycle among its features that changes
    the determinant is a leak.
    """
    assert space is not None
    x = near_and_far(module, rows, space, ROWS, seed)
    model: Any = module
    subject = precise(model, lambda m: m.encode(x.double())[1])
    at, found = x.to(float_type(subject)).flatten(1).T, []
    for number, part in enumerate(parts(subject, ROWS), 1):
        at, judged = _judged(part, at, number)
        found.append(judged)
    claimed = [one for one in found if one.claims]
    if not claimed:
        return Verdict(
            NAME, None, "does not apply: no map states the log-determinant of a triangle", {"applies": False}
        )
    bad = [one for one in claimed if bool(one.leaks.any())]
    details = {"maps": len(claimed), "leaks": sum(int(one.leaks.sum()) for one in bad)}
    if bad:
        return Verdict(NAME, False, f"{bad[0].said} ({len(bad)} of {len(claimed)} maps leak)", details)
    orders = "; ".join(dict.fromkeys(one.said for one in claimed if one.said))
    text = f"the Jacobians of {len(claimed)} of {len(found)} maps are triangular on {ROWS} rows near and far"
    return Verdict(NAME, True, f"{text}: {orders}" if orders else text, details)


def _judged(part: Part, x: Tensor, number: int) -> tuple[Tensor, Judged]:
    y, matrices, stated = jacobians(part.encode, x)
    links = (matrices != 0).any(0) & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    name = f"map {number}, {part.name}"
    if part.order is not None:
        place = part.order.to(x.device).argsort()
        leaks = links & (place[None, :] > place[:, None])
        return y, Judged(True, leaks, _first(leaks, name) if bool(leaks.any()) else "")
    diagonal = matrices.diagonal(dim1=1, dim2=2).abs().log().sum(1)
    if not torch.allclose(diagonal, stated, rtol=1e-9, atol=1e-9):
        return y, Judged(False, links, "")
    order = pattern_order(links)
    if order is None and torch.allclose(torch.linalg.slogdet(matrices)[1], stated, rtol=1e-11, atol=1e-11):
        return y, Judged(
            False, links, ""
        )  # the diagonal's and the true one alike: nearly the identity, and no claim
    if order is None:
        return y, Judged(True, _cyclic(links), _first(_cyclic(links), name))
    said = f"{name} in the order {', '.join(map(str, order[:12]))}{', ...' if len(order) > 12 else ''}"
    return y, Judged(True, torch.zeros_like(links), said if bool(links.any()) else "")


def _cyclic(links: Tensor) -> Tensor:
    """Links whose ends reach each other."""
    reach = links.double()
    for _ in range(len(links).bit_length()):
        reach = ((reach + reach @ reach) > 0).double()
    return links & (reach.T > 0)


def _first(leaks: Tensor, name: str) -> str:
    out, into = leaks.nonzero()[0].tolist()
    return f"{name}: feature {out} moves with feature {into}, which it may not see ({int(leaks.sum())} such links)"
