"""Does the gradient of a generator's cost reach its weights, and last where the discriminator rejects the samples?"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.verdict import Verdict
from jensen.costs import cost_named
from jensen.functional.module_state import device_of
from jensen.space import Space

NAME = "generator_gradient"
ROWS = 64
REJECTED = 5.0
"""The discriminator's logit at the samples is minus this: D = 0.0067."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    able = all(callable(getattr(module, name, None)) for name in ("draw", "features", "sample"))
    return "" if able else "the module is no generator: it has no `draw` of samples with a gradient"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Let a random linear discriminator reject samples, and compare the gradients of two costs.

    Every weight that asks for a gradient must get one that is finite and not zero. The non-saturating cost must have the
    larger gradient, by (1 - D) / D = e^5: the logits differ by less than 0.01, so that the ratio holds within 2 %.
    """
    model: Any = copy.deepcopy(module).eval()
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    weights = [p for p in model.parameters() if p.requires_grad]
    gradients = {cost: _gradients(model, weights, cost, seed) for cost in ("nonsaturating", "saturating")}
    dead = [
        name
        for name, gradient in zip(names, gradients["nonsaturating"])
        if gradient is None or not bool(gradient.isfinite().all()) or not bool(gradient.any())
    ]
    if dead:
        text = f"{len(dead)} of {len(names)} weights get no gradient, first {dead[0]}"
        return Verdict(NAME, False, text, {"dead": len(dead)})
    norms = [_norm(gradients[cost]) for cost in ("nonsaturating", "saturating")]
    ratio, expected = norms[0] / max(norms[1], 1e-300), math.exp(REJECTED)
    holds = abs(ratio / expected - 1) < 0.02
    text = (
        f"all {len(names)} weights get a gradient; where D = {1 / (1 + expected):.4f} that of the non-saturating cost is "
        f"{ratio:.1f} times that of the saturating one, (1 - D) / D = {expected:.1f}"
    )
    return Verdict(NAME, holds, text, {"ratio": ratio, "expected": expected})


def _gradients(model: Any, weights: list[nn.Parameter], cost: str, seed: int) -> tuple[Tensor | None, ...]:
    """Of a cost, through a linear discriminator whose logits are nearly constant."""
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        drawn = model.draw(ROWS, _contexts(model), torch.Generator().manual_seed(seed)).flatten(1)
        if not drawn.requires_grad:
            return (None,) * len(weights)
        way = torch.randn(drawn.shape[1], generator=torch.Generator().manual_seed(seed + 1)).to(drawn)
        logit = drawn @ way
        logit = logit * (0.01 / logit.detach().abs().max().clamp(min=1e-12)) - REJECTED
        loss = cost_named(cost).generator(logit.detach(), logit)
        return torch.autograd.grad(loss, weights, allow_unused=True)


def _contexts(model: Any) -> Tensor | None:
    """The first class, or zeros, for every row of a conditional generator."""
    context = getattr(model, "context", None)
    return None if context is None else torch.zeros(ROWS, context.dims, device=device_of(model))


def _norm(gradients: tuple[Tensor | None, ...]) -> float:
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients if g is not None))
