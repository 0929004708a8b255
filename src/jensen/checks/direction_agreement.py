"""Do the two directions of a flow state one density: the pass that samples, and the one that scores?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from jensen.checks.maps import base_points, has
from jensen.checks.subject import can, precise
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import float_type
from jensen.model import Can
from jensen.space import Space

NAME = "direction_agreement"
DRAWS = 256
ALLOWED = 2e-4
"""Nats, in float64: the tolerance of a numerical inverse, by the slope of the density. A wrong term is 1e-3 or more."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if space is None:
        return "the space of the rows is not known"
    if _draws(module) or (has(module, "encode") and has(module, "decode")):
        return ""
    return "the module neither samples with its density nor both encodes and decodes"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """log q of the pass that drew samples against log_prob of the same rows, in float64; and, for a flow, log|det| of
    decode at a base point against minus that of encode at the row it gives."""
    assert space is not None
    model: Any = module
    z = base_points(module, space, DRAWS, seed)
    probe = _draws(module)
    subject: Any = precise(
        model, lambda m: m.log_prob(probe(m, 2, seed)[0].double()) if probe else m.decode(z.double())[1]
    )
    texts, gaps = [], []
    if probe is not None:
        x, stated = probe(subject, DRAWS, seed)
        with torch.no_grad():
            scored = subject.log_prob(x.detach())
        gaps.append(_gap(stated.detach(), scored))
        texts.append(f"log q of the pass that samples is log_prob of its rows within {gaps[-1]:.1g} nats")
    if has(subject, "encode") and has(subject, "decode"):
        with torch.no_grad():
            x, down = subject.decode(z.to(float_type(subject)))
            _, up = subject.encode(x)
        gaps.append(_gap(down, -up))
        texts.append(f"log|det| of decode is minus that of encode within {gaps[-1]:.1g}")
        if gaps[-1] > 1e-3 and _gap(down, up) <= ALLOWED:
            texts.append("it is that of encode itself: the sign is lost")
    allowed = ALLOWED if float_type(subject) == torch.float64 else 1e-3
    text = f"{', and '.join(texts[:2])}, on {DRAWS} draws" + "".join(f"; {one}" for one in texts[2:])
    return Verdict(NAME, bool(max(gaps) <= allowed), text, {"largest_gap": max(gaps)})


def _draws(module: Any) -> Any:
    """The function that draws n rows and their log q in one pass, where the module has one and scores rows as well."""
    if Can.LOG_PROB not in can(module):
        return None
    name = "drawn_with_log_prob" if has(module, "drawn_with_log_prob") else "sample_with_log_prob"
    if name == "sample_with_log_prob" and Can.SAMPLE_WITH_LOG_PROB not in can(module):
        return None

    def draw(subject: Any, n: int, seed: int) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = getattr(subject, name)(
            n, generator=torch.Generator().manual_seed(seed)
        )
        return found

    return draw


def _gap(a: Tensor, b: Tensor) -> float:
    """The largest |a - b|, beyond what rounding takes of large numbers."""
    apart = (a.double() - b.double()).abs() - 1e-9 * b.double().abs()
    return max(0.0, float(apart.nan_to_num(nan=float("inf")).max()))
