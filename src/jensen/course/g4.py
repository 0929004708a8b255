"""G4: whose gradient is larger while D rejects the samples."""

from __future__ import annotations

import numpy as np

from jensen.course.claim import Shown
from jensen.course.deciding import above, mean
from jensen.course.figures import curves
from jensen.course.game import EARLY, LATE, Match, Slopes, played
from jensen.quantity import Quantity

REJECTS = 0.4
"""D's mean on samples below which it is said to reject them; 1/2 where it cannot tell."""


def show(
    seed: int = 0, *, early: tuple[int, ...] = EARLY, late: tuple[int, ...] = LATE, alone: int = 100
) -> Shown:
    """Norms of the generator's gradient under both costs on the same noise: in a game, and with a generator held."""
    game = [one for one in played(seed, early, late).slopes if one.step > 0]
    held = _alone(seed, alone)
    rejecting = [one for one in game if one.belief < REJECTS]
    logs = np.concatenate([np.log(one.ratio) for one in rejecting]) if rejecting else np.zeros(1)
    findings = (
        above("in the game, while D rejects the samples, log of the ratio of norms is above 0", mean(logs, unit=""),
              **{"ratio": float(np.exp(logs.mean())), "moments": len(rejecting), "mean D there": float(np.mean([one.belief for one in rejecting] or [np.nan]))}),
        above("with the generator held at its start and D learning alone, the ratio grows", _ratio_of(held[-1], held[0]),
              **{"ratio at the end": float(held[-1].ratio.mean()), "mean D there": held[-1].belief}),
    )  # fmt: skip
    figures = (
        _figure("In a game on digits: non-saturating over saturating gradient", game),
        _figure("D learns alone, the generator is held at its start", held),
    )
    summary = f"non-saturating over saturating: {np.exp(logs.mean()):.2f} while D rejects early in the game, {held[-1].ratio.mean():.3g} after {alone} steps of D alone"
    return Shown(findings, summary, figures)


def _alone(seed: int, steps: int) -> list[Slopes]:
    """D's moves only."""
    match = Match(seed, 16, steps)
    found = [match.slopes(0, batches=4)]
    for step in range(steps):
        match.players[0].play(match.batch(), None, 4e-4)
        if (step + 1) % max(steps // 10, 1) == 0:
            found.append(match.slopes(step + 1, batches=4))
    return found


def _ratio_of(last: Slopes, first: Slopes) -> Quantity:
    """By which factor the ratio grew, as a logarithm; batches are independent."""
    return mean(np.log(last.ratio) - np.log(first.ratio), unit="")


def _figure(title: str, slopes: list[Slopes]) -> dict[str, object]:
    return curves(
        title, ("steps", [one.step for one in slopes]), "ratio, and D's mean on samples (log)",
        {"ratio of gradient norms, with 95 % intervals": [mean(one.ratio, unit="") for one in slopes], "mean D on samples": [one.belief for one in slopes]},
        lines={"equal": 1.0}, log_y=True,
    )  # fmt: skip
