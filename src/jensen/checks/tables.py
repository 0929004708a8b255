"""Whether the likelihood of mixed rows has total one, and whether samples follow it: by draws from around the rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jensen.checks.around import AroundColumns
from jensen.checks.labels import label_test, waves
from jensen.checks.subject import can, in_chunks, precise, some_rows
from jensen.checks.verdict import Verdict
from jensen.checks.weighed import Weighed, decided, weighed
from jensen.functional.module_state import device_of, float_type
from jensen.model import Can
from jensen.space import Space

DRAWS, SAMPLES, WAVES = 32_768, 4000, 48
CLOSE = 0.02
"""Half the width of the widest interval around one that says "one"."""
TELLING = 0.02
"""The least share of labels that are in doubt: below it the two laws do not meet, and nothing is tested."""


def total(module: Any, rows: Tensor | None, space: Space, seed: int) -> Verdict:
    """The total of exp(log_prob) over all mixed rows, by importance sampling from a law around some of them."""
    law, exact = _law(module, rows, space, seed)
    x = law.draw(DRAWS, torch.Generator().manual_seed(seed))
    found = weighed(_log_prob(exact, x, space) - law.log_prob(x))
    text = f"the likelihood of mixed rows has the total {found.text}"

    def back() -> Weighed:
        own = _samples(module, DRAWS, seed)
        return weighed(law.log_prob(own) - _log_prob(exact, own, space))

    return decided("mass_sums", text, found, CLOSE, back if Can.SAMPLE in can(module) else None)


def samples_follow(module: Any, rows: Tensor | None, space: Space, seed: int, threshold: float) -> Verdict:
    """Samples among draws of a law around some rows: their labels must be coins of the odds that log_prob states."""
    name = "sampler_matches_log_prob"
    law, exact = _law(module, rows, space, seed + 1)
    own, other = _samples(module, SAMPLES, seed), law.draw(SAMPLES, torch.Generator().manual_seed(seed))
    odds = [_log_prob(exact, x, space) - law.log_prob(x) for x in (own, other)]
    if bool(odds[0].isnan().any()) or bool((odds[0] == -torch.inf).any()):
        return Verdict(name, False, "some samples lie where log_prob leaves no mass")
    odds = [side.clamp(-700, 700) for side in odds]
    features = [waves(x.flatten(1), law.mean, law.spread, WAVES, seed) for x in (own, other)]
    found = label_test(*odds, *features)
    text = (
        f"{SAMPLES} samples among as many draws of a law around them, {found.functions} functions of the rows: "
        f"p = {found.p_value:.2g} (fails below {threshold:g}), labels {found.share:.0%} in doubt"
    )
    details = {"p_value": found.p_value, "share": found.share, "threshold": threshold}
    if not found.share > TELLING or found.functions == 0:
        return Verdict(name, None, f"{text}: the two hardly meet, which tests nothing", details)
    return Verdict(name, bool(found.p_value >= threshold), text, details)


def _law(module: Any, rows: Tensor | None, space: Space, seed: int) -> tuple[AroundColumns, Any]:
    """A law around samples of the module, or around rows, with the module in float64. Unseen gaps are filled: every value
    of the row counts."""
    near = (
        _samples(module, 1000, seed + 7)
        if Can.SAMPLE in can(module)
        else some_rows(module, rows, space, 1000, seed)
    )
    near = near.double().cpu()
    law = AroundColumns(near, space)
    return law, precise(module, lambda m: m.log_prob(near[:2].to(device_of(module))))


def _samples(module: Any, n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    with torch.no_grad():
        x: Tensor = module.sample(n, generator=generator)
    return x.double().cpu()


def _log_prob(exact: Any, x: Tensor, space: Space) -> Tensor:
    """log_prob (n,) of rows (n, d) in float64."""
    shaped = x.reshape(len(x), *space.shape).to(device_of(exact), float_type(exact))
    found: Tensor = in_chunks(exact.log_prob, shaped)
    return found
