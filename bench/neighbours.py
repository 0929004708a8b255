"""Precision, recall, density and coverage: jensen's against prdc's, each call in a fresh process, sides in turn.

10,000 rows a side of 512 features, 5 neighbours. CPU seconds are of the call, memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from interleave import again, command, conditions, passive
from record import TIMES, Record, dumps, left_out, median_interval

ROWS, FEATURES, K = 10_000, 512, 5
OURS, PEER = "jensen", "prdc"
GOAL, MEMORY_GOAL, SAME_VALUES = 2.0, 1 / 3, 1e-6


def call(side: str) -> dict[str, Any]:
    """One side in this process, so that its peak is its own."""
    import numpy as np

    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, ROWS, FEATURES))
    fake *= 1.02
    if side == PEER:
        from prdc import compute_prdc

        began = time.process_time()
        found = compute_prdc(real, fake, K)
        values = [float(found[name]) for name in ("precision", "recall", "density", "coverage")]
    else:
        from jensen.metrics.coverage import prdc

        began = time.process_time()
        values = [one.value for one in prdc(real, fake, k=K)]
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"cpu": cpu, "peak_mb": peak, "values": values}


def measured(side: str) -> dict[str, Any]:
    """The same, from outside."""
    words = [sys.executable, "-W", "ignore", __file__, "--child", side]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(rounds: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Rounds of both sides, and of jensen's a second time, in a new order every round."""
    order = random.Random(seed)
    runs: dict[str, list[dict[str, Any]]] = {OURS: [], PEER: [], again(OURS): []}
    for _ in range(rounds):
        for name in order.sample(list(runs), len(runs)):
            runs[name].append(measured(PEER if name == PEER else OURS))
    return runs


def records(runs: dict[str, list[dict[str, Any]]]) -> list[Record]:
    """Speed, memory, and how far apart the four values are."""

    def paired(a: str, b: str, key: str = "cpu") -> tuple[float, float, float]:
        return median_interval([x[key] / y[key] for x, y in zip(runs[a], runs[b], strict=True)])

    apart = max(abs(x - y) for x, y in zip(runs[OURS][0]["values"], runs[PEER][0]["values"], strict=True))
    what, how = "precision, recall, density, coverage", command()
    control, rounds = paired(again(OURS), OURS), len(runs[OURS])
    return [
        Record(what, PEER, *paired(PEER, OURS), TIMES, GOAL, how, control=control, rounds=rounds),
        Record(
            f"{what}: peak", PEER, *paired(OURS, PEER, "peak_mb"), "of its memory", MEMORY_GOAL, how, True
        ),
        Record(f"{what}: difference", PEER, apart, None, None, "", SAME_VALUES, how, True),
    ]


def main() -> None:
    """Print a line a record, or JSON."""
    passive()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=(OURS, PEER), help=argparse.SUPPRESS)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    if given.child:
        print(json.dumps(call(given.child)))
        return
    try:
        import prdc  # noqa: F401
    except ImportError:
        left_out(PEER)
        print(dumps([], conditions=conditions(given.threads)) if given.json else "nothing to compare with")
        return
    runs = measure(given.rounds, given.seed)
    made = records(runs)
    if given.json:
        print(dumps(made, conditions=conditions(given.threads), runs=runs))
        return
    cpu = {side: statistics.median(one["cpu"] for one in of) for side, of in runs.items()}
    print(", ".join(f"{side} {seconds:.2f} CPU s" for side, seconds in cpu.items()))
    for one in made:
        print(f"{one.name}, over {one.peer}: {one.ratio:.3g} {one.unit}, goal {one.goal}: {one.verdict()}")


if __name__ == "__main__":
    main()
