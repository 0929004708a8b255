"""F5: a planar flow is one pass in one direction; the library says which, and takes a root for the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from jensen.course.bijections import SPACE, D, bent, jacobian_log_det, log_normal, seeded
from jensen.course.claim import Finding, Shown
from jensen.course.deciding import exactly
from jensen.course.figures import curves, dots
from jensen.model import Can
from jensen.models.planar_flow import PlanarFlow
from jensen.space import Space

SIDES = {"data": "sample", "base": "score"}
"""Where the formula leads to, and so what is one pass: with the base on u a planar flow samples, else it scores."""


class Operations(TorchDispatchMode):
    """Counts tensor operations: a cost that does not depend on who else uses the machine."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def show(seed: int = 0, *, layers: int = 8, n: int = 400) -> Shown:
    """Both orientations: what is declared, what each direction costs, and that both directions are right."""
    findings: list[Finding] = []
    costs: dict[str, dict[str, float]] = {}
    for towards, cheap in SIDES.items():
        flow = bent(lambda towards=towards: PlanarFlow(SPACE, layers, towards=towards), seed, 0.4)  # type: ignore[misc]
        assert isinstance(flow, PlanarFlow)
        found = costs[f"formula towards the {towards}"] = _costs(flow, n)
        dear = next(way for way in found if way != cheap)
        both = Can.SAMPLE | Can.LOG_PROB in flow.can
        findings.append(
            Finding(
                f"a planar flow towards the {towards} says that it can {cheap} in one pass, and does both",
                flow.cheap == {cheap} and both,
                {"one pass": ", ".join(sorted(flow.cheap)), "can": str(flow.can)},
            )
        )
        findings.append(
            Finding(
                f"to {dear} takes many times the operations", found[dear] > 3 * found[cheap],
                {f"operations to {way}": int(count) for way, count in found.items()},
            )
        )  # fmt: skip
        findings += _right(flow, towards, seed, n)
    findings.append(_mass(seed))
    errors = {towards: [_round_trip(towards, count, seed, n) for count in DEPTHS] for towards in SIDES}
    first = costs["formula towards the data"]
    return Shown(
        tuple(findings),
        f"towards the data: {first['sample']:.0f} operations to sample, {first['score']:.0f} to score by a numerical root; round trips to {max(map(max, errors.values())):.0e}",
        (
            dots("What each direction costs", "tensor operations (log)", costs, log_x=True),
            curves("Round trip through both directions", ("layers", DEPTHS), "largest error", {f"towards the {t}": e for t, e in errors.items()}, log_y=True),
        ),
    )  # fmt: skip


DEPTHS = (1, 2, 4, 8, 16)


def _costs(flow: PlanarFlow, n: int) -> dict[str, float]:
    """Tensor operations of one pass of n rows each way."""
    base = torch.randn(D, n, generator=seeded(0), dtype=torch.float64)
    found = {}
    with torch.no_grad():
        x = flow.decode(base)[0]
        for name, way, given in (("sample", flow.decode, base), ("score", flow.encode, x)):
            with Operations() as counted:
                way(given)
            found[name] = float(counted.count)
    return found


def _right(flow: PlanarFlow, towards: str, seed: int, n: int) -> list[Finding]:
    """Rows come back to where they were drawn from, and are scored by the density that drew them."""
    u = torch.randn(D, n, generator=seeded(seed), dtype=torch.float64)
    with torch.no_grad():
        x = flow.decode(u)[0]
        back = float((flow.encode(x)[0] - u).abs().max())
        scored = flow.log_prob(x)
    drawn = log_normal(u) - jacobian_log_det(lambda base: flow.decode(base)[0].T, u)
    off = float((scored - drawn).abs().max())
    return [
        exactly(f"towards the {towards}, rows come back through the numerical inverse", back, 1e-7),
        exactly(
            f"towards the {towards}, rows are scored by the density that drew them, by autograd", off, 1e-7
        ),
    ]


def _mass(seed: int) -> Finding:
    """The density by quadrature on the plane, scored the dear way."""
    flow = bent(lambda: PlanarFlow(Space.real(2), 4, towards="data"), seed, 0.2)
    side = torch.linspace(-14, 14, 141, dtype=torch.float64)
    with torch.no_grad():
        mass = float(flow.log_prob(torch.cartesian_prod(side, side)).exp().sum() * (side[1] - side[0]) ** 2)
    return exactly("the density by the numerical inverse integrates to one", abs(mass - 1), 1e-5, mass=mass)


def _round_trip(towards: str, layers: int, seed: int, n: int) -> float:
    flow = bent(lambda: PlanarFlow(SPACE, layers, towards=towards), seed, 0.4)
    u: Tensor = torch.randn(D, n, generator=seeded(seed), dtype=torch.float64)
    with torch.no_grad():
        return max(float((flow.encode(flow.decode(u)[0])[0] - u).abs().max()), 1e-17)
