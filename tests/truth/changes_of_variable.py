"""Flows: log p(x) is the base's log density at z plus log|det dz/dx|, the determinant by autograd, a row at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from areas_under_densities import bent
from problem import Exact
from scipy import stats

from jensen.flow import Flow
from jensen.nn.elementwise import affine_map
from jensen.space import Space
from jensen.transforms.image.multiscale import Multiscale
from jensen.transforms.linear import LULinear

Pairs = Iterator[tuple[Any, Any]]


def drawn(n: int, *shape: int) -> torch.Tensor:
    return 1.5 * torch.randn(n, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def jacobian(name: str, title: str = "", dims: int = 4, **hyper: Any) -> Exact:
    """The base point is the product's, its density and the determinant are scipy's and autograd's."""

    def compute() -> Pairs:
        model = bent(name, Space.real(dims), **hyper)
        assert isinstance(model, Flow)
        for x in drawn(5, dims):
            inside = lambda row: model.encode(row[None])[0][:, 0]  # noqa: E731
            slope = torch.autograd.functional.jacobian(inside, x).numpy()
            z = inside(x).detach().numpy()
            truth = stats.norm.logpdf(z).sum() + np.linalg.slogdet(slope)[1]
            yield truth, model.log_prob(x[None]).detach()[0]

    return Exact(f"{title or name}: change of variables by autograd", "flow", compute)


def image() -> Pairs:
    """The maps of Glow, all scales, on 1x4x4 real pixels."""
    torch.manual_seed(0)
    model = Multiscale((1, 4, 4), 2, 2, 6, affine_map()).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    for x in drawn(3, 16):
        slope = torch.autograd.functional.jacobian(lambda row: model.encode(row[:, None])[0][:, 0], x)
        yield np.linalg.slogdet(slope.numpy())[1], model.encode(x[:, None])[1].detach()[0]


def linear() -> Pairs:
    """A linear map of a normal law is scipy's multivariate normal law."""

    class Linear(Flow):
        def __init__(self) -> None:
            super().__init__(Space.real(3))
            self.flow_through([LULinear(3), LULinear(3)])

    torch.manual_seed(0)
    model = Linear().double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.5 * torch.randn_like(weight))
        ends, _ = model.decode(torch.cat([torch.zeros(3, 1), torch.eye(3)], 1).double())
    centre, matrix = ends[0].numpy(), (ends[1:] - ends[0]).T.numpy()
    law = stats.multivariate_normal(centre, matrix @ matrix.T)
    x = drawn(20, 3)
    yield law.logpdf(x.numpy()), model.log_prob(x).detach()


def both_ways() -> Pairs:
    """What a draw says of its own density is what scoring says of the draw."""
    for name, hyper in (
        ("iaf", SMALL),
        ("realnvp", SMALL),
        ("spline-flow", SMALL),
        ("planar-flow", {"transforms": 3}),
    ):
        model = bent(name, Space.real(4), **hyper)
        with torch.no_grad():
            x, told = model.sample_with_log_prob(20, generator=torch.Generator().manual_seed(0))
            yield model.log_prob(x), told


def affine_line() -> Pairs:
    """One real column through affine maps is a normal law: its mean and spread read off two points."""
    model = bent("maf", Space.real(1), **SMALL)
    assert isinstance(model, Flow)
    with torch.no_grad():
        low, high = model.decode(torch.tensor([[0.0, 1.0]], dtype=torch.float64))[0].flatten().tolist()
        x = drawn(20, 1)
        yield stats.norm.logpdf(x[:, 0].numpy(), low, abs(high - low)), model.log_prob(x)


SMALL: dict[str, Any] = {"transforms": 2, "hidden": (12,)}
PROBLEMS = (
    jacobian("maf", **SMALL),
    jacobian("iaf", **SMALL),
    jacobian("realnvp", **SMALL),
    jacobian("realnvp", "realnvp with actnorm", actnorm=True, **SMALL),
    jacobian("spline-flow", **SMALL),
    jacobian("spline-flow", "autoregressive spline flow", coupling=False, **SMALL),
    jacobian("planar-flow", transforms=3),
    jacobian("planar-flow", "radial flow", transforms=3, kind="radial"),
    jacobian("planar-flow", "Sylvester flow", transforms=3, kind="sylvester"),
    Exact("the maps of glow on 4x4 pixels: change of variables by autograd", "flow", image),
    Exact("a linear flow is a multivariate normal law", "flow", linear),
    Exact("maf of one column is a normal law", "flow", affine_line),
    Exact("flows: sample_with_log_prob agrees with log_prob", "flow", both_ways),
)
