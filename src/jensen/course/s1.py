"""S1: NT-Xent against a loop over views, its chance level, and who is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import counted, exactly
from jensen.course.figures import curves
from jensen.functional.contrastive import chance_level, nt_xent, view_losses

TEMPERATURES = (0.5, 0.1)


def show(
    seed: int = 0, *, n: int = 9, d: int = 5, grid: Sequence[float] = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
) -> Shown:
    """Value and gradient beside the loop, the loss of a guess, and what each view's loss depends on."""
    generator = torch.Generator().manual_seed(seed)
    rows, first, second = torch.randn(3, n, d, generator=generator, dtype=torch.float64)
    a, b = rows + first, rows + second
    same = torch.ones(n, d, dtype=torch.float64)
    guess = float(nt_xent(same, same, 0.1))
    findings = (
        *(_loop(a, b, temperature) for temperature in TEMPERATURES),
        exactly("where all views look alike the loss is log(2n - 1)", abs(guess - math.log(2 * n - 1)), 1e-12, loss=guess, n=n),
        exactly("which is the chance level that the library prints", abs(chance_level(n) - math.log(2 * n - 1)), 1e-15),
        _who(a, b),
        _orthogonal(grid),
    )  # fmt: skip
    far = torch.randn(2, 256, 64, generator=generator, dtype=torch.float64)
    figure = curves(
        "NT-Xent of 256 pairs of views by temperature", ("temperature", list(grid)), "loss, nats",
        {"views that have nothing in common": [float(nt_xent(far[0], far[1], t)) for t in grid],
         "views that share half of their numbers": [float(nt_xent(far[0] + far[1], far[0], t)) for t in grid],
         "views that are the same": [float(nt_xent(far[0], far[0], t)) for t in grid]},
        lines={"a guess: log(2n - 1)": chance_level(256)}, log_x=True,
    )  # fmt: skip
    return Shown(
        findings, f"a guess among {2 * n - 1} loses {guess:.4f} nats, log(2n - 1) = {math.log(2 * n - 1):.4f}; equal to the loop to 1e-12", (figure,)
    )  # fmt: skip


def plain_loop(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """-log softmax at the partner over all views but the view itself, one view at a time; the mean over 2n."""
    views = [view / view.norm() for view in (*a, *b)]
    n, losses = len(a), []
    for i in range(2 * n):
        others = [j for j in range(2 * n) if j != i]
        scores = torch.stack([views[i] @ views[j] / temperature for j in others])
        losses.append(-scores.log_softmax(0)[others.index((i + n) % (2 * n))])
    return torch.stack(losses).mean()


def _loop(a: Tensor, b: Tensor, temperature: float) -> Finding:
    """Loss and gradient."""
    worst, found = 0.0, []
    for loss in (nt_xent, plain_loop):
        views = [view.clone().requires_grad_() for view in (a, b)]
        value = loss(views[0], views[1], temperature)
        found.append((value.detach(), *torch.autograd.grad(value, views)))
    for one, other in zip(*found):
        worst = max(worst, float((one - other).abs().max()))
    return exactly(
        f"loss and gradient are those of a plain loop, T = {temperature}",
        worst,
        1e-11,
        loss=float(found[0][0]),
    )


def _who(a: Tensor, b: Tensor) -> Finding:
    """Turn one view at a time: the loss of every view moves, for all 2n - 1 others are among its candidates."""
    base, n = view_losses(a, b, 0.5), len(a)
    wrong = 0
    for j in range(2 * n):
        views = [a.clone(), b.clone()]
        views[j // n][j % n] += 1.0
        moved = (view_losses(views[0], views[1], 0.5) - base).abs() > 1e-9
        wrong += int((~moved).sum())
    return counted("the loss of every view depends on each of the other 2n - 1", wrong, (2 * n) ** 2)


def _orthogonal(grid: Sequence[float]) -> Finding:
    """Orthonormal rows with equal views: log(1 + (2n - 2) exp(-1/T)), in closed form."""
    rows = torch.eye(16, dtype=torch.float64)
    worst = max(abs(float(nt_xent(rows, rows, t)) / math.log1p(30 * math.exp(-1 / t)) - 1) for t in grid)
    return exactly(
        "orthonormal rows with equal views have the closed form log(1 + (2n - 2) e^(-1/T)), relative",
        worst,
        1e-9,
    )
