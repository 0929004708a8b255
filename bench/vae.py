"""Autoencoders: jensen's training steps and likelihoods against pythae's, on one network with the same weights.

MLP 784-400-400-20 and two convolutions of stride 2 (32, 64), bits of 28x28, float32, fused Adam on every side. pythae's
trainer is held against the whole `train()` of jensen.fit (feed, clipping, average of the weights), without its start and
end of a fit; pythae's model in a plain loop against jensen's Player in one, which clips. Before anything is timed, both
sides give the same loss. pip install 'jensen[bench]'.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleave import Line, command, conditions, interleave, markdown, passive, speed
from record import Record, dumps

if TYPE_CHECKING:
    from torch import Tensor

RATE, LATENTS = 1e-3, 20
TRAIN, TRAINER = "jensen, its train()", "pythae, its trainer"
LOOP, PEERS_LOOP = "jensen, plain loop", "pythae, plain loop"


@dataclass(frozen=True)
class Case:
    """A network, the draws of its bound, the rows of a batch, the steps of a slice; times as fast as trainer, loop."""

    net: str
    k: int
    batch: int
    steps: int
    goals: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.net} k={self.k}, batch {self.batch}"


CASES = (
    Case("mlp", 1, 128, 48, (1.8, 1.5)),
    Case("mlp", 5, 128, 12, (1.8, 1.5)),
    Case("mlp", 50, 64, 4, (1.0, 1.0)),
    Case("conv", 1, 64, 8, (1.0, 1.0)),
    Case("conv", 5, 64, 4, (1.0, 1.0)),
)


def bits(n: int) -> Tensor:
    """Rows (n, 1, 28, 28) of 0 and 1: what they say changes no time."""
    import torch

    return torch.randint(2, (n, 1, 28, 28), generator=torch.Generator().manual_seed(0))


def ours(net: str) -> Any:
    """jensen's model."""
    import torch

    from jensen.models import model_class
    from jensen.space import Space

    torch.manual_seed(0)
    return model_class("vae")(
        Space.binary((1, 28, 28)), LATENTS, net=net, hidden=(400, 400), channels=(32, 64)
    )


def objective(k: int) -> Any:
    """What pythae's model of k draws is trained by."""
    from jensen.objectives.elbo import ELBO
    from jensen.objectives.iwae import IWAE

    return ELBO() if k == 1 else IWAE(k)


def check(case: Case) -> None:
    """Both sides are one function: equal losses on equal noise, where q is 1 wide by the formulas of both."""
    import torch

    import vae_peers

    model = ours(case.net)
    with torch.no_grad():
        last = model.encoder.net.layers[-1]
        last.weight[LATENTS:], last.bias[LATENTS:] = 0, 0
        x, peer = bits(case.batch), vae_peers.build(model, case.k)
        torch.manual_seed(1)
        theirs = float(peer({"data": x.float()}).loss)
        torch.manual_seed(1)
        if case.k == 1:
            mine = float(objective(1).turns(model)[0](x, None))
        else:  # pythae's value is the weighted mean of the log weights; its gradient is that of L_k
            log_w = model.log_weights(x, None, case.k)
            mine = float(-(log_w.softmax(1) * log_w).sum(1).mean())
    if abs(mine - theirs) > 1e-4 * abs(theirs):
        raise RuntimeError(f"{case}: jensen's loss is {mine}, pythae's {theirs}")


def training(case: Case) -> dict[str, Callable[[], object]]:
    """A slice of each side: `steps` steps."""
    import torch

    import vae_peers
    from jensen.codec import Integers
    from jensen.feed import Feed
    from jensen.plan import Plan
    from jensen.player import Player
    from jensen.space import Space
    from jensen.train import train

    model, looping = ours(case.net), ours(case.net)
    player = Player(objective(case.k).turns(looping)[0], Plan(rate=RATE))
    x = bits(case.batch * case.steps)
    few = x.to(torch.uint8)  # as jensen's feed keeps them, and pythae's users keep floats
    feed = Feed(
        x.numpy(), Integers(Space.binary((1, 28, 28))), case.batch, 0, torch.device("cpu"), torch.float32
    )
    plan = Plan(steps=case.steps, batch=case.batch, rate=RATE)
    looped, data = vae_peers.build(model, case.k).train(), x.float()
    optimiser = torch.optim.Adam(looped.parameters(), lr=RATE, fused=True)
    trainer = vae_peers.trainer(vae_peers.build(model, case.k), x, case.batch, RATE)

    def loop() -> None:
        for batch in data[torch.randperm(len(data))].split(case.batch):
            optimiser.zero_grad()
            looped({"data": batch}).loss.backward()
            optimiser.step()

    def jensens_loop() -> None:
        for batch in few[torch.randperm(len(few))].split(case.batch):
            player.play(batch.long(), None, RATE)

    def epoch() -> None:
        with redirect_stderr(StringIO()):  # its progress bar
            trainer.train_step(1)

    return {
        TRAIN: lambda: train(model, objective(case.k), feed, plan),
        TRAINER: epoch,
        LOOP: jensens_loop,
        PEERS_LOOP: loop,
    }


def records(case: Case, lines: list[Line]) -> list[Record]:
    """Trainer over train(), loop over loop."""
    pairs = ((TRAIN, TRAINER, case.goals[0]), (LOOP, PEERS_LOOP, case.goals[1]))
    return [
        speed(lines, ours, peer, name=f"training, {case}", goal=goal, command=command())
        for ours, peer, goal in pairs
    ]


def likelihood(rows: int, k: int, sizes: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """L_k of some rows of each side, pythae's at several sizes of its batch of draws."""
    import torch

    import vae_peers

    model, x = ours("mlp").eval(), bits(rows)
    peer, data = vae_peers.build(model, 1).eval(), x.float()

    def jensens() -> Tensor:
        with torch.no_grad():
            return model.log_prob_lower(x, k=k)

    def pythaes(size: int) -> float:
        with torch.no_grad():
            return peer.get_nll(data, n_samples=k, batch_size=size)

    return {"jensen": jensens} | {f"get_nll, batch {size}": lambda s=size: pythaes(s) for size in sizes}


def memory(name: str, k: int) -> float:
    """Megabytes that L_k of two rows takes at its height in a fresh process, over what a first call of few draws left."""
    command = [sys.executable, "-W", "ignore", __file__, "--grow", name, "--k", str(k)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def grow(name: str, k: int) -> float:
    """The measurement itself, in that process; Linux alone can forget an earlier height."""
    size = () if name == "jensen" else (int(name.rsplit(" ", 1)[1]),)
    few, many = likelihood(2, 64, (32,)), likelihood(2, k, size)
    few["jensen" if name == "jensen" else "get_nll, batch 32"]()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    many[name]()
    return (resident("VmHWM") - before) / 1024


def resident(key: str) -> int:
    """Kilobytes of memory, now (VmRSS) or at the height (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=("training", "likelihood"))
    parser.add_argument("--case", choices=[str(one) for one in CASES], help="one of the trainings")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=4, help="of the likelihood")
    parser.add_argument("--k", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--grow", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print a table a case, the ratio of each side over jensen's."""
    passive()
    asked = given()
    import torch

    torch.set_num_threads(asked.threads)
    if asked.grow:
        print(grow(asked.grow, asked.k))
        return
    tables: dict[str, list[Line]] = {}
    made: list[Record] = []
    if asked.only != "likelihood":
        for case in (one for one in CASES if asked.case in (None, str(one))):
            check(case)
            title = f"{case}: goals {case.goals[0]} over the trainer, {case.goals[1]} over the loop"
            with redirect_stdout(StringIO()):
                sides = training(case)
            tables[title] = interleave(
                sides, TRAIN, rounds=asked.rounds, units=case.steps, warmup=1, twice=[TRAIN, LOOP]
            )
            made += records(case, tables[title])
            shown(title, tables[title], asked.json)
            spent = {line.name: line.cpu_ms for line in tables[title]}
            print(f"\nplain loop over plain loop: {spent[PEERS_LOOP] / spent[LOOP]:.2f}", file=sys.stderr)
    if asked.only != "training":
        sizes = (500, 1000, 2500, 5000)
        sides = likelihood(asked.rows, asked.k, sizes)
        title = f"L_{asked.k} of {asked.rows} rows: goal 3 over get_nll at its best"
        tables[title] = interleave(
            sides, "jensen", rounds=asked.rounds, units=asked.rows, warmup=1, twice=["jensen"]
        )
        peers = [line for line in tables[title] if line.name.startswith("get_nll")]
        best = min(peers, key=lambda line: line.cpu_ms).name
        name = f"L_{asked.k} of {asked.rows} rows"
        made.append(
            speed(
                tables[title],
                "jensen",
                best,
                name=name,
                goal=3.0,
                command=command(),
                called=f"pythae, {best}",
            )
        )
        shown(title, tables[title], asked.json)
        grown = {name: memory(name, asked.k) for name in sides}
        print(
            "megabytes on top:", ", ".join(f"{name} {mb:.0f}" for name, mb in grown.items()), file=sys.stderr
        )
    if asked.json:
        lines = {title: [asdict(line) for line in of] for title, of in tables.items()}
        print(dumps(made, conditions=conditions(asked.threads), tables=lines))


def shown(title: str, lines: list[Line], as_json: bool) -> None:
    """A table as soon as it is there."""
    if not as_json:
        print(f"\n{title}\n\n{markdown(lines, 'unit')}", flush=True)


if __name__ == "__main__":
    main()
