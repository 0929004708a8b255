"""F4: what one has, samples or a density, decides the divergence that can be descended."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from jensen.course.bijections import LinearFlow, bent, draws, gaussians, log_normal, nodes
from jensen.course.claim import Finding, Shown
from jensen.course.deciding import above, difference, exactly, mean
from jensen.course.figures import dots
from jensen.data.target_regression import linear_rows
from jensen.data.targets import Target, target
from jensen.fitted import Fitted
from jensen.fitting import fit
from jensen.objectives.likelihood import Likelihood
from jensen.quantity import Quantity
from jensen.space import Space

CONSTANT = 7.0
"""Added to the log density that is fitted to: nobody normalised it."""

SMALL: dict[str, Any] = {"transforms": 3, "hidden": (16,)}


def show(seed: int = 0, *, steps: int = 250, n: int = 4000) -> Shown:
    """Both objectives in closed form, and both fits: of samples alone, and of an unnormalised density alone."""
    banana = target("banana", dim=2, scale=1.0, curvature=0.5)
    x = draws(banana, n, seed + 1).numpy()
    by_rows = [fit("maf", x, steps=s, seed=seed, **SMALL) for s in (1, steps)]

    def unnormalised(points: Tensor) -> Tensor:
        return banana.log_density(points) + CONSTANT

    by_density = [fit("realnvp", target=unnormalised, dim=2, steps=s, seed=seed, **SMALL) for s in (1, steps)]
    forward = [_forward(one, banana, seed + 2, n) for one in by_rows]
    reverse = [_reverse(one, banana, seed + 3, n) for one in by_density]
    findings = (
        _likelihood_is_forward_kl(seed),
        _reverse_kl_less_log_z(seed),
        _named("given samples, the library minimises minus the log-likelihood and says so", by_rows[1], "likelihood"),
        _named("given a density, it minimises reverse KL and says so", by_density[1], "reverse-kl"),
        above("the fit to samples lowers forward KL", difference(forward[0], forward[1])),
        above("the fit to an unnormalised density lowers reverse KL", difference(reverse[0], reverse[1])),
        _finds_log_z(by_density[1]),
    )  # fmt: skip
    rows = {
        "forward KL, fitted to samples": {"before": mean(forward[0]), "after": mean(forward[1])},
        "reverse KL, fitted to a density": {"before": mean(reverse[0]), "after": mean(reverse[1])},
    }
    named = " and ".join(
        str(one.record["objective"]).partition(":")[0] for one in (by_rows[1], by_density[1])
    )
    summary = (
        f"chosen: {named}; forward KL {mean(forward[1])}, reverse KL {mean(reverse[1])} after {steps} steps"
    )
    figure = dots("Two fits to one law, from samples and from its density", "nats, with 95 % intervals", rows)
    return Shown(findings, summary, (figure,))


def _likelihood_is_forward_kl(seed: int) -> Finding:
    """-E_p log q = KL(p || q) + entropy of p, for Gaussians, by quadrature that is exact for them."""
    flow, p, q, _, _ = gaussians(seed)
    (turn,) = Likelihood().turns(flow)
    with torch.no_grad():
        loss = float(turn(nodes(p)))
    kl, entropy = float(kl_divergence(p, q)), float(p.entropy())
    return exactly(
        "minus the mean log-likelihood is forward KL plus the entropy of the data", abs(loss - kl - entropy), 1e-10,
        loss=Quantity(loss, unit="nats"), **{"forward KL": Quantity(kl, unit="nats")},
    )  # fmt: skip


def _reverse_kl_less_log_z(seed: int) -> Finding:
    """E_u[log p_U(u) - log|det J_F(u)| - log p~(F(u))] = KL(q || p) - log Z, on a Gaussian posterior with known log Z."""
    law = target("linear-regression")
    flow, d = bent(lambda: LinearFlow(Space.real(law.dim)), seed, 0.2), law.dim
    u = math.sqrt(d) * torch.cat([torch.eye(d), -torch.eye(d)], 1).double()
    with torch.no_grad():
        x, log_det = flow.decode(u)
        loss = float((log_normal(u) - log_det - law(x)).mean())
        q = MultivariateNormal(x.mean(0), (x - x.mean(0)).T @ (x - x.mean(0)) / (2 * d))
    inputs = torch.as_tensor(linear_rows()[0], dtype=torch.float64)
    precision = torch.eye(d, dtype=torch.float64) + inputs.T @ inputs / 0.25
    p = MultivariateNormal(torch.tensor(law.mean, dtype=torch.float64), precision_matrix=precision)
    kl = float(kl_divergence(q, p))
    return exactly(
        "the objective of a density is reverse KL less log Z", abs(loss - (kl - law.log_z)), 1e-7,
        objective=Quantity(loss, unit="nats"), **{"reverse KL": Quantity(kl, unit="nats"), "log Z": Quantity(law.log_z, unit="nats")},
    )  # fmt: skip


def _named(what: str, fitted: Fitted, expected: str) -> Finding:
    said = str(fitted.record["objective"])
    return Finding(what, said.partition(":")[0] == expected, {"record": said})


def _forward(fitted: Fitted, law: Target, seed: int, n: int) -> np.ndarray[Any, Any]:
    """log p - log q (n,) at fresh samples of the law."""
    x = draws(law, n, seed)
    return law.log_prob(x).numpy() - fitted.score(x.numpy()).values


def _reverse(fitted: Fitted, law: Target, seed: int, n: int) -> np.ndarray[Any, Any]:
    """log q - log p (n,) at samples of the flow."""
    x = fitted.sample(n, seed=seed)
    return fitted.score(x).values - law.log_prob(torch.from_numpy(x)).numpy()


def _finds_log_z(fitted: Fitted) -> Finding:
    """What the fit says of log Z: the truth is the constant that was added."""
    found = fitted.record["log_z"]["value"]
    low, high = found["interval"]
    centre, half = (low + high) / 2, 3 * (high - low) / 2  # three times as wide: six standard errors
    return Finding(
        "the fit to the density finds the log Z that was hidden in it",
        abs(centre - CONSTANT) <= half + 0.02,
        {"log Z": found, "truth": CONSTANT},
    )
