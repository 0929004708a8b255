"""Bounds in nats of MNIST's test images, dynamically binarised: VAE, IWAE-5 and IWAE-50 after the same steps on a CPU.

A whole recipe through the public API. The three models see the same number of rows, in bfloat16; IWAE is trained with the
doubly reparameterised gradient. All are scored on the same bits: L_5000 of the first 1,000 test images, and the whole test
file with fewer draws. A run that is in `--out` already is scored and not trained again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleave import command, conditions, passive
from mnist import SPLIT, progress, source
from record import Record, dumps

if TYPE_CHECKING:
    from jensen.fitted import Fitted
    from jensen.quantity import Quantity, Scores

OBJECTIVES = {"VAE": "elbo", "IWAE-5": "dreg:k=5", "IWAE-50": "dreg:k=50"}
HYPER: dict[str, Any] = {"latents": 50, "hidden": (400, 400), "net": "mlp"}


def trained(name: str, asked: argparse.Namespace) -> Fitted:
    """The model of an objective, from its folder or trained into it."""
    import jensen

    folder = asked.out / name
    if (folder / "model.json").exists():
        return jensen.load(folder)
    rows = jensen.rows(source(asked.folder, "train"), binarise="dynamic", split=SPLIT, seed=asked.seed)
    plan = jensen.Plan(
        steps=None if asked.seconds else asked.steps,
        seconds=asked.seconds,
        batch=asked.batch,
        rate=asked.rate,
        average=0.999,
        precision=asked.precision,
        checks=10,
        patience=0,
    )
    begun = time.process_time()
    fitted = jensen.fit(
        "vae",
        rows,
        objective=OBJECTIVES[name],
        plan=plan,
        seed=asked.seed,
        device="cpu",
        watch=progress,
        **HYPER,
    )
    fitted.record["cpu_seconds"] = time.process_time() - begun
    fitted.save(folder)
    return fitted


def scored(fitted: Fitted, asked: argparse.Namespace) -> dict[str, Scores]:
    """Bounds of the first test images with many draws, and of all with fewer."""
    import numpy as np

    from jensen.data.idx import from_idx

    images = np.asarray(from_idx(source(asked.folder, "t10k"), 1 << 30).values[:])
    return {
        f"L_{asked.k}, first {asked.first:,}": fitted.score(
            images[: asked.first], k=asked.k, seed=asked.seed
        ),
        f"L_{asked.fewer}, all {len(images):,}": fitted.score(images, k=asked.fewer, seed=asked.seed),
    }


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, score all, compare in pairs."""
    from jensen.quantity import paired_difference

    models, scores, made = {}, {}, []
    for name in asked.only or OBJECTIVES:
        models[name] = trained(name, asked)
        if not asked.train:
            scores[name] = scored(models[name], asked)
            print(name, *(f"{k}: {v.mean()}" for k, v in scores[name].items()), file=sys.stderr, flush=True)
            made += [record(f"{name}, {title}", "alone", of.mean()) for title, of in scores[name].items()]
    for a, b in combinations(scores, 2):
        for title in scores[a]:
            gap = paired_difference(scores[b][title], scores[a][title])
            made.append(record(f"{b} less {a}, {title}", a, gap, goal=0.0))
    return {
        "records": made,
        "models": {
            name: {
                "cpu_seconds": fitted.record["cpu_seconds"],
                "rows_seen": fitted.record["run"]["steps"] * fitted.record["plan"]["batch"],
                "parameters": fitted.record["parameters"],
                **{title: written(of.mean()) for title, of in scores.get(name, {}).items()},
            }
            for name, fitted in models.items()
        },
        "differences": {
            f"{b} - {a}, {title}": written(paired_difference(scores[b][title], scores[a][title]))
            for a, b in combinations(scores, 2)
            for title in scores[a]
        },
    }


def record(name: str, peer: str, number: Quantity, goal: float | None = None) -> Record:
    """A mean log-likelihood of MNIST's test images, or a difference of two, with its interval over images."""
    low, high = number.interval or (None, None)
    return Record(f"MNIST, {name}", peer, number.value, low, high, "nats", goal, command())


def written(number: Quantity) -> str:
    """As it is printed everywhere: sign of its kind, value, unit, interval."""
    return str(number)


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("MNIST", "data/mnist"), type=Path)
    parser.add_argument("--out", type=Path, default=Path("vae-mnist"), help="the folder of the runs")
    parser.add_argument("--only", nargs="*", choices=OBJECTIVES, help="default: all three")
    parser.add_argument("--train", action="store_true", help="train and do not score")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--seconds", type=float, help="a budget of time in place of steps, each")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--precision", choices=("bf16", "float32"), default="bf16")
    parser.add_argument("--first", type=int, default=1000, help="test images that get the most draws")
    parser.add_argument("--k", type=int, default=5000)
    parser.add_argument("--fewer", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="as ever: JSON is all it prints")
    return parser.parse_args()


def main() -> None:
    """Print one JSON object."""
    passive()
    asked = given()
    import torch

    torch.set_num_threads(asked.threads)
    found = run(asked)
    print(dumps(found.pop("records"), conditions=conditions(asked.threads), **found))


if __name__ == "__main__":
    main()
