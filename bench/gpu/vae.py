"""A bound in nats of MNIST's test images, dynamically binarised, from an IWAE-50 after some minutes on one GPU.

The folder holds MNIST's own files (IDX, gzipped or not); nothing is downloaded. Training, validation and L_5000 of the
10,000 test images go through the public API. `--smoke` does all of it with a tiny model in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

from recipe import account, command_line, plan_of, progress, source, write

from mnist import SPLIT


@dataclass(frozen=True)
class Recipe:
    """A model with its settings written out, and how it is trained and scored. `seconds` of training."""

    hyper: dict[str, Any]
    objective: str
    batch: int
    rate: float
    seconds: float
    k: int
    steps: int | None = None


RECIPES = {
    # the encoder's plain gradient drowns in noise at k = 50; the doubly reparameterised one does not
    "iwae50": Recipe(
        {"latents": 50, "hidden": (512, 512), "net": "mlp"}, "dreg:k=50", 256, 1.5e-3, seconds=400, k=5000
    ),
    # one stochastic layer of the original net: Burda, Grosse and Salakhutdinov 2016
    "burda": Recipe(
        {"latents": 50, "hidden": (200, 200), "net": "mlp"}, "dreg:k=50", 128, 1e-3, seconds=400, k=5000
    ),
    "smoke": Recipe(
        {"latents": 4, "hidden": (16,), "net": "mlp"}, "dreg:k=50", 16, 5e-3, seconds=60, k=64, steps=40
    ),
}


def run(recipe: Recipe, asked: argparse.Namespace) -> dict[str, Any]:
    """Train and score; the record of both."""
    import jensen

    plan = plan_of(
        recipe,
        asked,
        checks=12,
        patience=0,
    )
    began = time.perf_counter()
    rows = jensen.rows(source(asked.folder, "train"), binarise="dynamic", split=SPLIT, seed=asked.seed)
    fitted = jensen.fit(
        "vae",
        rows,
        objective=recipe.objective,
        plan=plan,
        seed=asked.seed,
        device=asked.device,
        watch=progress,
        **recipe.hyper,
    )
    trained = time.perf_counter()
    bound = fitted.score(source(asked.folder, "t10k"), k=recipe.k, seed=asked.seed).mean()
    return {
        **account(recipe, plan, asked, fitted),
        "bound": bound.to_dict(),
        "text": str(bound),
        "seconds_to_train": trained - began,
        "seconds_to_score": time.perf_counter() - trained,
    }


def given() -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__, RECIPES, "iwae50", "data/mnist", "gpu-vae.json")
    return parser.parse_args()


def main() -> None:
    """Train one recipe, score it and write the record."""
    asked = given()
    found = run(RECIPES["smoke" if asked.smoke else asked.recipe], asked)
    write(found, asked.out)
    seconds = (
        f"{found['seconds_to_train']:.0f} s of training and {found['seconds_to_score']:.0f} s of scoring"
    )
    print(f"{found['text']} after {seconds} on {found['device']}; written to {asked.out}")


if __name__ == "__main__":
    main()
