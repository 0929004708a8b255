"""Exact nats of MNIST's test images, dynamically binarised, after some minutes on one GPU: one command, one JSON file.

The folder holds MNIST's own files (IDX, gzipped or not); nothing is downloaded. Training, validation and the score of
the 10,000 test images go through the public API. `--smoke` does all of it with a tiny model in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jensen.model import Model
    from jensen.train import Moment

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


def source(folder: Path, part: str) -> Path:
    """The images of a part, "train" or "t10k"."""
    found = sorted(folder.glob(f"{part}-images*"))
    if not found:
        sys.exit(f"no {part}-images... in {folder}: give the folder of MNIST's IDX files")
    return found[0]


def model_class(name: str, channels_last: bool) -> str | type[Model]:
    """The model by name, or a subclass whose convolutions keep the channels of a pixel side by side."""
    if not channels_last:
        return name
    import torch

    from jensen.models import model_class as known

    class ChannelsLast(known(name)):  # type: ignore[misc]
        """The same model in another memory layout."""

        def __init__(self, *arguments: Any, **hyper: Any) -> None:
            super().__init__(*arguments, **hyper)
            self.to(memory_format=torch.channels_last)

    return ChannelsLast


def run(recipe: Recipe, asked: argparse.Namespace) -> dict[str, Any]:
    """Train and score; the record of both."""
    import jensen

    plan = jensen.Plan(
        steps=recipe.steps,
        seconds=asked.seconds or recipe.seconds,
        batch=asked.batch or recipe.batch,
        rate=asked.rate or recipe.rate,
        decay=recipe.decay,
        precision=asked.precision,
        compile=asked.compile,
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
    run = fitted.record["run"]
    return {
        "recipe": asdict(recipe),
        "plan": asdict(plan),
        "channels_last": asked.channels_last,
        "seed": asked.seed,
        "nats": -nats.value,
        "interval": [-high, -low],
        "kind": str(nats.kind),
        "seconds_to_train": trained - began,
        "seconds_to_score": time.perf_counter() - trained,
        "steps": run["steps"],
        "rows_per_second": run["rows_per_second"],
        "parameters": fitted.record["parameters"],
        "history": [line for line in fitted.history if line["valid"] is not None],
        **hardware(fitted.record["device"]),
    }


def hardware(device: str) -> dict[str, Any]:
    """The device in its maker's words, and the versions."""
    import platform

    import torch

    gpu = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(device) if gpu else "CPU",
        "memory_gib": torch.cuda.max_memory_allocated() / 2**30 if gpu else None,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "date": time.strftime("%Y-%m-%d"),
    }


def progress(moment: Moment) -> None:
    """A line a validation."""
    if moment.valid is not None:
        speed = f"{moment.seconds:.0f} s, {moment.rows_per_second:,.0f} rows/s"
        print(f"step {moment.step}: {moment.valid}, {speed}", file=sys.stderr, flush=True)


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default="data/mnist", type=Path)
    parser.add_argument("--recipe", choices=RECIPES, default="transformer")
    parser.add_argument("--seconds", type=float, help="of training; default: the recipe's")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--precision", choices=("auto", "bf16", "float32"), default="auto")
    parser.add_argument("--compile", action="store_true", help="torch.compile, its time within --seconds")
    parser.add_argument("--channels-last", action="store_true", help="the memory layout of convolutions")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("gpu-mnist.json"))
    parser.add_argument("--smoke", action="store_true", help="a tiny model for some seconds, on a CPU too")
    return parser.parse_args()


def main() -> None:
    """Train one recipe, score it and write the record."""
    asked = given()
    found = run(RECIPES["smoke" if asked.smoke else asked.recipe], asked)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    low, high = found["interval"]
    print(
        f"{found['nats']:.2f} nats [{low:.2f}, {high:.2f}] after {found['seconds_to_train']:.0f} s on {found['device']}; "
        f"written to {asked.out}"
    )


if __name__ == "__main__":
    main()
