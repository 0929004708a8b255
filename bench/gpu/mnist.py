"""Exact nats of MNIST's test images, dynamically binarised, after some minutes on one GPU: one command, one JSON file.

The folder holds MNIST's own files (IDX, gzipped or not); nothing is downloaded. Training, validation and the score of
the 10,000 test images go through the public API. `--smoke` does all of it with a tiny model in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from typing import Any

from recipe import account, command_line, model_class, plan_of, progress, source, write

SPLIT = (0.98, 0.015, 0.005)
"""Of the training file: the validation must be cheap, and the test is another file."""


@dataclass(frozen=True)
class Recipe:
    """A model with its settings written out, and how it is trained. `seconds` of training, compiling included."""

    model: str
    hyper: dict[str, Any]
    batch: int
    rate: float
    seconds: float = 450
    decay: float = 0.0
    steps: int | None = None
    plan: dict[str, Any] = field(default_factory=lambda: {"checks": 12, "patience": 0})


RECIPES = {
    # attention reaches every earlier pixel; 64 numbers a head fill the fused kernels
    "transformer": Recipe(
        "transformer",
        {"width": 256, "layers": 8, "heads": 4, "dropout": 0.1, "inputs": "onehot"},
        batch=128,
        rate=1e-3,
        decay=0.01,
    ),
    # with kernels of 5 the last layer sees 23 rows up and 23 columns to each side
    "gated": Recipe(
        "gated-pixelcnn",
        {"channels": 96, "layers": 10, "kernel": 7, "block_kernel": 5, "dropout": 0.1, "inputs": "scaled"},
        batch=128,
        rate=1.5e-3,
    ),
    "smoke": Recipe(
        "gated-pixelcnn",
        {"channels": 4, "layers": 1, "kernel": 7, "block_kernel": 3, "inputs": "scaled"},
        batch=16,
        rate=5e-3,
        seconds=60,
        steps=40,
    ),
}


def run(recipe: Recipe, asked: argparse.Namespace) -> dict[str, Any]:
    """Train and score; the record of both."""
    import jensen

    plan = plan_of(
        recipe,
        asked,
        decay=recipe.decay,
        **recipe.plan,
    )
    began = time.perf_counter()
    rows = jensen.rows(source(asked.folder, "train"), binarise="dynamic", split=SPLIT, seed=asked.seed)
    model = model_class(recipe.model, asked.channels_last)
    fitted = jensen.fit(
        model, rows, plan=plan, seed=asked.seed, device=asked.device, watch=progress, **recipe.hyper
    )
    trained = time.perf_counter()
    nats = fitted.score(source(asked.folder, "t10k")).mean()
    low, high = nats.interval or (nats.value, nats.value)
    return {
        **account(recipe, plan, asked, fitted),
        "channels_last": asked.channels_last,
        "nats": -nats.value,
        "interval": [-high, -low],
        "kind": str(nats.kind),
        "seconds_to_train": trained - began,
        "seconds_to_score": time.perf_counter() - trained,
    }


def given() -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__, RECIPES, "transformer", "data/mnist", "gpu-mnist.json")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout of convolutions")
    return parser.parse_args()


def main() -> None:
    """Train one recipe, score it and write the record."""
    asked = given()
    found = run(RECIPES["smoke" if asked.smoke else asked.recipe], asked)
    write(found, asked.out)
    low, high = found["interval"]
    print(
        f"{found['nats']:.2f} nats [{low:.2f}, {high:.2f}] after {found['seconds_to_train']:.0f} s on {found['device']}; "
        f"written to {asked.out}"
    )


if __name__ == "__main__":
    main()
