"""NT-Xent by tiles against full matrices: time, memory, digits; what views cost; and a recipe on MNIST.

    python bench/simclr.py [--parts time,memory,digits,views,mnist] [--mnist FOLDER] [--steps 1500]

Peers are their formulas, copied: lightly 1.6.0 (four blocks, the diagonal masked out, cross_entropy) and solo-learn
(exponentials without a shift). `full` is the best full matrix we could write with autograd. The recipe trains an encoder on
5,000 training images without labels, then probes it on the 10,000 test images; FOLDER holds MNIST's four IDX files.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interleave import again, command, conditions, interleave, options, over, passive, report, speed
from record import Record

WIDTH = 128
PARTS = ("time", "memory", "digits", "views", "mnist")
GOALS = {(4096, "full"): 1 / 1.2, (1024, "lightly"): 3.0, (1024, "solo-learn"): 3.0}
"""Times as fast, by pairs and peer."""
VIEWS_GOAL = 0.15
"""Of the CPU time of a step, at most."""


def pair(n: int, spread: float | None = None) -> Any:
    """Two views (n, 128) that get a gradient; `spread` apart, or independent."""
    import torch

    generator = torch.Generator().manual_seed(0)
    rows, a, b = torch.randn(3, n, WIDTH, generator=generator)
    if spread is not None:
        a, b = rows + spread * a, rows + spread * b
    return a.requires_grad_(), b.requires_grad_()


def lightly(a: Any, b: Any, temperature: float) -> Any:
    """The formula of lightly.loss.NTXentLoss, without memory bank."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    a, b = normalize(a, dim=1), normalize(b, dim=1)
    n = len(a)
    other = ~torch.eye(n, dtype=torch.bool)
    similar = [torch.einsum("nc,mc->nm", x, y) / temperature for x, y in ((a, a), (a, b), (b, a), (b, b))]
    own_a, own_b = similar[0][other].view(n, -1), similar[3][other].view(n, -1)
    logits = torch.cat([torch.cat([similar[1], own_a], 1), torch.cat([similar[2], own_b], 1)])
    return cross_entropy(logits, torch.arange(n).repeat(2))


def solo_learn(a: Any, b: Any, temperature: float) -> Any:
    """The formula of solo.losses.simclr.simclr_loss_func, each row its own class."""
    import torch
    from torch.nn.functional import normalize

    z = normalize(torch.cat([a, b]), dim=-1)
    similar = torch.exp(torch.einsum("if,jf->ij", z, z) / temperature)
    index = torch.arange(len(a)).repeat(2).unsqueeze(0)
    positive = index.t() == index
    positive.fill_diagonal_(False)
    negative = index.t() != index
    above = torch.sum(similar * positive, 1)
    below = torch.sum(similar * negative, 1)
    return -torch.mean(torch.log(above / (above + below)))


def full(a: Any, b: Any, temperature: float) -> Any:
    """The whole matrix with as few copies as autograd allows."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    z = normalize(torch.cat([a, b]), dim=1)
    logits = ((z / temperature) @ z.T).fill_diagonal_(-math.inf)
    return cross_entropy(logits, torch.arange(len(z)).roll(len(a)))


def ours(a: Any, b: Any, temperature: float) -> Any:
    """jensen's."""
    from jensen.functional.contrastive import nt_xent

    return nt_xent(a, b, temperature)


LOSSES: dict[str, Callable[[Any, Any, float], Any]] = {
    "jensen": ours,
    "full": full,
    "lightly": lightly,
    "solo-learn": solo_learn,
}


def timing(rounds: int, seed: int) -> dict[str, Any]:
    """Forward and backward at T = 0.5, interleaved."""
    tables = {}
    for n, share in ((256, 1.0), (1024, 1.0), (4096, 0.2)):
        a, b = pair(n)

        def step(loss: Callable[..., Any], a: Any = a, b: Any = b) -> None:
            loss(a, b, 0.5).backward()
            a.grad = b.grad = None

        variants = {name: (lambda loss=loss: step(loss)) for name, loss in LOSSES.items()}
        tables[f"n = {n} pairs"] = interleave(
            variants, "jensen", rounds=max(round(rounds * share), 7), units=1, seed=seed, twice=["jensen"]
        )
    return tables


def memory() -> None:
    """Peak extra resident memory of one forward and backward, each in a fresh process."""
    print("\nPeak extra memory, MB\n\n| variant | n = 1024 | n = 4096 | n = 16384 |\n|---|---:|---:|---:|")
    for name in LOSSES:
        sizes = (1024, 4096, 16384) if name == "jensen" else (1024, 4096)
        found = [f"{_peak(name, n):.0f}" for n in sizes]
        print(f"| {name} | {' | '.join([*found, *['not run'] * (3 - len(found))])} |", flush=True)


def _peak(name: str, n: int) -> float:
    command = [sys.executable, __file__, "--peak", f"{name},{n}"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(name: str, n: int) -> None:
    """Print the peak above what a small step has left, in MB (10^6 bytes)."""
    LOSSES[name](*pair(32), 0.5).backward()
    a, b = pair(n)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident
    before = _resident()
    LOSSES[name](a, b, 0.5).backward()
    print(_resident() - before)


def _resident() -> float:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def digits() -> None:
    """Relative errors in float32 against float64 with the partner apart, well-aligned views, n = 1024."""
    import torch

    print("\n| T | loss | jensen: loss, gradient | full: loss, gradient |\n|---|---|---|---|")
    for temperature in (0.5, 0.1, 0.05, 0.03, 0.01):
        a, b = pair(1024, 0.1)
        exact = _exact(a.double(), b.double(), temperature)
        truth = torch.cat(torch.autograd.grad(exact, (a, b))).double()
        cells = []
        for loss in (ours, full):
            value = loss(a, b, temperature)
            gradient = torch.cat(torch.autograd.grad(value, (a, b))).double()
            off = abs(value.item() / exact.item() - 1), float((gradient - truth).norm() / truth.norm())
            cells.append(f"{off[0]:.0e}, {off[1]:.0e}")
        print(f"| {temperature} | {exact.item():.2g} | {' | '.join(cells)} |")


def _exact(a: Any, b: Any, temperature: float) -> Any:
    import torch
    from torch.nn.functional import normalize, softplus

    z = normalize(torch.cat([a, b]), dim=1)
    similar = z @ z.T / temperature
    rows = torch.arange(len(z))
    partner = rows.roll(len(a))
    absent = torch.zeros_like(similar, dtype=torch.bool)
    absent[rows, rows] = absent[rows, partner] = True
    others = similar.masked_fill(absent, -math.inf).logsumexp(1)
    return softplus(others - similar[rows, partner], threshold=50).mean()


def views(rounds: int, seed: int) -> dict[str, Any]:
    """The two views of a batch of 256 beside the whole step of the small net: the cheapest step there is."""
    import torch

    from jensen.models.encoder import Encoder
    from jensen.objectives.contrastive import Contrastive
    from jensen.plan import Plan
    from jensen.player import Player
    from jensen.space import Space

    tables = {}
    for shape in ((1, 28, 28), (3, 32, 32)):
        space = Space.levels(shape, 256)
        model = Encoder(space)
        turn = Contrastive().turns(model)[0]
        player = Player(turn, Plan(steps=1))
        x = torch.randint(256, (256, *shape))

        def both(turn: Any = turn, x: Any = x) -> None:
            with torch.no_grad():
                turn.views(x), turn.views(x)

        tables["views of 256 x " + "x".join(map(str, shape))] = interleave(
            {"step": lambda player=player, x=x: player.play(x, None, 1e-3), "two views": both},
            "step",
            rounds=rounds,
            units=1,
            seed=seed,
            twice=["step"],
        )
    return tables


def records(tables: dict[str, Any]) -> list[Record]:
    """The loss over each formula, and the share of a step that its views take."""
    made = []
    for title, lines in tables.items():
        line = {one.name: one for one in lines}
        if "two views" in line:
            control = over(line[again("step")], line["step"])
            cost, rounds = over(line["two views"], line["step"]), len(line["step"].cpu_rounds)
            made.append(
                Record(title, "a whole step", *cost, "of it", VIEWS_GOAL, command(), True, control, rounds)
            )
            continue
        n = int(title.split()[2])
        made += [
            speed(
                lines,
                "jensen",
                peer,
                name=f"NT-Xent, {n} pairs",
                goal=GOALS.get((n, peer)),
                command=command(),
            )
            for peer in LOSSES
            if peer != "jensen"
        ]
    return made


def mnist(folder: Path, steps: int, seed: int) -> None:
    """Train on 5,000 images, a CPU second in 20 steps on one thread, then probe on the 10,000 test images."""
    import jensen

    rows = _mnist_rows(folder, seed)
    plan = jensen.Plan(steps=steps, batch=128, rate=2e-3, warmup=0.05, patience=0, checks=4)
    began, wall = time.process_time(), time.perf_counter()
    fitted = jensen.fit(
        "encoder",
        jensen.data.Rows(rows.name, rows.space, rows.train, rows.valid, rows.test, seed, rows.hash),
        objective="contrastive:temperature=0.2",
        plan=plan,
        seed=seed,
    )
    spent, waited = time.process_time() - began, time.perf_counter() - wall
    print(
        f"\nMNIST: {plan.steps} steps of {plan.batch}, {spent:.0f} CPU seconds, {waited:.0f} on the clock, seed {seed}"
    )
    print(", ".join(f"{name} {one['value']:.3f}" for name, one in fitted.record["health"].items()))
    print("\n" + jensen.probe(fitted, rows, seed=seed).table(), flush=True)


def _mnist_rows(folder: Path, seed: int) -> Any:
    """5,000 training images, 250 of them for validation, and all test images, with their labels."""
    import numpy as np

    import jensen
    from jensen.data.context import ContextRows

    train, test = (
        jensen.rows(_file(folder, f"{part}-images"), context=_file(folder, f"{part}-labels"), split=split)
        for part, split in (("train", (59_000, 500, 500)), ("t10k", (9_998, 1, 1)))
    )
    chosen = np.sort(np.random.default_rng(seed).choice(59_000, 5_000, replace=False))
    held = np.random.default_rng(seed + 1).permutation(5_000) < 250
    images, labels = np.asarray(train.train[chosen]), train.context.train[chosen]
    tests = np.concatenate([np.asarray(part[:]) for part in (test.train, test.valid, test.test)])
    truth = np.concatenate([test.context.train, test.context.valid, test.context.test])
    context = ContextRows(train.context.space, labels[~held], labels[held], truth, train.context.hash)
    return jensen.data.Rows(
        "MNIST, 5,000 training images",
        train.space,
        images[~held],
        images[held],
        tests,
        seed,
        train.hash,
        (),
        context,
    )


def _file(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"{name}*"))
    if not found:
        sys.exit(f"no {name}... in {folder}: give the folder of MNIST's IDX files")
    return found[0]


def main() -> None:
    """The parts that were asked for."""
    passive()
    given = options(__doc__ or "", 15, parts=str, mnist=Path, steps=int, peak=str)
    import torch

    torch.set_num_threads(given.threads)
    if given.peak:
        name, _, n = given.peak.partition(",")
        peak(name, int(n))
        return
    parts = given.parts.split(",") if given.parts else [p for p in PARTS if p != "mnist" or given.mnist]
    tables: dict[str, Any] = {}
    if "time" in parts:
        tables |= timing(given.rounds, given.seed)
    if "views" in parts:
        tables |= views(given.rounds, given.seed)
    facts = conditions(given.threads)
    report(tables, facts, unit="step", as_json=given.json, records=records(tables))
    if given.json:
        return  # the other parts print tables of their own
    if "memory" in parts:
        memory()
    if "digits" in parts:
        digits()
    if "mnist" in parts:
        mnist(given.mnist or Path("mnist"), given.steps or 1500, given.seed)


if __name__ == "__main__":
    main()
