"""Densities of one and two real columns, and of tables with both kinds: their integral, by quadrature, is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from problem import Exact
from torch import Tensor

from jensen.codec import Standardise
from jensen.fitted import Fitted
from jensen.mixed import Columns
from jensen.model import Model
from jensen.models import model_class
from jensen.space import Column, Space

Pairs = Iterator[tuple[Any, Any]]


def bent(name: str, space: Space, size: float = 0.3, **hyper: Any) -> Model:
    """In float64, with weights that matter."""
    torch.manual_seed(0)
    model = model_class(name)(space, **hyper).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(size * torch.randn_like(weight))
    return model


def nodes(low: float, high: float, panels: int) -> tuple[Tensor, Tensor]:
    """Composite Gauss-Legendre quadrature, 12 nodes a panel."""
    at, weight = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(low, high, panels + 1)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return torch.from_numpy((middle + half * at).ravel()), torch.from_numpy((half * weight).ravel())


def area(log_prob: Callable[[Tensor], Tensor], reach: float, panels: int, dims: int) -> float:
    """The integral over [-reach, reach]^dims."""
    at, weight = nodes(-reach, reach, panels)
    points, weights = at[:, None], weight
    if dims == 2:
        points = torch.cartesian_prod(at, at)
        weights = torch.outer(weight, weight).flatten()
    with torch.no_grad():
        parts = [(log_prob(x).exp() * w).sum() for x, w in zip(points.split(100_000), weights.split(100_000))]
    return float(torch.stack(parts).sum())


def integral(
    name: str, dims: int, reach: float, panels: int, title: str = "", family: str = "flow", **hyper: Any
) -> Exact:
    """Through the product's own score, of rows in other units than the model's."""

    def compute() -> Pairs:
        space = Space.real(dims)
        codec = Standardise(space, torch.tensor([0.3, -1.0])[:dims], torch.tensor([2.0, 0.5])[:dims])
        fitted = Fitted(bent(name, space, **hyper), codec, [], {})

        def score(z: Tensor) -> Tensor:
            rows = codec.decode(z)
            # dx = scale dz
            return torch.from_numpy(fitted.score(rows.numpy()).values) + codec.scale.log().sum()

        yield 1.0, area(score, reach, panels, dims)

    return Exact(f"{title or name} of {dims} real column{'s' * (dims > 1)}: area is 1", family, compute)


def mixture() -> Pairs:
    """Three normal laws on the plane."""
    model = model_class("mixture")(Space.real(2), 3)
    with torch.no_grad():
        model.log_weight.copy_(torch.tensor([0.5, 0.3, 0.2]).log())  # type: ignore[operator]
        model.mean.copy_(torch.tensor([[0.0, 0.0], [2.0, 1.0], [-1.0, 3.0]]))  # type: ignore[operator]
        model.precision_root.mul_(1.7)  # type: ignore[operator]
    yield 1.0, area(model.log_prob, 12.0, 60, 2)


TABLE = Space((3,), (Column("real", gaps="value"), Column("categorical", 3), Column("real")))


def rows_of_table(n: int = 200) -> Tensor:
    rng = np.random.default_rng(0)
    first = np.where(rng.random(n) < 0.3, np.nan, 5 + 2 * rng.normal(size=n))
    return torch.from_numpy(np.stack([first, rng.integers(0, 3, n), rng.normal(size=n) - 1], 1))


def table(name: str, **hyper: Any) -> Callable[[], Pairs]:
    """Real columns are integrated, categories and the gap summed; gap or value, the first column has total one."""

    def compute() -> Pairs:
        codec = Columns.fit(TABLE, rows_of_table())
        fitted = Fitted(bent(name, codec.model_space, **hyper), codec, [], {})
        (a, wa), (b, wb) = nodes(5 - 2 * 30, 5 + 2 * 30, 70), nodes(-31, 29, 70)
        total = 0.0
        for category in range(3):
            grid = torch.cartesian_prod(a, torch.tensor([float(category)]).double(), b)
            total += float((torch.from_numpy(fitted.score(grid.numpy()).values).exp() * torch.outer(wa, wb).flatten()).sum())  # fmt: skip
            missing = torch.stack([torch.full_like(b, np.nan), torch.full_like(b, category), b], 1)
            total += float((torch.from_numpy(fitted.score(missing.numpy()).values).exp() * wb).sum())
        yield 1.0, total

    return compute


def unseen() -> Pairs:
    """A gap that nobody saw: the row's likelihood is its other sites' marginal, the integral over the missing one."""
    space = Space((2,), (Column("real", gaps="unseen"), Column("real")))
    model = model_class("independent")(space)
    rng = np.random.default_rng(1)
    model.solve(torch.from_numpy(rng.normal(size=(50, 2)) * [2.0, 0.5] + [1.0, 3.0]))
    at, weight = nodes(-30.0, 32.0, 60)
    for other in (2.5, 3.0, 4.0):
        with torch.no_grad():
            seen = model.log_prob(torch.stack([at, torch.full_like(at, other)], 1)).exp() @ weight
            found = model.log_prob(torch.tensor([[np.nan, other]], dtype=torch.float64)).exp()
        yield [float(seen)], found


SMALL = {"transforms": 2, "hidden": (12,)}
PROBLEMS = (
    integral("made", 1, 30.0, 200, family="autoregressive", hidden=(12,), components=3),
    integral("made", 2, 40.0, 100, family="autoregressive", hidden=(12,), components=3, size=0.15),
    integral("transformer", 1, 30.0, 200, family="autoregressive", width=8, layers=1, heads=1, components=3),
    integral("maf", 2, 30.0, 130, size=0.1, **SMALL),
    integral("iaf", 2, 30.0, 130, size=0.1, **SMALL),
    integral("realnvp", 2, 30.0, 130, size=0.1, **SMALL),
    integral("spline-flow", 1, 12.0, 800, **SMALL),
    integral("spline-flow", 1, 12.0, 800, "autoregressive spline flow", coupling=False, **SMALL),
    integral("planar-flow", 1, 30.0, 300, transforms=3),
    integral("planar-flow", 2, 30.0, 80, "radial flow", transforms=3, kind="radial"),
    Exact("mixture of 2 real columns: area is 1", "every family", mixture),
    Exact(
        "made of a table with gaps: area and sum are 1",
        "autoregressive",
        table("made", hidden=(12,), components=2, size=0.15),
    ),
    Exact("independent of a table with gaps: area and sum are 1", "every family", table("independent")),
    Exact("independent: an unseen gap is integrated out", "every family", unseen),
)
