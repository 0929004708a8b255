"""S2: what is computed from a row on the way to the loss, and what is kept."""

from __future__ import annotations

import numpy as np
import torch

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import counted, exactly
from jensen.course.figures import pictures
from jensen.course.photographed import BOTH, FEATURES, SPACE, fresh_encoder, photographs, unlabelled
from jensen.fitting import fit
from jensen.functional.contrastive import nt_xent
from jensen.objectives.contrastive import Contrastive
from jensen.views import Views

WIDTH, TEMPERATURE = 32, 0.2


def show(seed: int = 0, *, n: int = 64) -> Shown:
    """One batch, taken apart; then a fit of a few steps, and what it leaves behind."""
    data = photographs()
    x = torch.as_tensor(np.asarray(data.train[:n]))
    views = Views(SPACE, BOTH)
    first, second = (views(x, torch.Generator().manual_seed(seed + i)) for i in (0, 1))
    again = views(x, torch.Generator().manual_seed(seed))
    equal = int((first == second).flatten(1).all(1).sum()) + int((first == x).flatten(1).all(1).sum())
    model = fresh_encoder()
    turn = Contrastive(temperature=TEMPERATURE, width=WIDTH, views=BOTH).turns(model)[0]
    findings = (
        counted("no view equals its row or the other view of it", equal, 2 * n),
        exactly("a view is random: the same generator gives the same, another another", float((first - again).abs().max()), 0.0),
        _loss_is_on_z(turn, x, seed),
        _head_bends(turn),
        _reached(turn, x),
        *_kept(seed),
    )  # fmt: skip
    shown = 16
    figure = pictures(
        "Digits as if photographed, and two random views of each",
        [(caption, (images[:shown].float() / 255).numpy()) for caption, images in (("rows", x), ("one view", first), ("another", second))],
        across=shown,
    )  # fmt: skip
    summary = f"two views of {n} rows, h of {FEATURES} numbers, z of {WIDTH}; the loss is NT-Xent of z; a fitted encoder gives h and has no head"
    return Shown(findings, summary, (figure,))


def _loss_is_on_z(turn: torch.nn.Module, x: torch.Tensor, seed: int) -> Finding:
    """The objective's loss, and the same put together by hand from views, encoder and head with the same noise."""
    torch.manual_seed(seed)
    loss = turn(x)
    torch.manual_seed(seed)
    rows = torch.cat([turn.views(x), turn.views(x)])  # type: ignore[operator]
    h = turn.model.embed(rows)  # type: ignore[operator, union-attr]
    a, b = turn.head(h).chunk(2)  # type: ignore[operator]
    by_hand = nt_xent(a, b, TEMPERATURE)
    return exactly(
        "the loss is NT-Xent of z = head(encoder(view)), both views", abs(float(loss.detach() - by_hand.detach())), 1e-6,
        loss=float(loss.detach()), **{"numbers in h": h.shape[1], "numbers in z": a.shape[1]},
    )  # fmt: skip


def _head_bends(turn: torch.nn.Module) -> Finding:
    """A linear (affine) head would have head(u + v) + head(0) = head(u) + head(v)."""
    u, v = torch.rand(2, 50, FEATURES, generator=torch.Generator().manual_seed(0))
    turn.eval()
    with torch.no_grad():
        head = turn.head
        bend = (head(u + v) + head(0 * u) - head(u) - head(v)).abs().max() / head(u).abs().max()  # type: ignore[operator]
    turn.train()
    return Finding(
        "the head is not linear", float(bend) > 1e-3, {"deviation from a linear map, relative": float(bend)}
    )


def _reached(turn: torch.nn.Module, x: torch.Tensor) -> Finding:
    turn.zero_grad()
    turn(x).backward()
    still = [name for name, p in turn.named_parameters() if p.grad is None or not bool(p.grad.any())]
    return counted(
        "the gradient reaches every weight of encoder and head", len(still), len(list(turn.parameters()))
    )


def _kept(seed: int) -> list[Finding]:
    """After a fit: the model has the encoder's weights and no head, and what it embeds is h."""
    torch.manual_seed(seed)
    model = fresh_encoder()
    before = set(model.state_dict())
    fitted = fit(model, unlabelled(), objective=Contrastive(width=WIDTH, views=BOTH), steps=20, seed=seed)
    x = np.asarray(photographs().test[:20])
    with torch.no_grad():
        h = fitted.model.eval().embed(torch.as_tensor(x)).numpy()
    return [
        counted("the fitted model has the encoder's tensors and no others", len(before ^ set(fitted.model.state_dict())), len(before)),
        exactly(f"what it embeds is h, {FEATURES} numbers a row", float(np.abs(fitted.embed(x) - h).max()) if h.shape[1] == FEATURES else 1.0, 1e-6),
    ]  # fmt: skip
