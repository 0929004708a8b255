"""`jensen.tightness`: how loose the bounds of a model with latents are, on rows that the model itself makes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.annealing import LEVELS, annealed_weights
from jensen.arguments import number
from jensen.arguments import whole as as_whole
from jensen.context import contexts_to_sample
from jensen.errors import Cannot
from jensen.fitted import Fitted
from jensen.functional.bounds import iwae
from jensen.functional.counts import check_whole
from jensen.functional.intervals import certificate_margin, mean_interval
from jensen.latent import POOL, LatentModel, check_draws
from jensen.quantity import Kind, Quantity
from jensen.scoring import on_device, place

LABEL = "tightness on rows simulated from this model"
ROWS = 64
"""Rows whose weights are drawn at once."""


@dataclass(frozen=True, repr=False)
class Tightness:
    """Bounds on log p from both sides, on n rows simulated from the model, nats a row in the model's own units.

    lower, upper: mean over the rows, of k draws of the posterior. gap: of that pair, the mean difference, an upper bound
    on how far the lower bound is from log p on such rows. annealed_lower, annealed_upper, annealed_gap: the same of
    chains of `levels` levels; None where levels=0. certified: a number that the mean log p of the rows is closer to the
    tighter lower bound than, with probability 0.95, whatever the weights.

    Real rows have no upper bound: it takes the latents that made a row. They may be harder than simulated ones.
    """

    lower: Quantity
    upper: Quantity
    gap: Quantity
    annealed_lower: Quantity | None
    annealed_upper: Quantity | None
    annealed_gap: Quantity | None
    certified: Quantity
    how: dict[str, Any]

    @property
    def label(self) -> str:
        """What rows these are numbers of."""
        return LABEL

    def describe(self) -> str:
        """A few lines: what is compared, and both gaps."""
        how = self.how
        lines = [
            f"{LABEL}: {how['n']:,} rows",
            f"  {how['k']:,} draws of the posterior, width {how['width']:g}: log p {self.lower}, {self.upper}",
            f"    the bound is loose by {self.gap}",
        ]
        if self.annealed_gap is not None:
            lines += [
                f"  annealed, {how['levels']} levels: log p {self.annealed_lower}, {self.annealed_upper}",
                f"    the bound is loose by {self.annealed_gap}",
            ]
        return "\n".join([*lines, f"  certified: loose by {self.certified} with probability 0.95"])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        numbers = {name: value for name, value in vars(self).items() if name != "how"}
        shown = {name: None if value is None else value.to_dict() for name, value in numbers.items()}
        return {"label": LABEL, **shown, "how": dict(self.how)}

    def __repr__(self) -> str:
        return self.describe()


def tightness(
    fitted: Fitted,
    n: int = 100,
    k: int = 64,
    *,
    levels: int = LEVELS,
    width: float | None = None,
    context: Any = None,
    seed: int = 0,
) -> Tightness:
    """How loose the bounds of a fitted model with latents are, on n rows simulated from it, whose latents are known.

    The lower bound is L_k, the upper U_k: of the latents that made the row, and k - 1 draws of the posterior, `width` times
    as wide as it is (None: as wide as `score` draws them). With `levels`, also chains annealed from the posterior to the
    true one and back (bidirectional Monte Carlo: Grosse, Ghahramani & Adams 2015), dearer and tighter; 0: without them.
    `context`: of a conditional model, as in `sample`. Raises Cannot for other models, UsageError for n, k < 2.

    >>> import jensen
    >>> fitted = jensen.fit("ppca", jensen.rows("iris"))
    >>> found = tightness(fitted, n=20, levels=5)  # its posterior is the true one
    >>> abs(found.gap.value) < 1e-3, abs(found.annealed_gap.value) < 1e-3
    (True, True)
    """
    model = fitted.model
    if not isinstance(model, LatentModel):
        raise Cannot(
            "tightness is of bounds by latents", f"got {fitted.name}", "fit a model with latents, such as vae"
        )
    for name, value in (("n", n), ("k", k)):
        check_whole(name, value, 2, "tightness takes 2 or more rows and draws, whole numbers", "n=100, k=64")
    check_whole("levels", levels, 0, "annealing has a whole number of levels, 0 for none", "300 is usual")
    if width is None:
        width = float(fitted.record.get("width") or 1.0) if k >= POOL else 1.0
    width = number("width", width, 0, inside=True)
    seed = as_whole("seed", seed, 0)
    check_draws(k, width)
    generator = torch.Generator().manual_seed(seed)
    given = contexts_to_sample(fitted.context_codec, fitted.name, context, n)
    c = None
    if given is not None and fitted.context_codec is not None:
        c = on_device(fitted.context_codec.encode(given.values), *place(model))
    was_training = model.training
    model.eval()
    try:
        x, z = model.sample_with_latents(n, c, generator)
        pairs = [_drawn(model, x, z, c, k, width, generator)]
        if levels:
            ahead, back = annealed_weights(model, x, c, 1, generator, levels=levels, latents=z)
            assert back is not None
            pairs.append((iwae(ahead), back))
    finally:
        model.train(was_training)
    how = {"n": n, "k": k, "width": width, "levels": levels, "seed": seed, "model": fitted.name, "of": LABEL}
    numbers = [_pair(low, high, fitted.space.measure, how) for low, high in pairs]
    tightest = min(numbers, key=lambda three: three[2].value)[2]
    # the lower bounds are numbers; the upper ones are wrong with a probability that the pairs share
    margin = certificate_margin(n, 0.05 / len(pairs))
    certified = Quantity(tightest.value + margin, Kind.UPPER, "nats", tightest.measure, how=how)
    annealed: tuple[Quantity | None, Quantity | None, Quantity | None] = (None, None, None)
    if levels:
        annealed = numbers[1]
    return Tightness(*numbers[0], *annealed, certified, how)


@torch.no_grad()
def _drawn(
    model: LatentModel,
    x: Tensor,
    z: Tensor,
    c: Tensor | None,
    k: int,
    width: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """L_k and U_k (n,) of rows x and the latents z that made them; their draws are independent of each other."""
    low, high = [], []
    for part in torch.arange(len(x)).split(ROWS):
        some = None if c is None else c[part]
        rows = model.encoded(x[part], some)
        exact = model.weigh(rows, model.noise_of(rows, z[part].unsqueeze(1), width), width)
        low.append(_total(model.tiles(rows, k, generator, width)) - math.log(k))
        # `functional.bounds.upper`, some draws at a time
        others = _total(model.tiles(rows, k - 1, generator, width))
        high.append(torch.logaddexp(exact[:, 0].double(), others) - math.log(k))
    return torch.cat(low), torch.cat(high)


def _total(tiles: Iterator[Tensor]) -> Tensor:
    """log of the sum of all weights (n,)."""
    return reduce(torch.logaddexp, (log_w.logsumexp(1) for log_w in tiles))


def _pair(
    low: Tensor, high: Tensor, measure: Any, how: dict[str, Any]
) -> tuple[Quantity, Quantity, Quantity]:
    """The mean of both bounds and of their difference, with intervals over simulated rows."""

    def mean(values: Tensor, kind: Kind) -> Quantity:
        found: np.ndarray[Any, np.dtype[np.float64]] = values.double().cpu().numpy()
        return Quantity(float(found.mean()), kind, "nats", measure, mean_interval(found), how=how)

    return mean(low, Kind.LOWER), mean(high, Kind.UPPER), mean(high - low, Kind.UPPER)
