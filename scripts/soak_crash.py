"""Kill a fit at random moments, resume it, and compare what it ends with to the uninterrupted run.

    python scripts/soak_crash.py [--moments 100] [--seed 0] [--models made,realnvp,gan,cliff]

A moment is uniform over the whole fit, its final save included: over its CPU time, which other work on the machine does
not stretch, or, every second time, over its wall time, which includes waiting for the disk. Checkpoints are written at
every look, so that many moments fall into a save. One resume in three is killed as well. What must hold: the same weights bit for bit, the same
history but for the seconds, no temporary file left. One of the models goes back to earlier weights on the way, so that
moments fall before, into and after a rollback. Exit 1 where it does not hold. CPU only, one thread.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jensen
from jensen.lock import LOCK
from jensen.plan import Plan


class Cliff(jensen.Model):
    """N(m, 1), but no number once a coordinate of m is below -`edge`: where a large rate overshoots, and half of it does not."""

    accepts = frozenset({"real"})

    def __init__(self, space: jensen.Space, edge: float = 0.7) -> None:
        super().__init__(space)
        self.m, self.edge = torch.nn.Parameter(torch.full(space.shape, 12.0)), edge

    def log_prob(self, x: torch.Tensor, c: torch.Tensor | None = None) -> torch.Tensor:
        """nan where a coordinate of m is below the edge."""
        out = -0.5 * ((x - self.m).square() + math.log(2 * math.pi)).sum(1)
        return out * (math.nan if bool((self.m < -self.edge).any()) else 1.0)


PLAN = Plan(steps=240, patience=0, save_every=1e-9, batch=64)
HYPER: dict[str, dict[str, Any]] = {
    "made": {"hidden": [32], "dropout": 0.2},
    "realnvp": {"transforms": 2, "hidden": [16], "actnorm": True},
    "gan": {"width": 16, "depth": 1},
    "cliff": {},
}
STEEP = PLAN.replaced(rate=0.5, warmup=0.0)


def rows_for(name: str) -> Any:
    """Digits for models of levels; for the others reals, whose codec is fitted."""
    if name == "made":
        return jensen.rows("digits")
    return jensen.rows(np.random.default_rng(0).normal(2.0, 3.0, (400, 3)))


def fit(name: str, rows: Any, folder: Path, resume: bool) -> None:
    model, plan = (Cliff, STEEP) if name == "cliff" else (name, PLAN)
    jensen.fit(model, rows, plan=plan, seed=1, out=folder, resume=resume, device="cpu", **HYPER[name])


@dataclass
class Length:
    """Seconds of a fit that nobody kills: of CPU time, and of wall time the shortest seen, since other work adds to it."""

    cpu: float = math.inf
    wall: float = math.inf

    def moment(self, chance: random.Random) -> tuple[int, float]:
        """A timer, and when it ends the fit."""
        kind, length = chance.choice([(signal.ITIMER_PROF, self.cpu), (signal.ITIMER_REAL, self.wall)])
        return kind, max(chance.uniform(0, length), 1e-3)


def in_child(work: Callable[[], None], length: Length, kill: tuple[int, float] | None = None) -> None:
    """Do work in a fork of this process, which the kernel ends at the moment `kill`; a fit that is not ended tells its length.

    Raises RuntimeError when it fails of itself.
    """
    sys.stdout.flush()
    begun = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            if kill is not None:  # nobody handles the signals of timers: they end a process as SIGKILL does
                signal.setitimer(*kill)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status, used = os.wait4(child, 0)
    if os.WIFEXITED(status):
        if os.WEXITSTATUS(status) != 0:
            raise RuntimeError("the fit failed of itself; see above")
        length.wall = min(length.wall, time.perf_counter() - begun)
        length.cpu = min(length.cpu, used.ru_utime + used.ru_stime)


def state(folder: Path) -> str:
    """How far a killed fit came, by what it left."""
    names = {one.name for one in folder.iterdir()} if folder.exists() else set()
    if ".promise.json" in names:
        return "between two renames of the last save"
    if "checkpoint.safetensors" in names:
        return "in a save, after a checkpoint" if any(".part" in one for one in names) else "in training"
    if "model.json" in names:
        return "after the end"
    return "in the first save" if any(".part" in one for one in names) else "before the first checkpoint"


def ended(name: str, folder: Path) -> tuple[bytes, list[list[str]], list[str]]:
    """What a finished fit is judged by: weights, history without seconds, and the names in its folder."""
    with open(folder / "history.csv", newline="") as file:
        history = [[v for k, v in line.items() if k != "seconds"] for line in csv.DictReader(file)]
    jensen.load(folder, model=Cliff if name == "cliff" else None)
    # a kill after the end may leave the file of the lock, which says nothing by its presence
    names = sorted(one.name for one in folder.iterdir() if one.name != LOCK)
    return (folder / "model.safetensors").read_bytes(), history, names


def survive(name: str, rows: Any, folder: Path, length: Length, chance: random.Random) -> list[str]:
    """Fit, kill, resume until it is done; returns where the kills fell."""
    fell = []
    resume = False
    for attempt in range(20):
        kill = attempt == 0 or chance.random() < 1 / 3
        in_child(
            lambda again=resume: fit(name, rows, folder, again),  # type: ignore[misc]
            Length() if resume else length,
            length.moment(chance) if kill else None,
        )
        if kill:
            fell.append(state(folder))
        if not kill or fell[-1] == "after the end":
            return fell
        resume = (folder / "checkpoint.safetensors").exists()
    return fell


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", default=",".join(HYPER))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    chance, names = random.Random(asked.seed), asked.models.split(",")
    begun, fell, wrong, kills = time.perf_counter(), Counter[str](), [], 0
    with tempfile.TemporaryDirectory() as place:
        rows = {name: rows_for(name) for name in names}
        # what a fit imports is imported here, so that moments fall into fits and not into that
        for name in names:
            fit(name, rows[name], Path(place, f"first-{name}"), False)
        lengths = {name: Length() for name in names}
        for name in names:
            in_child(lambda n=name: fit(n, rows[n], Path(place, n), False), lengths[name])  # type: ignore[misc]
        for moment in range(asked.moments):
            name = names[moment % len(names)]
            folder = Path(place, f"run-{moment}")
            where = survive(name, rows[name], folder, lengths[name], chance)
            fell.update(where)
            kills += len(where)
            pairs = zip(
                ("weights", "history", "names"),
                ended(name, folder),
                ended(name, Path(place, name)),
                strict=True,
            )
            other = [what for what, one, two in pairs if one != two]
            if other:
                wrong.append(f"{', '.join(other)} of {name}, moment {moment}: killed {where}")
            shutil.rmtree(folder)
    print(f"killed {kills} times in {asked.moments} fits of {', '.join(names)}, {PLAN.steps} steps each:")
    for what, count in fell.most_common():
        print(f"  {count:4d} {what}")
    for line in wrong:
        print(f"  NOT THE SAME: {line}")
    cpu = os.times()
    print(
        f"{asked.moments - len(wrong)} of {asked.moments} ended bit for bit like the uninterrupted fit, "
        f"in {time.perf_counter() - begun:.0f} s, {sum(cpu[:4]):.0f} s of them CPU"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
