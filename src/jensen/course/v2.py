"""V2: the ELBO, as log p(x) less a divergence and as Jensen's inequality."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import agree, exactly
from jensen.course.figures import dots
from jensen.course.known_latents import closed_elbo, closed_gap, linear, rows_of
from jensen.functional.bounds import elbo
from jensen.functional.enumerate import all_rows
from jensen.models.vae import VAE
from jensen.quantity import Kind, Quantity
from jensen.space import Space

FLOAT = 1e-10
"""Of numbers of about 30 nats in float64, summed from some hundred terms."""


def show(seed: int = 0, *, n: int = 40, k: int = 2000) -> Shown:
    """In closed form for a linear model and any q; by quadrature over z for an autoencoder of four bits."""
    model = linear(seed=seed)
    x = rows_of(model, n, seed + 1)
    with torch.no_grad():
        for weight in (model.encoder.weight, model.spread):  # any q
            weight.add_(0.05 * torch.randn(weight.shape, dtype=weight.dtype))
        truth, bound, gap = model.log_prob(x), closed_elbo(model, x), closed_gap(model, x)
        drawn = elbo(model.log_weights(x, k=k, generator=torch.Generator().manual_seed(seed + 2)))
    worst = float((truth - bound - gap).abs().max())
    jensen, rows = _autoencoder(seed, 10 * k)
    findings = (
        exactly("log p(x) = ELBO + KL(q || posterior) on every row of a linear-Gaussian model, for a q off its best", worst, FLOAT,
                rows=n, **{"smallest KL": float(gap.min()), "largest KL": float(gap.max())}),
        agree("the mean log weight over draws of q is that ELBO", (drawn - bound).numpy() + float(bound.mean()), float(bound.mean()), share=0.01),
        *jensen,
    )  # fmt: skip
    figure = dots(
        "All 16 rows of four bits under an autoencoder: what Jensen's inequality gives away",
        "nats",
        rows,
    )
    total = float(truth.mean())
    summary = f"log p {total:.3f} = ELBO {float(bound.mean()):.3f} + KL {float(gap.mean()):.3f} nats, to {worst:.0e}; Jensen's gap is the KL on {len(rows)} rows of a VAE"
    return Shown(findings, summary, (figure,))


def _autoencoder(seed: int, draws: int) -> tuple[list[Finding], dict[str, dict[str, Quantity]]]:
    """log E_q w = log p(x), E_q log w <= it, and the difference is KL(q || posterior): all by one grid over z."""
    torch.manual_seed(seed)
    model = VAE(Space.binary((1, 2, 2)), latents=2, hidden=(6,)).double().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            size = 1.5 if name.startswith("decoder") else 0.2
            weight.copy_(size * torch.randn(weight.shape, dtype=torch.float64))
        x = all_rows((2,) * 4, (1, 2, 2))
        axis = torch.linspace(-14, 14, 401, dtype=torch.float64)
        z, cell = torch.cartesian_prod(axis, axis), 2 * math.log(float(axis[1] - axis[0]))
        log_joint = model.log_likelihood(x, z.expand(16, -1, -1)) + model.prior(z, z[:, :0])
        log_q = model.posterior(model.encode(x), z.expand(16, -1, -1))
        truth = log_joint.logsumexp(1) + cell
        q = (log_q + cell).exp()
        log_w = log_joint - log_q
        drawn = model.log_weights(x, k=draws, generator=torch.Generator().manual_seed(seed + 3))
        weights = (drawn - truth.unsqueeze(1)).exp().mean(0)  # of each draw, over the 16 rows
        bound = (q * log_w).sum(1)
        posterior = log_joint - truth.unsqueeze(1)
        gap = (q * (log_q - posterior)).sum(1)
    rows = {
        "".join(map(str, bits.flatten().tolist())): {
            "log p(x)": Quantity(float(t), unit="nats"),
            "ELBO": Quantity(float(b), Kind.LOWER, "nats"),
        }
        for bits, t, b in zip(x, truth, bound)
    }
    return [
        agree("of a VAE, the mean of p(x, z) / q(z | x) over draws of q is p(x): their ratio is 1", weights.numpy(), 1.0, unit="", share=0.2),
        exactly("so that E_q log w is below it by Jensen's inequality, on all 16 rows", float((bound - truth).max().clamp(min=0)), 1e-9,
                **{"smallest gap": float((truth - bound).min())}),
        exactly("and the difference is KL(q || posterior)", _worst(truth - bound, gap), 1e-7),
    ], rows  # fmt: skip


def _worst(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())
