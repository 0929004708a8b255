"""Flows of other libraries and jensen's, built alike: 5 maps, two hidden layers of 128 relu units, 8 bins on [-5, 5].

Every library gets its own fastest way to that architecture: the direction in which `log_prob` is one pass, one network
a coupling, no residual blocks. Between the maps features change sides or are reversed; jensen's `as shipped` has
instead the learned linear mixing that its models have. A library that is not installed raises ImportError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from jensen.flow import Flow
from jensen.model import Model
from jensen.models.realnvp import RealNVP
from jensen.models.spline_flow import SplineFlow
from jensen.nn.elementwise import affine_map, spline_map
from jensen.space import Space
from jensen.transforms.autoregressive import AutoregressiveMap
from jensen.transforms.coupling import Coupling
from jensen.transforms.permutation import Permutation

if TYPE_CHECKING:
    from torch import Tensor

FAMILIES = ("MAF", "RealNVP", "spline coupling", "spline autoregressive")
MAPS, HIDDEN, BINS, BOUND = 5, (128, 128), 8, 5.0


@dataclass(frozen=True)
class Built:
    """A flow in torch: `log_prob` of rows (n, d) -> (n,), `sample` n -> rows (n, d)."""

    module: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]


class Alike(Flow):
    """jensen's maps with nothing learned between them, as the peers have it."""

    def __init__(self, space: Space, family: str) -> None:
        super().__init__(space)
        d = space.dims
        each = affine_map() if family in FAMILIES[:2] else spline_map(BINS, BOUND)
        if "coupling" in family or family == "RealNVP":
            self.flow_through([Coupling(d, each, HIDDEN, flip=i % 2 == 1) for i in range(MAPS)])
        else:
            pairs = [(AutoregressiveMap(d, each, HIDDEN), Permutation(d)) for _ in range(MAPS)]
            self.flow_through([one for pair in pairs for one in pair])


def jensen(family: str, d: int) -> Built:
    """The same maps as the peers."""
    return _of(Alike(Space.real(d), family))


def jensen_as_shipped(family: str, d: int) -> Built:
    """The model of the catalogue; of MAF it is the same as `jensen`."""
    space = Space.real(d)
    shipped: dict[str, Callable[[], Model]] = {
        "RealNVP": lambda: RealNVP(space, MAPS, HIDDEN),
        "spline coupling": lambda: SplineFlow(space, MAPS, HIDDEN, bins=BINS, bound=BOUND),
        "spline autoregressive": lambda: SplineFlow(
            space, MAPS, HIDDEN, coupling=False, bins=BINS, bound=BOUND
        ),
    }
    return _of(shipped[family]())


def _of(flow: Model) -> Built:
    return Built(flow, flow.log_prob, flow.sample)


def zuko(family: str, d: int) -> Built:
    """zuko's couplings of splines are built from its parts: its NSF(passes=2) runs a masked network of full width."""
    import zuko
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.transforms import MonotonicRQSTransform

    size: dict[str, Any] = {"transforms": MAPS, "hidden_features": HIDDEN}
    flows: dict[str, Callable[[], Any]] = {
        "MAF": lambda: zuko.flows.MAF(d, **size),
        "RealNVP": lambda: zuko.flows.RealNVP(d, **size),
        "spline autoregressive": lambda: zuko.flows.NSF(d, bins=BINS, **size),
        "spline coupling": lambda: zuko.flows.Flow(
            [
                GeneralCouplingTransform(
                    d,
                    mask=torch.arange(d) % 2 == i % 2,
                    univariate=MonotonicRQSTransform,
                    shapes=[(BINS,), (BINS,), (BINS - 1,)],
                    hidden_features=HIDDEN,
                )
                for i in range(MAPS)
            ],
            zuko.flows.UnconditionalDistribution(
                zuko.distributions.DiagNormal, torch.zeros(d), torch.ones(d), buffer=True
            ),
        ),
    }
    flow = flows[family]()
    return Built(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


def nflows(family: str, d: int) -> Built:
    """One hidden block without a residual is the second of the two hidden layers."""
    from nflows import transforms as t
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow as Chain

    maps: list[nn.Module] = []
    for i in range(MAPS):
        maps.append(_nflows_map(t, family, d, i))
        if family in ("MAF", "spline autoregressive"):
            maps.append(t.ReversePermutation(d))
    flow = Chain(t.CompositeTransform(maps), StandardNormal([d]))
    return Built(flow, flow.log_prob, flow.sample)


def _nflows_map(t: Any, family: str, d: int, i: int) -> nn.Module:
    made: dict[str, Any] = {"hidden_features": HIDDEN[0], "num_blocks": 1, "use_residual_blocks": False}
    spline: dict[str, Any] = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
    mask = torch.arange(d) % 2 == i % 2
    maps: dict[str, Callable[[], nn.Module]] = {
        "MAF": lambda: t.MaskedAffineAutoregressiveTransform(d, **made),
        "RealNVP": lambda: t.AffineCouplingTransform(mask.int(), Plain),
        "spline coupling": lambda: t.PiecewiseRationalQuadraticCouplingTransform(mask.int(), Plain, **spline),
        "spline autoregressive": lambda: t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            d, **made, **spline
        ),
    }
    return maps[family]()


def normflows(family: str, d: int) -> Built:
    """Its maps lead from base to rows: `Reverse` makes `log_prob` the one pass."""
    import normflows as nf

    maps: list[nn.Module] = []
    for i in range(MAPS):
        maps.append(_normflows_map(nf, family, d, i))
        if family != "spline coupling":
            maps.append(nf.flows.Permute(d, mode="swap"))
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(d, trainable=False), maps)
    return Built(flow, flow.log_prob, lambda n: flow.sample(n)[0])


def _normflows_map(nf: Any, family: str, d: int, i: int) -> nn.Module:
    spline: dict[str, Any] = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
    made: dict[str, Any] = {"hidden_features": HIDDEN[0], "num_blocks": 1, "use_residual_blocks": False}
    splines = nf.flows.neural_spline
    half = (d + 1) // 2
    maps: dict[str, Callable[[], nn.Module]] = {
        "MAF": lambda: nf.flows.Reverse(nf.flows.MaskedAffineAutoregressive(d, **made)),
        "RealNVP": lambda: nf.flows.AffineCouplingBlock(Plain(half, 2 * (d - half))),
        "spline coupling": lambda: nf.flows.Reverse(
            splines.coupling.PiecewiseRationalQuadraticCoupling(torch.arange(d) % 2 == i % 2, Plain, **spline)
        ),
        "spline autoregressive": lambda: nf.flows.Reverse(
            splines.autoregressive.MaskedPiecewiseRationalQuadraticAutoregressive(d, **made, **spline)
        ),
    }
    return maps[family]()


class Plain(nn.Sequential):
    """The network of a coupling, for libraries that ask for one."""

    def __init__(self, inside: int, out: int, hidden: Sequence[int] = HIDDEN) -> None:
        sizes = [inside, *hidden, out]
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
        super().__init__(*layers[:-1])
        self.hidden_features = hidden[-1]  # nflows and normflows scale their logits by it

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Rows (n, inside) to parameters (n, out)."""
        return super().forward(x)


TORCH: dict[str, Callable[[str, int], Built]] = {
    "jensen": jensen,
    "jensen, as shipped": jensen_as_shipped,
    "zuko": zuko,
    "nflows": nflows,
    "normflows": normflows,
}


def passes(built: Built, x: Tensor) -> float:
    """How often a `log_prob` runs each layer with a weight: 1 on the cheap side, about d on the other."""
    layers = [one for one in built.module.modules() if isinstance(getattr(one, "weight", None), nn.Parameter)]
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    hooks = [one.register_forward_hook(count) for one in layers]
    with torch.no_grad():
        built.log_prob(x)
    for hook in hooks:
        hook.remove()
    return calls / len(layers)
