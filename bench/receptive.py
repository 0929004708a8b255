"""All pairs of an image's sites: jensen's proof by taint against changing one pixel at a time and looking.

The model is a PixelCNN of 15 blocks and 16 channels (a 7x7 kernel, then 3x3 ones) at 28x28, one thread. The taint answers
for every input and all weights on the same zeros; the changes answer for one random row, and only that a link exists.
A slice finds all 784 x 784 pairs once. The goal is 20 CPU seconds for the proof.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from interleave import Line, again, command, conditions, interleave, options, over, passive, report, speed
from record import Record, median_interval

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.models.pixelcnn import PixelCNN

SIDES = (8, 28)
OURS, PEER = "taint, a proof", "one pixel at a time"
GOAL = 20.0
"""CPU seconds for the proof at 28x28."""
Function = Callable[["Tensor"], "Tensor"]


def model(side: int) -> PixelCNN:
    """Everything is written out: a new default must change no benchmark."""
    from jensen.models.pixelcnn import PixelCNN
    from jensen.space import Space

    space = Space.binary((1, side, side))
    return PixelCNN(space, 16, layers=15, kernel=7, block_kernel=3, inputs="scaled", head="bernoulli").eval()


def by_taint(function: Function, side: int) -> Tensor:
    """Proven: bool (sites, sites)."""
    import torch

    from jensen.functional.receptive import dependence

    return dependence(function, (1, side, side), dtype=torch.int64).sites(side * side)


def by_changes(function: Function, side: int) -> Tensor:
    """Seen at one random row: bool (sites, sites)."""
    import torch

    from jensen.functional.jacobian import jacobian_lower_bound

    return jacobian_lower_bound(function, (1, side, side), inputs=1, dtype=torch.int64)


def measure(side: int, rounds: int, seed: int) -> list[Line]:
    """Both, interleaved, after a check that no change contradicts the proof and that there is no leak."""
    import torch

    torch.manual_seed(seed)
    net = model(side)

    def function(x: Tensor) -> Tensor:
        return net.conditionals(x).sum(-1)

    proven, seen = by_taint(function, side), by_changes(function, side)
    assert not bool(proven.triu().any()) and not bool((seen & ~proven).any())
    print(
        f"{side}x{side}: {int(proven.sum()):,} links proven possible, {int(seen.sum()):,} seen",
        file=sys.stderr,
    )
    return interleave(
        {
            OURS: lambda: by_taint(function, side),
            PEER: lambda: by_changes(function, side),
        },
        PEER,
        rounds=rounds,
        units=1,
        warmup=0,  # the check above was the warm-up
        seed=seed,
        twice=[OURS],
    )


def records(tables: dict[str, list[Line]]) -> list[Record]:
    """The proof over the search, and its CPU seconds at 28x28."""
    found = []
    for title, lines in tables.items():
        name = f"all pairs of sites, {title.rpartition(', ')[0]}"
        found.append(speed(lines, OURS, PEER, name=name, goal=None, command=command()))
        if "28x28" in title:
            line = {one.name: one for one in lines}
            middle, low, high = median_interval([ms / 1e3 for ms in line[OURS].cpu_rounds])
            control = over(line[again(OURS)], line[OURS])
            found.append(
                Record(
                    name,
                    "alone",
                    middle,
                    low,
                    high,
                    "CPU s",
                    GOAL,
                    command(),
                    True,
                    control,
                    len(line[OURS].cpu_rounds),
                )
            )
    return found


def main() -> None:
    """Print one table a size."""
    passive()
    given = options(__doc__ or "", rounds=7, side=int)
    import torch

    torch.set_num_threads(given.threads)
    sides = SIDES if given.side is None else (given.side,)
    tables = {
        f"PixelCNN 15x16 at {side}x{side}, {given.rounds} rounds": measure(side, given.rounds, given.seed)
        for side in sides
    }
    facts = conditions(given.threads)
    report(tables, facts, unit="map of all pairs", as_json=given.json, records=records(tables))


if __name__ == "__main__":
    main()
