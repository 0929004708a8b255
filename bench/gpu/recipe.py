"""What every recipe has: a command line, a plan, a line a validation, and a record of the run and its machine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jensen.fitted import Fitted
    from jensen.model import Model
    from jensen.plan import Plan
    from jensen.train import Moment


def command_line(
    doc: str | None, recipes: Collection[str], usual: str, folder: str, out: str
) -> argparse.ArgumentParser:
    """The options of a recipe; a leaf adds its own. `doc`: its first line says what this is."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument(
        "folder", nargs="?", default=folder, type=Path, help="of the data, where the recipe has any"
    )
    parser.add_argument("--recipe", choices=recipes, default=usual)
    parser.add_argument("--seconds", type=float, help="of training; default: the recipe's")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--precision", choices=("auto", "bf16", "float32"), default="auto")
    parser.add_argument("--compile", action="store_true", help="torch.compile, its time within --seconds")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--smoke", action="store_true", help="a tiny model for some seconds, on a CPU too")
    return parser


def plan_of(recipe: Any, asked: argparse.Namespace, **settings: Any) -> Plan:
    """The recipe's plan, with what the command line says in place of its own."""
    import jensen

    return jensen.Plan(
        steps=recipe.steps,
        seconds=asked.seconds or recipe.seconds,
        batch=asked.batch or recipe.batch,
        rate=asked.rate or recipe.rate,
        precision=asked.precision,
        compile=asked.compile,
        **settings,
    )


def account(recipe: Any, plan: Plan, asked: argparse.Namespace, fitted: Fitted) -> dict[str, Any]:
    """What was done and on what: settings, steps, validations, device and versions."""
    run = fitted.record["run"]
    return {
        "recipe": asdict(recipe),
        "plan": asdict(plan),
        "seed": asked.seed,
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


def write(found: dict[str, Any], out: Path) -> None:
    """The record as a JSON file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def source(folder: Path, part: str, what: str = "images") -> Path:
    """MNIST's own file of a part, "train" or "t10k"."""
    found = sorted(folder.glob(f"{part}-{what}*"))
    if not found:
        sys.exit(f"no {part}-{what}... in {folder}: give the folder of MNIST's IDX files")
    return found[0]


def progress(moment: Moment) -> None:
    """A line a validation."""
    if moment.valid is not None:
        speed = f"{moment.seconds:.0f} s, {moment.rows_per_second:,.0f} rows/s"
        print(f"step {moment.step}: {moment.valid}, {speed}", file=sys.stderr, flush=True)


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
