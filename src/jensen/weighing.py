"""Rows scored by importance weights, and what is to be said of such a score: how it was made, its noise, how good it is."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jensen.annealing import LEVELS, annealed_weights
from jensen.arguments import number, one_of, whole
from jensen.errors import Cannot, UsageError, nearest
from jensen.functional.bounds import iwae
from jensen.functional.importance import effective_share
from jensen.functional.tally import BLOCKS
from jensen.latent import POOL, LatentModel
from jensen.model import Model

METHODS = ("auto", "importance", "annealed")
HEAVY = 0.7
"""A Pareto k-hat above this: so heavy a tail that a mean of weights settles slowly (Vehtari et al. 2024)."""
TAILS = 256
"""Rows whose tails are looked at."""
FEW = 10
"""A median effective sample size below this is poor."""
WIDTHS = (1.0, 1.1, 1.2, 1.4, 1.7, 2.0)
"""Of the proposal, to choose from."""


class Weighing:
    """Bounds of rows under a model with latents, batch after batch; `facts` says afterwards what the weights were like.

    `method`: "importance", k draws of q made `width` times as wide, or "annealed", k chains of `levels` levels.
    """

    def __init__(
        self,
        model: LatentModel,
        method: str,
        k: int,
        generator: torch.Generator,
        *,
        width: float = 1.0,
        levels: int = LEVELS,
    ) -> None:
        self.model, self.method, self.k, self.generator = model, method, k, generator
        self.width, self.levels = width, levels
        self._variance: list[Tensor] = []
        self._ess: list[Tensor] = []
        self._pareto: list[float] = []
        self._rows = 0

    def __call__(self, x: Tensor, c: Tensor | None) -> Tensor:
        """One bound a row (n,), nats."""
        return self._annealed(x, c) if self.method == "annealed" else self._importance(x, c)

    def facts(self) -> dict[str, Any]:
        """For the score's `how`: method, k, width, standard deviation of the mean's noise (None: unknown) and the degrees of
        freedom of that, weights."""
        found: dict[str, Any] = {"method": self.method, "k": self.k, "width": self.width}
        if self.method == "annealed":
            found["levels"] = self.levels
        noise = math.sqrt(float(torch.cat(self._variance).sum())) / self._rows if self._variance else math.inf
        found["noise_sd"] = noise if math.isfinite(noise) else None
        if found["noise_sd"] is not None:
            found["noise_freedom"] = self._freedom()
        if self._ess:
            found["weights"] = self._weights()
        return found

    def _freedom(self) -> float:
        """Of the sum of all rows' variances, each known from a few blocks (Welch and Satterthwaite)."""
        variance = torch.cat(self._variance).double()
        each = min(self.k, BLOCKS) - 1 if self.method == "annealed" else BLOCKS - 1
        squares = float(variance.square().sum())
        return each * float(variance.sum()) ** 2 / squares if squares > 0 else float(each * self._rows)

    def _importance(self, x: Tensor, c: Tensor | None) -> Tensor:
        bounds = []
        tails = max(0, TAILS - self._rows)
        for tally in self.model.tallies(x, c, self.k, self.generator, width=self.width, tails=tails):
            bounds.append(tally.bound())
            self._note(tally.variance(), tally.ess())
            self._pareto += tally.pareto()
        return torch.cat(bounds)

    def _annealed(self, x: Tensor, c: Tensor | None) -> Tensor:
        log_w, _ = annealed_weights(
            self.model, x, c, self.k, self.generator, levels=self.levels, width=self.width
        )
        shares = torch.tensor([effective_share(row) for row in log_w])
        # of log of a mean of k: (1 / ESS - 1 / k) to first order; one chain has no spread to go by
        spread = (1 / (shares * self.k) - 1 / self.k) if self.k > 1 else torch.full((len(x),), math.inf)
        self._note(spread, shares * self.k)
        return iwae(log_w)

    def _note(self, variance: Tensor, ess: Tensor) -> None:
        self._variance.append(variance.cpu())
        self._ess.append(ess.cpu())
        self._rows += len(ess)

    def _weights(self) -> dict[str, Any]:
        draws = self.k if self.method == "annealed" else max(self.k, POOL)
        found: dict[str, Any] = {"draws": draws, "median_ess": float(torch.cat(self._ess).median())}
        if self._pareto:
            heavy = sum(k > HEAVY for k in self._pareto) / len(self._pareto)
            found |= {"heavy": heavy, "looked_at": len(self._pareto)}
        return found


def weighing_for(
    model: Model,
    method: str,
    k: int,
    generator: torch.Generator,
    width: float | None,
    chosen: float | None,
    levels: int | None,
) -> Weighing | None:
    """What weighs the rows of a model with latents; None for a model that is scored in another way.

    `width` None: for 64 draws or more the one `chosen` at the end of the fit, where there is one, otherwise 1: then one
    draw is the ELBO. Raises Cannot where a model has no weights, UsageError for a method or a width that is none.
    """
    one_of("method", method, str, "the name of one", f"known: {', '.join(METHODS)}")
    if width is not None:
        width = number("width", width, 0, inside=True)
    if levels is not None:
        whole("levels", levels, 1)
    if method not in METHODS:
        raise UsageError("unknown method of scoring", f"got {method!r}", nearest(str(method), METHODS))
    if levels is not None and method != "annealed":
        raise UsageError("levels belong to annealing", f"got method={method!r}", "pass method='annealed'")
    if not isinstance(model, LatentModel):
        if method == "auto" and width is None:
            return None
        raise Cannot(
            "only models with latents are scored by weights of their draws",
            f"got {type(model).__name__}",
            "leave method and width out",
        )
    if not isinstance(width, (int, float, type(None))):
        raise UsageError(
            "a proposal's width is a number above 0", f"got {width!r}", "1 is the posterior itself"
        )
    if width is None:
        width = chosen if chosen is not None and method != "annealed" and k >= POOL else 1.0
    if method == "auto":
        method = "importance"
    return Weighing(
        model, method, k, generator, width=float(width), levels=LEVELS if levels is None else levels
    )


@torch.no_grad()
def choose_width(model: LatentModel, x: Tensor, c: Tensor | None, seed: int) -> float:
    """The width whose L_64 of rows x is the highest in the mean; 1 where it gains less than a standard error on it.

    All widths see the same noise. Meant for other rows than those that are scored with it, or at least other noise.
    """
    generator = torch.Generator()
    curves = []
    for width in WIDTHS:
        generator.manual_seed(seed)
        curves.append(model.log_prob_lower(x, c, POOL, generator, width=width))
    gains = torch.stack(curves) - curves[0]
    best = int(gains.mean(1).nan_to_num(-math.inf).argmax())
    sure = float(gains[best].mean()) > float(gains[best].std()) / math.sqrt(len(x))
    return WIDTHS[best] if sure else 1.0
