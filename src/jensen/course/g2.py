"""G2: the two costs of the generator, and that both are descended."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from jensen.costs import cost_named
from jensen.course.claim import Finding, Shown
from jensen.course.deciding import exactly
from jensen.course.figures import curves
from jensen.course.game import BATCH, GENERATORS, Match

LOGITS = torch.linspace(-8, 8, 33, dtype=torch.float64)
DIGITS = 1e-12


def show(seed: int = 0, *, steps: int = 20) -> Shown:
    """Values and slopes against the definitions, then a step down either cost in a game on digits."""
    d = LOGITS.sigmoid()
    definitions = {"saturating": (1 - d).log(), "nonsaturating": -d.log()}
    slopes = {"saturating": -d, "nonsaturating": d - 1}
    words = {"saturating": "mean log(1 - D(G(z)))", "nonsaturating": "-mean log D(G(z))"}
    findings: list[Finding] = []
    found = {}
    for name in GENERATORS:
        value, slope = _cost(name)
        found[name] = slope
        findings.append(
            exactly(f"the {name} cost is {words[name]}", abs(value - float(definitions[name].mean())), DIGITS)
        )
        findings.append(exactly(f"its slope in the logit is {'-D' if name == 'saturating' else 'D - 1'}, below 0 everywhere",
                                max(float((slope - slopes[name]).abs().max()), float(slope.max().clamp(min=0))), DIGITS))  # fmt: skip
    ratio = found["nonsaturating"] / found["saturating"]
    findings.append(
        exactly(
            "their ratio is (1 - D) / D, sample by sample", float((ratio * d / (1 - d) - 1).abs().max()), 1e-9
        )
    )
    findings += [_descends(name, seed, steps) for name in GENERATORS]
    at = LOGITS.tolist()
    figure = curves(
        "Both costs of the generator fall with D's logit; where D rejects, one is flat", ("logit of D on a sample", at), "cost and slope",
        {"log(1 - D)": definitions["saturating"].tolist(), "-log D": definitions["nonsaturating"].tolist(),
         "slope of log(1 - D)": found["saturating"].tolist(), "slope of -log D": found["nonsaturating"].tolist()},
    )  # fmt: skip
    told = ", ".join(f"{name} {float(found[name][0]):.4f}" for name in GENERATORS)
    return Shown(tuple(findings), f"slopes where D = {float(d[0]):.4f}: {told}; a step down either raises D on the same noise", (figure,))  # fmt: skip


def _cost(name: str) -> tuple[float, Tensor]:
    """The library's cost of these logits, and its slope times their number."""
    fake = LOGITS.clone().requires_grad_()
    loss = cost_named(name).generator(LOGITS, fake)
    loss.backward()
    assert fake.grad is not None
    return float(loss.detach()), fake.grad * len(fake)


def _descends(name: str, seed: int, steps: int) -> Finding:
    """From one moment of a game, a small step of G against the gradient: the cost falls, D on the same noise rises."""
    match = Match(seed, 8, 100)
    for _ in range(steps):
        match.step()
    weights = [p for p in match.model.parameters() if p.requires_grad]

    def judged() -> tuple[Tensor, Tensor]:
        fake = match.model.draw(BATCH, None, torch.Generator().manual_seed(seed))
        with match.game.held():
            logit = copy.deepcopy(match.game.critic).eval()(fake.squeeze(-1))
        return cost_named(name).generator(logit.detach(), logit), logit

    before, logit = judged()
    gradients = torch.autograd.grad(before, weights)
    length = torch.cat([g.flatten() for g in gradients]).norm()
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients):
            weight.sub_(0.05 * gradient / length)
        after, raised = judged()
    fell, rose = float(before.detach() - after), float((raised.sigmoid() - logit.detach().sigmoid()).mean())
    return Finding(
        f"a step of G down the {name} cost lowers it and raises D on the same noise",
        fell > 0 and rose > 0,
        {"the cost falls by": fell, "mean D rises by": rose},
    )
