"""Does a model that samples reach every mode of a law whose modes are known?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jensen.checks.subject import can
from jensen.checks.verdict import Verdict
from jensen.data.known_modes import Modes
from jensen.functional.binomial import clopper_pearson
from jensen.model import Can
from jensen.space import Space

NAME = "mode_coverage"
LEAST_SHARE = 1 / 3
"""A mode that holds less than this of its share counts as left out."""
ALPHA = 1e-3
"""How often a verdict that is given may be wrong, all modes together."""
EXPECTED = 120
"""Rows expected of the smallest mode: enough for a sampler that is right to be seen to be (see `check`)."""
MOST = 200_000
"""Samples, at most."""
CHUNK = 2000


class Known(nn.Module):
    """A model that samples, with the modes that its rows should have."""

    def __init__(self, owner: nn.Module, modes: Modes) -> None:
        super().__init__()
        self.owner, self.modes = owner, modes

    @property
    def can(self) -> Can:
        """The owner's abilities."""
        return can(self.owner)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n rows of the owner."""
        found: Tensor = self.owner.sample(n, generator=generator)  # type: ignore[operator]
        return found


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if Can.SAMPLE not in can(module):
        return "the model does not sample"
    return "" if getattr(module, "modes", None) is not None else "no modes are known of these rows"


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Count the modes of samples, 120 expected of the smallest: `coverage`.

    Of 1,000 modes with exactly their shares all then have 76 rows or more in 99 of 100 checks, and the lower limit of 76 at
    5e-7 is 40: such a sampler is decided.
    """
    modes: Modes = module.modes  # type: ignore[assignment]
    held = int(
        getattr(getattr(module, "owner", module), "hyper", {}).get("rows", MOST)
    )  # of samples made elsewhere
    source = torch.Generator().manual_seed(seed + 1_000_003)

    def draw(n: int) -> NDArray[Any]:
        with torch.no_grad():
            found: Tensor = module.sample(n, generator=source)  # type: ignore[operator]
        return found.cpu().numpy()

    return coverage(modes, draw, min(enough(modes), held), at_once=held < MOST)


def enough(modes: Modes) -> int:
    """How many samples a verdict takes: 120 of the smallest mode, 200,000 at most."""
    return min(MOST, math.ceil(EXPECTED / float(modes.shares.min())))


def coverage(
    modes: Modes, draw: Callable[[int], NDArray[Any]], n: int | None = None, *, at_once: bool = False
) -> Verdict:
    """Does each mode hold at least a third of its share? `draw`: n -> independent rows (n, ...), as `modes.of` takes them.

    Every mode's probability has an exact interval (Clopper-Pearson, Bonferroni over the modes and both verdicts). The check
    holds where every lower end reaches a third of the mode's share, and fails where an upper end does not; otherwise it is
    undecided. Either answer is wrong in at most one of a thousand checks. Rows near no mode count as of none: a sampler
    of blurs that lie between the modes fails. `n`: samples, by default enough for a right sampler to be decided.

    >>> from jensen.data.known_modes import ring
    >>> law = ring()
    >>> coverage(law, lambda n: law.sample(n, 0)).holds
    True
    """
    k, n = len(modes.shares), n or enough(modes)
    counts = _count(modes, draw, n, n if at_once else CHUNK)
    wanted = LEAST_SHARE * modes.shares
    ends = {
        int(c): clopper_pearson(int(c), n, 1 - ALPHA / k) for c in np.unique(counts)
    }  # half of it at each end
    low, high = (np.array([ends[int(c)][end] for c in counts]) for end in (0, 1))
    missed, reached = high < wanted, low >= wanted
    holds = False if missed.any() else True if reached.all() else None
    return Verdict(
        NAME, holds, _said(modes, counts, n, missed, reached), _details(modes, counts, n, missed, reached)
    )


def _count(modes: Modes, draw: Callable[[int], NDArray[Any]], n: int, size: int) -> NDArray[np.int64]:
    """Samples (k,) of each mode."""
    counts = np.zeros(len(modes.shares), dtype=np.int64)
    for start in range(0, n, size):
        found = modes.of(draw(min(size, n - start)))
        counts += np.bincount(found[found >= 0], minlength=len(counts))
    return counts


def _said(
    modes: Modes, counts: NDArray[np.int64], n: int, missed: NDArray[np.bool_], reached: NDArray[np.bool_]
) -> str:
    k = len(counts)
    text = (
        f"{int((counts > 0).sum()):,} of the {k:,} modes of {modes.name} have a sample, "
        f"{int(reached.sum()):,} surely hold a third of their share or more, {int(missed.sum()):,} surely less; "
        f"{n:,} samples, {1 - counts.sum() / n:.1%} near no mode"
    )
    if missed.any():
        worst = int(np.where(missed, counts / modes.shares, np.inf).argmin())
        return f"{text}; mode {worst}: {counts[worst]:,} where {n * modes.shares[worst]:.0f} are expected"
    return text


def _details(
    modes: Modes, counts: NDArray[np.int64], n: int, missed: NDArray[np.bool_], reached: NDArray[np.bool_]
) -> dict[str, Any]:
    """Counts with what was expected, and the divergence of the modes' shares (of samples near one) from the law's."""
    near = int(counts.sum())
    q, p = counts / max(near, 1), modes.shares / modes.shares.sum()
    kl = float((q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum()) if near else math.nan
    few = len(counts) <= 64
    return {
        "modes": len(counts),
        "with_a_sample": int((counts > 0).sum()),
        "reached": int(reached.sum()),
        "missed": int(missed.sum()),
        "which_missed": [int(one) for one in np.flatnonzero(missed)[:64]],
        "samples": n,
        "near_none": 1 - near / n,
        "kl_of_modes": kl,
        "smallest_over_expected": float((counts / (n * modes.shares)).min()),
        **({"counts": counts.tolist(), "expected": (n * modes.shares).tolist()} if few else {}),
    }
