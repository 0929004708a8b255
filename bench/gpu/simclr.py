"""Accuracy of a linear probe on CIFAR-10's test images after some minutes of SimCLR on one GPU: one command, one JSON file.

The folder holds cifar10-jpeg: CIFAR-10's 50,000 training and 10,000 test images, JPEG-compressed, in one tar file or
unpacked. Nothing is downloaded. The encoder is a ResNet-18 in the form for CIFAR and sees no label; the training goes
through the public API, with the streamed NT-Xent and with views made on the device. Then the encoder is frozen, and
softmax regression on its features is held against the same on pixels, principal components and the untrained encoder.
`--smoke` does all of it with a tiny net on few images in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass
from typing import Any

from cifar import linear_probe, load
from recipe import account, command_line, model_class, plan_of, progress, write

COMPONENTS = 64


@dataclass(frozen=True)
class Recipe:
    """How the encoder is trained. `seconds` of training; `most`: images a class and part, all by default."""

    optimiser: str
    rate: float
    decay: float
    batch: int
    temperature: float
    warmup: float = 0.05
    seconds: float = 450
    width: int = 64
    steps: int | None = None
    most: int | None = None


RECIPES = {
    # momentum near 0.06 x batch / 128, as is usual for two hundred epochs of these images
    "sgd": Recipe("sgd", 0.24, 5e-4, 512, 0.2),
    # 0.075 x sqrt(batch), the rate of Chen et al. 2020 for smaller batches and fewer epochs
    "lars": Recipe("lars", 2.4, 1e-6, 1024, 0.2, warmup=0.1),
    "smoke": Recipe("sgd", 0.05, 5e-4, 32, 0.2, seconds=60, width=4, steps=12, most=30),
}


def run(recipe: Recipe, asked: argparse.Namespace) -> dict[str, Any]:
    """Train, freeze and probe; the record of all three."""
    import jensen

    began = time.perf_counter()
    parts = load(asked.folder, recipe.most)
    images, labels = parts["train"]
    valid = len(images) // 50
    rows = jensen.rows(images, split=(len(images) - valid - 1, valid, 1), seed=asked.seed)
    plan = plan_of(
        recipe,
        asked,
        optimiser=recipe.optimiser,
        decay=recipe.decay,
        warmup=recipe.warmup,
        average=0.999,
        checks=6,
        patience=0,
    )
    read = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jensen.JensenWarning)  # its notes are in the record
        fitted = jensen.fit(
            model_class("encoder", channels_last=not asked.channels_first),
            rows,
            objective=f"contrastive:temperature={recipe.temperature}",
            plan=plan,
            seed=asked.seed,
            device=asked.device,
            watch=progress,
            net="resnet18",
            width=recipe.width,
        )
    trained = time.perf_counter()
    accuracy, penalty = probed(
        fitted.embed(images), labels, fitted.embed(parts["test"][0]), parts["test"][1], fitted, asked
    )
    done = time.perf_counter()
    record = fitted.record
    seen = 2 * plan.batch * record["run"]["steps"]
    return {
        **account(recipe, plan, asked, fitted),
        "data": "CIFAR-10, JPEG-compressed",
        "images": {part: len(found) for part, (found, _) in parts.items()},
        "linear probe": accuracy.to_dict(),
        "penalty": penalty,
        "beside": {} if asked.alone else beside(fitted, parts, asked),
        "seconds_to_read": read - began,
        "seconds_to_train": trained - read,
        "seconds_to_probe": done - trained,
        "epochs": record["run"]["steps"] * plan.batch / len(rows.train),
        **speed(fitted, seen / record["run"]["seconds"]),
        "health": record["health"],
        "notes": record["notes"],
    }


def probed(
    train: Any, labels: Any, test: Any, truth: Any, fitted: Any, asked: argparse.Namespace
) -> tuple[Any, float]:
    """The share of test images that a linear probe of frozen features gets right, and its penalty."""
    from jensen.functional.intervals import share_interval
    from jensen.quantity import Quantity

    given, penalty = linear_probe((train, labels), test, asked.seed, fitted.record["device"])
    right, n = int((given == truth).sum()), len(truth)
    return Quantity(
        right / n, interval=share_interval(right, n), how={"n": n, "interval": "Wilson over images"}
    ), penalty


def beside(fitted: Any, parts: dict[str, tuple[Any, Any]], asked: argparse.Namespace) -> dict[str, Any]:
    """The same probe on pixels, their principal components and the untrained encoder."""
    import torch

    from jensen.probing.features import untrained

    (images, labels), (tests, truth) = parts["train"], parts["test"]
    device = fitted.record["device"]
    flat, held = (torch.from_numpy(x).to(device).flatten(1).float() / 255 for x in (images, tests))
    centred = flat - flat.mean(0)
    directions = torch.linalg.eigh(centred.T @ centred)[1][:, -COMPONENTS:]
    blank = untrained(fitted, images, asked.seed)
    pairs = {
        "pixels": (flat, held),
        f"{COMPONENTS} principal components": (centred @ directions, (held - flat.mean(0)) @ directions),
        "untrained encoder": (blank.embed(images), blank.embed(tests)),
    }
    return {name: probed(x, labels, y, truth, fitted, asked)[0].to_dict() for name, (x, y) in pairs.items()}


def speed(fitted: Any, images_per_second: float) -> dict[str, Any]:
    """Images a second, two views of a row counted as two, and what that is of the device's measured bf16 peak.

    A step is taken for three forward passes of the encoder; views, head and loss come on top and are not counted.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    device = fitted.record["device"]
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        fitted.model.embed(torch.zeros(1, *fitted.model.space.shape, dtype=torch.int64, device=device))
    flops, peak = 3 * counter.get_total_flops(), matrix_peak(device)
    return {
        "images_per_second": images_per_second,
        "flops_per_image": flops,
        "bf16_matrix_peak": peak,
        "share_of_peak": images_per_second * flops / peak,
    }


def matrix_peak(device: str) -> float:
    """Floating-point operations a second of the best of some large products in bfloat16."""
    import torch

    gpu = device.startswith("cuda")
    n = 8192 if gpu else 512
    a, b = torch.randn(2, n, n, device=device).bfloat16()
    best = 0.0
    for _ in range(10):
        if gpu:
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        for _ in range(5):
            torch.mm(a, b)
        if gpu:
            torch.cuda.synchronize(device)
        best = max(best, 5 * 2 * n**3 / (time.perf_counter() - began))
    return best


def given() -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__, RECIPES, "sgd", "data/cifar10-jpeg", "gpu-simclr.json")
    parser.add_argument(
        "--channels-first", action="store_true", help="the other memory layout of convolutions"
    )
    parser.add_argument("--alone", action="store_true", help="leave out what the probe is held against")
    return parser.parse_args()


def main() -> None:
    """Train one recipe, probe it and write the record."""
    asked = given()
    found = run(RECIPES["smoke" if asked.smoke else asked.recipe], asked)
    write(found, asked.out)
    accuracy = found["linear probe"]
    low, high = accuracy["interval"]
    print(
        f"linear probe {accuracy['value']:.4f} [{low:.4f}, {high:.4f}] on {found['images']['test']:,} test images after "
        f"{found['seconds_to_train']:.0f} s ({found['epochs']:.0f} epochs, {found['images_per_second']:,.0f} images/s, "
        f"{found['share_of_peak']:.0%} of the bf16 peak) on {found['device']}; JPEG-compressed; written to {asked.out}"
    )


if __name__ == "__main__":
    main()
