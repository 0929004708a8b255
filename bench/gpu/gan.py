"""Modes of stacked digits that a generator reaches after some minutes on one GPU: 1,000 of 1,000 is the aim.

`digits8`: scikit-learn's digits, 3x8x8, nothing to bring. `mnist32`: MNIST's, padded to 3x32x32, by the preset `robust`; the
folder holds MNIST's own files (IDX, gzipped or not). Nothing is downloaded. Fit and judgement go through the public API.
`--smoke` does all of it with a tiny model in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from recipe import account, command_line, plan_of, progress, source, write

if TYPE_CHECKING:
    from jensen.data.known_modes import Modes

KNOWN = 10_000
"""Training images of MNIST that are stacked, and in which the nearest gives a sample its label."""


@dataclass(frozen=True)
class Recipe:
    """A generator with its settings written out, how it is trained and on how many stacked rows. `seconds` of training."""

    hyper: dict[str, Any]
    objective: dict[str, Any]
    batch: int
    rate: float
    rows: int
    seconds: float = 360
    steps: int | None = None
    samples: int | None = None
    plan: dict[str, Any] = field(default_factory=lambda: {"checks": 6, "patience": 0})


RECIPES = {
    # large batches: of 1,000 modes a batch of 64 holds next to none
    "digits8": Recipe(
        {"net": "residual", "channels": 128, "latents": 64},
        {"preset": "robust", "r1": 0.1, "r2": 0.1},
        batch=1024,
        rate=5e-4,
        rows=60_000,
    ),
    "mnist32": Recipe(
        {"net": "residual", "channels": 64, "latents": 64},
        {"preset": "robust", "r1": 1.0, "r2": 1.0},
        batch=256,
        rate=2e-4,
        rows=60_000,
    ),
}
SMOKE: dict[str, Any] = {"batch": 32, "rate": 1e-3, "rows": 2000, "seconds": 60, "steps": 12, "samples": 3000}


def law_of(name: str, asked: argparse.Namespace) -> Modes:
    """The law with its thousand modes."""
    from jensen.data.known_modes import stacked, stacked_digits

    if name == "digits8":
        return stacked_digits()
    from jensen.data.idx import from_idx, from_idx_labels

    images = np.asarray(from_idx(source(asked.folder, "train"), memory=1 << 30).values[:KNOWN]).reshape(
        -1, 28, 28
    )
    labels = from_idx_labels(source(asked.folder, "train", "labels"), 1 << 30)[:KNOWN].reshape(-1)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    few = slice(500 if asked.smoke else None)
    return stacked("stacked MNIST", padded[few].astype(np.uint8), labels[few].astype(np.int64))


def run(recipe: Recipe, law: Modes, asked: argparse.Namespace) -> dict[str, Any]:
    """Train and judge; the record of both."""
    import jensen
    from jensen.checks.mode_coverage import coverage
    from jensen.freshness import fresh_jsd
    from jensen.objectives.adversarial import Adversarial

    plan = plan_of(
        recipe,
        asked,
        **recipe.plan,
    )
    assert law.sample is not None
    rows = jensen.rows(law.sample(recipe.rows, asked.seed), space=law.space, split=(0.94, 0.03, 0.03))
    began = time.perf_counter()
    fitted = jensen.fit(
        "gan",
        rows,
        objective=Adversarial(**recipe.objective),
        plan=plan,
        seed=asked.seed,
        device=asked.device,
        watch=progress,
        **recipe.hyper,
    )
    trained = time.perf_counter()
    seeds = iter(range(asked.seed + 1, 10**9))
    verdict = coverage(law, lambda n: fitted.sample(n, seed=next(seeds)), recipe.samples)
    jsd = fresh_jsd(fitted, rows, asked.seed)
    return {
        **account(recipe, plan, asked, fitted),
        "modes": verdict.details["with_a_sample"],
        "kl_of_modes": verdict.details["kl_of_modes"],
        "verdict": verdict.to_dict(),
        "jsd": jsd.to_dict(),
        "seconds_to_train": trained - began,
        "seconds_to_judge": time.perf_counter() - trained,
    }


def given() -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__, RECIPES, "digits8", "data/mnist", "gpu-gan.json")
    return parser.parse_args()


def main() -> None:
    """Train one recipe, judge it and write the record."""
    asked = given()
    recipe = RECIPES[asked.recipe]
    if asked.smoke:
        recipe = Recipe({**recipe.hyper, "channels": 4, "latents": 8}, recipe.objective, **SMOKE)
    found = run(recipe, law_of(asked.recipe, asked), asked)
    write(found, asked.out)
    seconds = (
        f"{found['seconds_to_train']:.0f} s of training and {found['seconds_to_judge']:.0f} s of judging"
    )
    print(
        f"{found['verdict']['evidence']}; KL of the modes {found['kl_of_modes']:.3f} nats; {seconds} on {found['device']}; "
        f"written to {asked.out}"
    )


if __name__ == "__main__":
    main()
