"""Classifier two-sample test on features: can a fresh critic tell samples from held-out rows?"""

from __future__ import annotations

from typing import Any

from jensen.critics.contest import LEAST_ROWS
from jensen.critics.judgement import judge
from jensen.errors import Cannot
from jensen.metrics.features import Sets, features
from jensen.quantity import Kind, Quantity
from jensen.space import Space


def measure(sets: Sets) -> dict[str, Quantity]:
    """Accuracy, p-value and JSD of a fresh critic on the features."""
    return two_sample(sets.real, sets.fake, **sets.how())


def two_sample(real: Any, fake: Any, *, seed: int = 0, **how: Any) -> dict[str, Quantity]:
    """A panel of critics on features (n, d) and (m, d): what the chosen one gets on rows that none of them saw.

    accuracy: 0.5 where it cannot tell. p-value: of one law, exact. JSD: a lower bound of the features' own, and so of
    the rows', in nats. Raises Cannot for too few rows.
    """
    x, y = (features(values).cpu().numpy() for values in (real, fake))
    if min(len(x), len(y)) < LEAST_ROWS:
        raise Cannot(
            f"a critic needs {LEAST_ROWS} rows a side", f"got {len(x)} and {len(y)}", "draw more samples"
        )
    found = judge(x, y, Space.real(x.shape[1]), seed=seed)
    told = {"critic": found.critic.name, "permutations": found.permutations, **how}
    return {
        "accuracy": found.accuracy,
        "p-value": Quantity(found.p_value, Kind.EXACT, how={"of": "one law behind both", **told}),
        "JSD": found.jsd,
    }
