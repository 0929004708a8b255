"""The cost of jensen's training loop over bare hand-written torch loops: a 64-feature MLP, batches of 256 rows.

A slice trains a fresh copy of the model for some hundred steps, from building the optimiser to the last step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from interleave import Line, command, conditions, interleave, options, passive, report, speed
from record import Record

if TYPE_CHECKING:
    from torch import Tensor, nn

ROWS, FEATURES, BATCH, RATE = 25_600, 64, 256, 1e-3
OURS = "jensen's train()"
GOAL = 1 / 1.03
"""As a speed: at most 1.03 times the time of a bare loop."""


def as_people_write_it(model: Any, x: Tensor, steps: int) -> None:
    """Default Adam, a random index a batch, nothing else; the loss is never even read."""
    import torch

    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    done = 0
    while done < steps:
        order = torch.randperm(len(x))
        for i in range(0, len(x) - BATCH + 1, BATCH):
            optimizer.zero_grad()
            loss = -model.log_prob(x[order[i : i + BATCH]]).mean()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                return


def fastest(model: Any, x: Tensor, steps: int) -> None:
    """Fused AdamW, one shuffle an epoch and then slices, nothing else."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, fused=True)
    for _, batch in zip(range(steps), _slices(x)):
        (-model.log_prob(batch).mean()).backward()
        optimizer.step()
        optimizer.zero_grad()


def fastest_with_the_same(model: Any, x: Tensor, steps: int) -> None:
    """The fastest loop with what jensen does too: clipping, an average of the weights, a cosine, a sum of losses."""
    import torch

    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, fused=True)
    total = torch.zeros(())
    for step, batch in zip(range(steps), _slices(x)):
        loss = -model.log_prob(batch).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1e-3)
        total += loss.detach()


def _slices(x: Tensor) -> Iterator[Tensor]:
    import torch

    while True:
        shuffled = x[torch.randperm(len(x))]
        for i in range(0, len(x) - BATCH + 1, BATCH):
            yield shuffled[i : i + BATCH]


def jensens(x: Tensor) -> Callable[[Any, Tensor, int], None]:
    """jensen's own train() on a feed that was made once."""
    import torch

    from jensen.codec import Standardise
    from jensen.feed import Feed
    from jensen.objectives.likelihood import Likelihood
    from jensen.plan import Plan
    from jensen.space import Space
    from jensen.train import train

    codec = Standardise.fit(Space.real(FEATURES), x)
    feed = Feed(x.numpy(), codec, BATCH, 0, torch.device("cpu"), torch.float32)

    def run(model: Any, _: Tensor, steps: int) -> None:
        train(model, Likelihood(), feed, Plan(steps=steps, batch=BATCH, rate=RATE))

    return run


def mlp(hidden: int) -> nn.Module:
    """log p(x) of a Gaussian around the output of an MLP, up to a constant: a cost, not a density."""
    from torch import nn

    from jensen.model import Model
    from jensen.space import Space

    class MLP(Model):
        accepts = frozenset({"real"})

        def __init__(self, space: Space) -> None:
            super().__init__(space)
            sizes = [FEATURES, hidden, hidden, FEATURES]
            layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU(inplace=True))]
            self.net = nn.Sequential(*layers[:-1])

        def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            return (self.net(x) - x).square().sum(1) * -0.5

    return MLP(Space.real(FEATURES))


def measure(hidden: int, steps: int, rounds: int, seed: int) -> dict[str, list[Line]]:
    """One table against each bare loop."""
    import torch

    torch.manual_seed(seed)
    x = torch.randn(ROWS, FEATURES)
    start = mlp(hidden)
    loops: dict[str, Callable[[Any, Tensor, int], None]] = {
        OURS: jensens(x),
        "bare, as people write it": as_people_write_it,
        "bare, fastest": fastest,
        "bare, fastest, with clipping, average, cosine": fastest_with_the_same,
    }
    variants = {name: lambda loop=loop: loop(copy.deepcopy(start), x, steps) for name, loop in loops.items()}
    lines = interleave(
        variants, "bare, as people write it", rounds=rounds, units=steps, seed=seed, twice=[OURS]
    )
    return {f"MLP 64-{hidden}-{hidden}-64, batch {BATCH}, {rounds} rounds of {steps} steps": lines}


def records(tables: dict[str, list[Line]]) -> list[Record]:
    """jensen's over each bare loop."""
    return [
        speed(
            lines, OURS, peer.name, name=f"training loop, {title.split(',')[0]}", goal=GOAL, command=command()
        )
        for title, lines in tables.items()
        for peer in lines
        if peer.name.startswith("bare")
    ]


def main() -> None:
    """Print the table."""
    passive()
    given = options(__doc__ or "", rounds=30, steps=int, hidden=int)
    import torch

    torch.set_num_threads(given.threads)
    tables: dict[str, list[Line]] = {}
    for hidden in [given.hidden] if given.hidden else [128, 256, 512]:
        tables |= measure(hidden, given.steps or 300, given.rounds, given.seed)
    report(tables, conditions(given.threads), unit="step", as_json=given.json, records=records(tables))


if __name__ == "__main__":
    main()
