"""A model's tiny twin: the same class and arguments on a space small enough to enumerate, with strong weights.

Why strong weights: as built, the conditionals of a network hardly depend on its input, and a sampler that walks the
sites in the wrong order, or a mask that leaks, passes every test of total mass and of samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.subject import can, enumerable, in_chunks
from jensen.errors import Cannot
from jensen.functional.enumerate import all_rows, row_count, row_index
from jensen.functional.module_state import device_of
from jensen.model import Can
from jensen.space import Column, Space

TINY = 2**13
"""A tiny space has at most this many rows."""


def tiny_space(space: Space) -> Space:
    """A space of the same kind with few rows: images of 2x3 pixels where the channels allow, vectors of five sites.

    Real rows become two numbers, because two can be integrated. Raises Cannot for mixed columns.

    >>> tiny_space(Space.levels((1, 28, 28), 256))
    Space 1x2x3, 3 levels (0 to 2), mass
    >>> tiny_space(Space.levels((3, 8, 8), 256)).shape
    (3, 1, 2)
    """
    if space.kind == "mixed":
        raise Cannot("a space with real and discrete columns has no tiny twin", f"got {space.describe()}")
    if space.kind == "real":
        return Space.real((1, 1, 2) if space.is_image else min(space.dims, 2))
    return _tiny_image(space) if space.is_image else _tiny_vector(space)


def twin(model: Any, seed: int) -> Any:
    """The tiny twin of a model, in eval mode, strengthened. Raises Cannot when its class refuses the tiny space."""
    if not hasattr(model, "hyper"):
        raise Cannot("what is no jensen model has no twin in two dimensions", "it cannot be built again")
    if getattr(model, "borrowed", False):  # a twin would share the networks, and its strong weights be theirs
        raise Cannot(
            f"networks of somebody else have one size, {model.space.describe()}, and no twin",
            "that is too many rows to sum over",
            "jensen tightness looks at its bounds from both sides",
        )
    space = tiny_space(model.space)
    hyper = dict(model.hyper)
    if hyper.get("order") is not None:
        # a permutation of the sites: keep the sites that are left, in the same order
        hyper["order"] = [int(site) for site in hyper["order"] if int(site) < space.dims]
    if space.is_image:
        # windows that reach across the tiny image and no further
        most = 2 * max(space.shape[1:]) - 1
        given = {name: size for name, size in hyper.items() if name in ("kernel", "block_kernel") and size}
        hyper |= {name: min(size, most) for name, size in given.items()}
    context = getattr(model, "context", None)
    if context is not None:
        hyper["context"] = context
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            small = type(model)(space, **hyper)
        except Exception as error:
            raise Cannot(
                f"{type(model).__name__} has no twin on {space.describe()}", f"its constructor says: {error}"
            ) from error
    small = small.to(device_of(model)).eval()
    strengthen(small, seed)
    return small


def strengthen(model: Any, seed: int = 0) -> None:
    """Make the sites of a model depend strongly on each other, in place: new weights, taught a few dependent rows.

    A model that can solve itself is solved on dependent rows. Otherwise all weights are drawn anew, masked and zero
    ones too, and 80 steps of Adam raise the likelihood of 48 dependent rows (40 steps and 1,000 rows of real numbers: a
    density taught a few points becomes spikes that no grid resolves). A model without a likelihood keeps its new
    weights. Merely scaled-up weights were tried: the mass of a deep network then collapses to a few rows before its
    sites depend on each other.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        if Can.SOLVE in can(model):
            model.solve(dependent_rows(model.space, 2000, generator).to(device_of(model)), seed=seed)
            return
        _shake(model, generator)
        if not can(model) & (Can.LOG_PROB | Can.LOG_PROB_LOWER):
            return  # nothing says which rows are likely
        score = _score(model)
        density = model.space.measure == "density"
        rows = dependent_rows(model.space, 1000 if density else 48, generator).to(device_of(model))
        _teach(model, score, rows, steps=40 if density else 80)


def entropies(model: Any) -> tuple[float, float]:
    """H(x) and sum_i H(x_i), nats, of a model on an enumerable space; their difference is the total correlation.

    Nothing is taken for granted: masses are scaled to sum to one, and a nan counts as no mass.
    """
    levels = model.space.levels_by_site()
    flat = all_rows(levels)
    mass = table(model).nan_to_num(nan=-math.inf, posinf=-math.inf).softmax(0).nan_to_num()
    sites = [
        _entropy(torch.zeros(size, dtype=torch.float64).index_add_(0, flat[:, site], mass))
        for site, size in enumerate(levels)
    ]
    return _entropy(mass), sum(sites)


def dependent_rows(space: Space, n: int, generator: torch.Generator) -> Tensor:
    """n rows (n, *shape) whose sites depend strongly on each other."""
    if space.kind == "real":
        z = torch.randn(n, space.dims, generator=generator)
        mix = torch.randn(space.dims, space.dims, generator=generator)
        bent = torch.where(z[:, :1] > 0, z, 0.5 * z + 2)  # two unequal lumps
        return (bent @ mix + 1).reshape(n, *space.shape)
    levels = space.levels_by_site()
    if not enumerable(space, TINY):
        first = torch.rand(n, 1, generator=generator)
        u = (first + 0.3 * torch.rand(n, space.dims, generator=generator)) % 1
        return (u * torch.tensor(levels)).long().reshape(n, *space.shape)
    # a few heavy rows, all others rare
    weight = torch.rand(row_count(levels), generator=generator, dtype=torch.float64).pow(6)
    chosen = torch.multinomial(weight, n, replacement=True, generator=generator)
    return all_rows(levels, space.shape)[chosen]


def table(model: Any) -> Tensor:
    """log_prob of every row of a model's enumerable space, (rows,) float64, in the order of `all_rows`."""
    rows = all_rows(model.space.levels_by_site(), model.space.shape)
    return in_chunks(model.log_prob, rows.to(device_of(model)))


def cells(model: Any, x: Tensor) -> Tensor:
    """The places (n,) of rows in `table`. Raises UsageError for values that are no rows of the space."""
    return row_index(x.cpu(), model.space.levels_by_site())


def _tiny_image(space: Space) -> Space:
    channels, levels = space.shape[0], min(space.max_levels or 2, 3)
    column = replace(space.columns[0], levels=levels, low=0.0, step=1.0, labels=None)
    for height, width in ((2, 3), (2, 2), (1, 3), (1, 2), (1, 1)):
        if levels ** (channels * height * width) <= TINY:
            return Space((channels, height, width), (column,))
    raise Cannot("an image of so many channels has no tiny twin", f"got {space.describe()}")


def _tiny_vector(space: Space) -> Space:
    sites = min(space.dims, 5)
    found = space.levels_by_site()[:sites]
    different = len(set(space.levels_by_site())) > 1
    caps = [(3, 4, 2)[site % 3] if different else 3 for site in range(sites)]
    columns: list[Column] = [
        replace(space.column(site), levels=min(size, cap), low=0.0, step=1.0, labels=None)
        for site, (size, cap) in enumerate(zip(found, caps))
    ]
    return Space((sites,), tuple(columns) if len(space.columns) > 1 else (columns[0],))


def _score(model: Any) -> Callable[[Tensor], Tensor]:
    """What is raised: the likelihood, or the cheapest bound on it that there is."""
    if Can.LOG_PROB in can(model):
        return model.log_prob
    if Can.LOG_WEIGHTS in can(model):
        return lambda x: model.log_weights(x)[:, 0]
    return model.log_prob_lower


@torch.no_grad()
def _shake(model: nn.Module, generator: torch.Generator) -> None:
    """Weights: normal with the spread 0.5 / sqrt(fan in). Biases and scales: shaken."""
    for parameter in model.parameters():
        draw = torch.randn(parameter.shape, generator=generator).to(parameter)
        if parameter.ndim >= 2:
            parameter.copy_(draw * 0.5 / math.sqrt(parameter[0].numel()))
        else:
            parameter.add_(0.1 * draw)


def _teach(model: nn.Module, score: Callable[[Tensor], Tensor], rows: Tensor, steps: int) -> None:
    """Raise the mean score of the rows, as long as it is a finite number with a gradient."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=1e-2) if weights else None
    for _ in range(steps if optimiser else 0):
        loss = -score(rows).mean()
        if not (loss.requires_grad and bool(loss.isfinite())):
            return
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        if not all(g is None or bool(g.isfinite().all()) for g in gradients):
            return
        for weight, gradient in zip(weights, gradients):
            weight.grad = gradient
        optimiser.step()  # type: ignore[union-attr]
        optimiser.zero_grad()  # type: ignore[union-attr]


def _entropy(masses: Tensor) -> float:
    return float(torch.special.entr(masses).sum())
