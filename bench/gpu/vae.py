"""A bound in nats of MNIST's test images, dynamically binarised, from an IWAE-50 after some minutes on one GPU.

The folder holds MNIST's own files (IDX, gzipped or not); nothing is downloaded. Training, validation and L_5000 of the
10,000 test images go through the public API. `--smoke` does all of it with a tiny model in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mnist import SPLIT, hardware, progress, source


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

    plan = jensen.Plan(
        steps=recipe.steps,
        seconds=asked.seconds or recipe.seconds,
        batch=asked.batch or recipe.batch,
        rate=asked.rate or recipe.rate,
        precision=asked.precision,
        compile=asked.compile,
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
        "recipe": asdict(recipe),
        "plan": asdict(plan),
        "seed": asked.seed,
        "bound": bound.to_dict(),
        "text": str(bound),
        "seconds_to_train": trained - began,
        "seconds_to_score": time.perf_counter() - trained,
        "steps": fitted.record["run"]["steps"],
        "rows_per_second": fitted.record["run"]["rows_per_second"],
        "parameters": fitted.record["parameters"],
        "history": [line for line in fitted.history if line["valid"] is not None],
        **hardware(fitted.record["device"]),
    }


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default="data/mnist", type=Path)
    parser.add_argument("--recipe", choices=RECIPES, default="iwae50")
    parser.add_argument("--seconds", type=float, help="of training; default: the recipe's")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--precision", choices=("auto", "bf16", "float32"), default="auto")
    parser.add_argument("--compile", action="store_true", help="torch.compile, its time within --seconds")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("gpu-vae.json"))
    parser.add_argument("--smoke", action="store_true", help="a tiny model for some seconds, on a CPU too")
    return parser.parse_args()


def main() -> None:
    """Train one recipe, score it and write the record."""
    asked = given()
    found = run(RECIPES["smoke" if asked.smoke else asked.recipe], asked)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    seconds = (
        f"{found['seconds_to_train']:.0f} s of training and {found['seconds_to_score']:.0f} s of scoring"
    )
    print(f"{found['text']} after {seconds} on {found['device']}; written to {asked.out}")


if __name__ == "__main__":
    main()
