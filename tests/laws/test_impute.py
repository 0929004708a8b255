"""Completions by models with latents, against the conditional laws that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from latent_models import BITS, COLUMNS, VARIANTS, linear, rows_of, seeded, strong

import jensen
from jensen.codec import Standardise
from jensen.fitted import Fitted
from jensen.functional.enumerate import all_rows
from jensen.imputing import impute


def test_completions_of_the_linear_model_follow_its_conditional_law() -> None:
    """A normal law given some of its columns: mean and covariance in closed form; each entry within 4.5 errors."""
    model, n = linear("diagonal"), 400
    codec = Standardise(model.space, torch.zeros(COLUMNS), torch.ones(COLUMNS))
    fitted, x = Fitted(model, codec, [], {}), rows_of(model, 2)
    missing = np.arange(COLUMNS) % 5 < 3
    found = fitted.complete(x.numpy(), missing, n, particles=96, seed=0)
    seen, gone = torch.from_numpy(~missing), torch.from_numpy(missing)
    weight = model.weight.detach()
    covariance = weight @ weight.T + 0.5 * torch.eye(COLUMNS, dtype=torch.float64)
    gain = covariance[gone][:, seen] @ torch.linalg.inv(covariance[seen][:, seen])
    law = covariance[gone][:, gone] - gain @ covariance[seen][:, gone]
    draws = torch.from_numpy(found.rows)[:, :, gone]
    mean = model.mean.detach()[gone] + (x - model.mean.detach())[:, seen] @ gain.T
    sd = law.diagonal().sqrt()
    loss = math.sqrt(
        2 / float(found.ess.min())
    )  # how far the law may be, in its own spreads, by the sample's own account
    assert float(((draws.mean(1) - mean.detach()) / sd).abs().max()) < 4.5 / math.sqrt(n) + 0.1 * loss
    for row in draws:
        ratio = torch.cov(row.T) - law
        assert float((ratio / torch.outer(sd, sd)).abs().max()) < 4.5 * math.sqrt(2 / n) + 0.1 * loss
    truth = torch.distributions.MultivariateNormal(model.mean.detach()[seen], covariance[seen][:, seen])
    log_p = truth.log_prob(x[:, seen]).numpy()
    assert found.log_observed.values == pytest.approx(log_p, abs=0.05)
    assert found.log_observed.kind is jensen.Kind.LOWER and found.ess.min() > 10
    assert np.array_equal(found.rows[:, 0][:, ~missing], x.numpy()[:, ~missing])


@pytest.mark.parametrize("variant", ["plain", "flow posterior", "vamp", "two layers"])
def test_completions_of_bits_follow_the_ratio_of_masses(variant: str) -> None:
    """The two missing bits of a row, drawn many times: four shares, and p(observed) without bias."""
    model, n = strong(BITS, **VARIANTS[variant]), 120 if "flow" in variant else 1500
    every = all_rows((2,) * 4, BITS.shape)
    fits = every[(every.flatten(1)[:, :2] == torch.tensor([1, 0])).all(1)]
    missing = torch.tensor([False, False, True, True]).view(1, 1, 2, 2).expand(n, -1, -1, -1)
    with torch.no_grad():
        w = model.log_weights(fits, k=8000, generator=seeded(1), width=1.3).exp()
    mass, error = w.mean(1), w.std(1) / math.sqrt(8000)
    found = impute(model, fits[:1].expand(n, -1, -1, -1), missing, None, seeded(), particles=40)
    assert (found.x[:, :2] == torch.tensor([1, 0])).all()
    share = torch.bincount((found.x[:, 2:] * torch.tensor([2, 1])).sum(1), minlength=4) / n
    p = mass / mass.sum()
    sure = p * (1 - p) / n + (error / mass.sum()).square()
    assert float(((share - p) / sure.sqrt()).abs().max()) < 4.5, (share, p)
    weights = found.log_observed.exp() / mass.sum()
    sure = float(weights.var()) / n + float((error / mass.sum()).square().sum())
    assert abs(float(weights.mean()) - 1) < 4.5 * math.sqrt(sure)
    assert float(p.max() / p.min()) > 1.5


def test_gaps_of_a_table_are_filled_and_little_ess_is_said() -> None:
    model = linear("diagonal")
    fitted = Fitted(model, Standardise(model.space, torch.zeros(COLUMNS), torch.ones(COLUMNS)), [], {})
    x = rows_of(model, 2).numpy().copy()
    x[0, 3] = np.nan
    x[1, :10] = np.nan
    found = fitted.complete(x, n=2, particles=96, seed=0)
    assert np.isfinite(found.rows).all() and "draws of the latents" in found.notes[0]
    again = fitted.complete(x, n=2, particles=96, seed=0)
    assert np.array_equal(found.rows, again.rows)
    with pytest.warns(jensen.JensenWarning, match="effective sample size"):
        fitted.complete(x, n=1, particles=2, seed=0)
