"""Flows: jensen's against zuko, nflows, normflows and flowjax, at one architecture and one optimiser.

Batch 512, float32, 5 maps of 2x128 relu units, 8 bins (`flow_peers.py`). Every side in torch trains with fused Adam,
flowjax with optax's, jitted; its compile time is told apart. Before anything is timed, `log_prob` is seen to run every
layer once. Peers that are not installed are left out: `pip install 'jensen[bench]'`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from interleave import Line, command, conditions, interleave, passive, speed
from record import Record, dumps, left_out

if TYPE_CHECKING:
    from torch import Tensor

    from flow_peers import Built

BATCH, RATE = 512, 1e-4
USES = ("train", "log_prob", "sample")
GOALS: dict[tuple[str, str], tuple[float, float | None]] = {
    ("train", "spline coupling"): (1.8, None),
    ("train", "spline autoregressive"): (1.8, None),
    ("train", "MAF"): (1.2, None),
    ("train", "RealNVP"): (1.2, None),
    ("log_prob", "spline coupling"): (2.0, 1.5),
    ("log_prob", "spline autoregressive"): (2.0, 1.5),
    ("sample", "MAF"): (6.0, 6.0),
    ("sample", "spline autoregressive"): (15.0, 15.0),
}
"""How many times as fast as the fastest eager peer, and as the fastest compiled one, jensen is to be at 63 features."""


@dataclass
class Side:
    """One library's flow: what it does in a unit of work, its size, and CPU seconds spent on compiling."""

    parameters: int
    run: dict[str, Callable[[], object]]
    compiled: dict[str, float]


def sides(family: str, d: int, only: list[str], compile_peers: bool) -> dict[str, Side]:
    """Every library that is installed (or of `only`), by name."""
    import torch

    from flow_peers import TORCH

    x = torch.randn(BATCH, d, generator=torch.Generator().manual_seed(0))
    found = {}
    for name, build in TORCH.items():
        if (only and name not in only) or (name == "jensen, as shipped" and family == "MAF"):
            continue
        try:
            found[name] = in_torch(build(family, d), x, compiled=False)
            if compile_peers:
                found[f"{name}, compiled"] = in_torch(build(family, d), x, compiled=True)
        except ImportError:
            left_out(name)
    if not only or "flowjax" in only:
        try:
            import flow_jax

            jitted = flow_jax.build(family, x.numpy(), RATE)
            found["flowjax"] = Side(jitted.parameters, jitted.run, jitted.compiled)
        except ImportError:
            left_out("flowjax")
    return found


def in_torch(built: Built, x: Tensor, compiled: bool) -> Side:
    """A training step, log_prob and sampling of a flow in torch."""
    import time

    import torch

    from flow_peers import passes
    from jensen.model import Model

    if not isinstance(built.module, Model) and (runs := passes(built, x)) != 1:
        raise RuntimeError(f"log_prob runs a layer of {type(built.module)} {runs:.2f} times, not once")
    optimiser = torch.optim.Adam(built.module.parameters(), lr=RATE, fused=True)
    log_prob = torch.compile(built.log_prob) if compiled else built.log_prob

    def train() -> None:
        (-log_prob(x).mean()).backward()
        optimiser.step()
        optimiser.zero_grad()

    @torch.no_grad()
    def score() -> None:
        log_prob(x)

    @torch.no_grad()
    def draw() -> None:
        built.sample(len(x))

    run = {"train": train, "log_prob": score} | ({} if compiled else {"sample": draw})
    spent = {}
    for use, work in run.items():
        begun = time.process_time()
        work()
        spent[use] = time.process_time() - begun
    return Side(sum(p.numel() for p in built.module.parameters()), run, spent if compiled else {})


def measure(found: dict[str, Side], use: str, rounds: int, seed: int) -> list[Line]:
    """One interleaved run of a use; a slice takes about as long as a few training steps."""
    variants = {name: side.run[use] for name, side in found.items() if use in side.run}
    units = 1 if use == "sample" else 3

    def slices(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: [work() for _ in range(units)]

    return interleave(
        {name: slices(work) for name, work in variants.items()},
        "jensen",
        rounds=rounds,
        units=units,
        warmup=1,
        seed=seed,
        twice=["jensen"],
    )


def against(lines: list[Line]) -> dict[str, tuple[str, float]]:
    """The fastest eager peer and the fastest compiled one by CPU time, and how many times jensen's time each takes."""
    found = {}
    peers = [line for line in lines if not line.name.startswith("jensen")]
    for kind in ("eager", "compiled"):
        some = [
            one for one in peers if (one.name == "flowjax" or "compiled" in one.name) == (kind == "compiled")
        ]
        if some:
            fastest = min(some, key=lambda line: line.cpu_ms)
            found[kind] = fastest.name, fastest.cpu_ratio[0]
    return found


def records(lines: list[Line], family: str, use: str, features: int) -> list[Record]:
    """jensen's over the fastest eager peer and over the fastest compiled one; goals are of 63 features."""
    goals = GOALS.get((use, family), (None, None)) if features == 63 else (None, None)
    fastest, doing = against(lines), {"train": "training", "log_prob": "log_prob", "sample": "sampling"}[use]
    return [
        speed(
            lines,
            "jensen",
            fastest[kind][0],
            name=f"{family}, {features} features, {doing}",
            goal=goal,
            command=command(),
            called=f"{fastest[kind][0]}, the fastest {kind}",
        )
        for kind, goal in zip(("eager", "compiled"), goals)
        if kind in fastest
    ]


def table(lines: list[Line], found: dict[str, Side]) -> str:
    """Median milliseconds, ratio over jensen's with quartiles, number of weights, seconds of compiling."""
    head = "| | ms | CPU ms | over jensen's, CPU | weights | compiled in, CPU s |\n|---|---:|---:|---:|---:|---:|"
    rows = []
    for line in lines:
        side = found[line.name.removesuffix(", again")]
        ratio, low, high = line.cpu_ratio
        compiled = f"{max(side.compiled.values()):.0f}" if side.compiled else ""
        rows.append(
            f"| {line.name} | {line.wall_ms:.2f} | {line.cpu_ms:.2f} | {ratio:.2f} ({low:.2f} to {high:.2f}) | "
            f"{side.parameters:,} | {compiled} |"
        )
    return "\n".join([head, *rows])


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", type=int, nargs="+", default=[8, 21, 63])
    parser.add_argument("--family", nargs="+", default=[], help="such as MAF, or 'spline coupling'")
    parser.add_argument("--use", nargs="+", choices=USES, default=list(USES))
    parser.add_argument("--only", nargs="+", default=[], help="libraries; jensen is always among them")
    parser.add_argument("--compile", action="store_true", help="torch.compile every flow too: minutes each")
    parser.add_argument("--quick", action="store_true", help="8 features, 7 rounds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    found = parser.parse_args()
    if found.quick:
        found.features, found.rounds = [8], 7
    found.only = found.only and ["jensen", *found.only]
    return found


def main() -> None:
    """Print one table for every size, family and use, as soon as it is measured, and the summary."""
    passive()
    options = given()
    import flow_jax

    flow_jax.one_thread(options.threads)
    import torch

    from flow_peers import FAMILIES

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    facts = conditions(options.threads)
    if not options.json:
        print(", ".join(f"{key}: {value}" for key, value in facts.items()))
    results: list[dict[str, Any]] = []
    made: list[Record] = []
    for d in options.features:
        for family in options.family or FAMILIES:
            found = sides(family, d, options.only, options.compile)
            for use in options.use:
                rounds = options.rounds
                lines = measure(found, use, rounds, options.seed)
                made += records(lines, family, use, d)
                results.append(
                    {"features": d, "family": family, "use": use, "fastest": against(lines)}
                    | {
                        "lines": [asdict(x) for x in lines],
                        "weights": {n: s.parameters for n, s in found.items()},
                    }
                )
                if not options.json:
                    print(
                        f"\n{family}, {d} features, {use}, {rounds} rounds\n\n{table(lines, found)}",
                        flush=True,
                    )
    if options.json:
        print(dumps(made, conditions=facts, results=results))
    else:
        print(f"\n{summary(results)}")


def summary(results: list[dict[str, Any]]) -> str:
    """How many times as fast as the fastest peers jensen is, and the goals at 63 features."""
    rows = [
        "| use | features | family | fastest eager peer | fastest compiled peer |",
        "|---|---:|---|---|---|",
    ]
    for one in results:
        goals = GOALS.get((one["use"], one["family"])) if one["features"] == 63 else None
        cells = []
        for kind, goal in zip(("eager", "compiled"), goals or (None, None)):
            name, ratio = one["fastest"].get(kind, ("", None))
            words = "" if ratio is None else f"{ratio:.2f}, {name}"
            verdict = "" if goal is None or ratio is None else "met" if ratio >= goal else "missed"
            cells.append(f"{words}; goal {goal}: {verdict}" if verdict else words)
        rows.append(f"| {one['use']} | {one['features']} | {one['family']} | {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
