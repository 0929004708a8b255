"""Exact nats of the 10,000 test images of MNIST, dynamically binarised, after 20 CPU-core minutes of training.

A whole recipe through the public API: `jensen.rows` draws fresh bits for every batch of the training file, `jensen.fit`
trains, `score` gives the exact log-likelihood of the test file, whose bits are drawn once from the seed. The folder
holds the four files of MNIST's own distribution (IDX, gzipped or not); give it on the command line or as MNIST.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleave import command, conditions, passive
from record import Record, dumps

if TYPE_CHECKING:
    from jensen.train import Moment

SPLIT = (0.98, 0.015, 0.005)
"""Of the training file: the validation must be cheap, and the test is another file."""


@dataclass(frozen=True)
class Recipe:
    """A model with all its settings written out, and how it is trained: a new default changes no number."""

    model: str
    hyper: dict[str, Any]
    steps: int
    batch: int
    rate: float
    precision: str = "float32"


RECIPES = {
    # kernels of 5 in the blocks: with 3 the same net saw 9 rows up instead of 15, and ended 2 to 3 nats worse
    "gated": Recipe(
        "gated-pixelcnn",
        {"channels": 24, "layers": 6, "kernel": 7, "block_kernel": 5, "dropout": 0.0},
        steps=8_000,
        batch=16,
        rate=3e-3,
    ),
    "pixelcnn": Recipe(
        "pixelcnn",
        {"channels": 32, "layers": 7, "kernel": 7, "block_kernel": 7, "dropout": 0.0},
        steps=7_000,
        batch=16,
        rate=2.5e-3,
    ),
    "made": Recipe("made", {"hidden": (1024, 1024), "dropout": 0.2}, steps=20_000, batch=64, rate=1e-3),
}


def source(folder: Path, part: str) -> Path:
    """The images of a part, "train" or "t10k"."""
    found = sorted(folder.glob(f"{part}-images*"))
    if not found:
        sys.exit(f"no {part}-images... in {folder}: give the folder of MNIST's IDX files")
    return found[0]


def run(recipe: Recipe, folder: Path, seed: int) -> dict[str, Any]:
    """Train and score; the record of both."""
    import jensen

    rows = jensen.rows(source(folder, "train"), binarise="dynamic", split=SPLIT, seed=seed)
    plan = jensen.Plan(
        steps=recipe.steps,
        batch=recipe.batch,
        rate=recipe.rate,
        precision=recipe.precision,
        checks=12,
        patience=0,
    )
    began, cpu_began = time.perf_counter(), time.process_time()
    fitted = jensen.fit(
        recipe.model, rows, plan=plan, seed=seed, device="cpu", watch=progress, **recipe.hyper
    )
    spent, cpu_spent = time.perf_counter() - began, time.process_time() - cpu_began
    nats = fitted.score(source(folder, "t10k")).mean()
    low, high = nats.interval or (None, None)
    losses = [line["loss"] for line in fitted.history[-len(fitted.history) // 20 :]]
    return {
        "recipe": asdict(recipe),
        "seed": seed,
        "nats": -nats.value,
        "interval": [-high, -low] if low is not None and high is not None else None,
        "kind": str(nats.kind),
        "train_cpu_seconds": cpu_spent,
        "train_seconds": spent,
        "loss_at_the_end": sum(losses) / len(losses),
        "parameters": fitted.record["parameters"],
        "rows_seen": fitted.record["run"]["steps"] * recipe.batch,
    }


def progress(moment: Moment) -> None:
    """A line a validation."""
    if moment.valid is not None:
        cpu = time.process_time()
        print(
            f"step {moment.step}: {moment.valid}, loss {moment.loss:.2f}, CPU {cpu:.0f} s",
            file=sys.stderr,
            flush=True,
        )


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("MNIST", "data/mnist"), type=Path)
    parser.add_argument("--recipe", choices=RECIPES, default="gated")
    parser.add_argument("--steps", type=int, default=None, help="another budget than the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a line")
    return parser.parse_args()


def main() -> None:
    """Train one recipe and print what it reached."""
    passive()
    asked = given()
    import torch

    torch.set_num_threads(asked.threads)
    recipe = RECIPES[asked.recipe]
    if asked.steps is not None:
        recipe = replace(recipe, steps=asked.steps)
    found = run(recipe, asked.folder, asked.seed)
    if asked.json:
        low, high = found["interval"] or (None, None)
        what = f"MNIST, {recipe.model}, {recipe.steps} steps, exact, test images"
        made = Record(what, "alone", found["nats"], low, high, "nats", None, command(), True)
        print(dumps([made], conditions=conditions(asked.threads), **found))
        return
    low, high = found["interval"]
    print(
        f"{recipe.model}: {found['nats']:.2f} nats [{low:.2f}, {high:.2f}], "
        f"{found['train_cpu_seconds']:.0f} CPU seconds of training"
    )


if __name__ == "__main__":
    main()
