"""Small trainings of every objective, run as a program by each of several processes, or imported by a test.

    python training_cases.py FOLDER DEVICES STRATEGY NAME...

The first process leaves the weights and the losses of each training in FOLDER/NAME.safetensors.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jensen
from jensen.plan import Plan
from jensen.sources import DensitySource, RowsSource, build
from jensen.space import Column, Space

STEPS, BATCH, ROWS = 24, 16, 90

TABLE = Space((4,), tuple(Column("real") for _ in range(4)))
BITS = Space.binary((1, 4, 4))
GREY = Space.levels((1, 8, 8), 17)


def _table() -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(ROWS, 2)) @ generator.normal(size=(2, 4)) + generator.normal(size=(ROWS, 4))


def _bits() -> np.ndarray[Any, Any]:
    return (np.random.default_rng(1).random((ROWS, 1, 4, 4)) < 0.3).astype(np.uint8)


def _grey() -> np.ndarray[Any, Any]:
    return np.random.default_rng(2).integers(0, 17, (ROWS, 1, 8, 8)).astype(np.uint8)


def _case(
    model: str,
    objective: Any,
    rows: Callable[[], Any],
    space: Space | None,
    hyper: dict[str, Any],
    **plan: Any,
) -> dict[str, Any]:
    return {
        "model": model,
        "objective": objective,
        "rows": rows,
        "space": space,
        "hyper": hyper,
        "plan": plan,
    }


MADE, VAE, DENSE = {"hidden": (12,)}, {"latents": 2, "hidden": (12,)}, {"width": 16, "depth": 1}

CASES: dict[str, dict[str, Any]] = {
    "likelihood, dropout": _case("made", "likelihood", _bits, BITS, MADE),
    "likelihood, in pieces": _case("made", "likelihood", _bits, BITS, MADE, accumulate=2),
    "likelihood, dropped channels": _case(
        "pixelcnn", "likelihood", _bits, BITS, {"channels": 8, "layers": 1, "kernel": 3}
    ),
    "likelihood, attention": _case(
        "transformer", "likelihood", _bits, BITS, {"width": 8, "layers": 1, "heads": 2}
    ),
    "likelihood, actnorm": _case("glow", "bound", _grey, GREY, {"transforms": 1, "width": 6}),
    "likelihood, dequantised": _case("realnvp", "likelihood", _grey, GREY, {"transforms": 2, "hidden": (8,)}),
    "elbo": _case("vae", "elbo", _bits, BITS, VAE),
    "elbo, free bits": _case("vae", "elbo:free_bits=0.2,beta=0.5", _bits, BITS, VAE),
    "bound": _case("vae", "bound:k=3", _bits, BITS, VAE),
    "stl": _case("vae", "stl", _bits, BITS, VAE),
    "iwae": _case("vae", "iwae:k=3", _bits, BITS, VAE),
    "dreg": _case("vae", "dreg:k=3", _bits, BITS, VAE),
    "miwae": _case("vae", "miwae:m=2,k=2", _bits, BITS, VAE),
    "ciwae": _case("vae", "ciwae:k=3", _bits, BITS, VAE),
    "renyi": _case("vae", "renyi:k=3", _bits, BITS, VAE),
    "adversarial": _case("gan", "adversarial", _table, None, DENSE),
    "adversarial, wgan-gp": _case("gan", "adversarial:cost=wgan-gp,dropout=0.2", _table, None, DENSE),
    "adversarial, images": _case(
        "gan", "adversarial:augment=true,norm=batch", _grey, GREY, {"channels": 4, "net": "conv"}
    ),
    "contrastive": _case("encoder", "contrastive", _table, None, {"width": 12}),
    "contrastive, images": _case("encoder", "contrastive", _grey, GREY, {"width": 4}),
    "reverse-kl, path": _case("realnvp", "reverse-kl", None, None, {"transforms": 2, "hidden": (8,)}),  # type: ignore[arg-type]
    "reverse-kl, total": _case(
        "realnvp",
        "reverse-kl:gradient=total",
        None,
        None,
        {"transforms": 2, "hidden": (8,)},  # type: ignore[arg-type]
    ),
    "reverse-kl, alpha": _case(
        "realnvp",
        "reverse-kl:alpha=1",
        None,
        None,
        {"transforms": 2, "hidden": (8,)},  # type: ignore[arg-type]
    ),
}
"""One training a row: what is drawn or counted across the rows of a batch is in one of them."""


def trained(
    name: str, devices: int | None = None, strategy: str = "ddp", **plan: Any
) -> dict[str, torch.Tensor]:
    """The weights, in float64, and the losses of a training."""
    case = CASES[name]
    settings = {"steps": STEPS, "batch": BATCH, "checks": 2, "clip": 1e9, **case["plan"], **plan}
    source: Any
    if case["rows"] is None:
        density = jensen.pose("banana", seed=0)
        source, what = DensitySource(density), {"target": density}
    else:
        rows = jensen.rows(case["rows"](), space=case["space"])
        source, what = RowsSource(rows), {"rows": rows}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(case["model"], source, case["hyper"]).double()
    fitted = jensen.fit(
        model,
        objective=case["objective"],
        devices=devices,
        strategy=strategy,
        device="cpu",
        plan=Plan(**settings),
        **what,
    )
    found = dict(fitted.model.state_dict())
    found["loss"] = torch.tensor([row["loss"] for row in fitted.history], dtype=torch.float64)
    return found


def main() -> None:
    from safetensors.torch import save_file

    folder, devices, strategy, *names = sys.argv[1:]
    for name in names:
        found = trained(name, int(devices), strategy)
        if os.environ["RANK"] == "0":
            save_file({k: v.contiguous() for k, v in found.items()}, Path(folder) / f"{name}.safetensors")


if __name__ == "__main__":
    main()
    os._exit(0)  # torch's threads may abort a process that takes them apart
