"""Exact cached sampling against one full pass a site, on jensen's own networks and on re-created common practice.

Large nets: the pass a site is the number of sites times the median full forward of the same model at the same batch;
small ones run the loop for real. Before anything is timed, every sampler must give the naive sampler's rows on the
small nets, from the same uniform numbers, and on the large ones a single forward on the sample must return the
parameters that it was drawn from within 1e-5. Ratios: how many times as long as jensen's fastest sampler.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from interleave import Line, again, command, conditions, interleave, options, over, passive, report, speed
from record import Record, dumps

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.autoregressive import Autoregressive

TOLERANCE = 1e-5
FORWARD = "one full forward"


@dataclass(frozen=True)
class Case:
    """A model that draws `batch` rows. `loop`: run the pass a site for real. `goal`: at least so many times as fast.

    `peer`: a re-created model whose forward, or loop, is timed too. `rounds`: at most so many. `forwards`: the goal
    that a batch of samples costs at most so many forwards.
    """

    model: Callable[[], Autoregressive]
    batch: int
    loop: bool = False
    goal: float | None = None
    forwards: float | None = None
    peer: Callable[[], Any] | None = None
    rounds: int = 100


def cases() -> dict[str, Case]:
    """Everything is written out: a new default must change no benchmark."""
    import peers
    from jensen.models.gated_pixelcnn import GatedPixelCNN
    from jensen.models.made import MADE
    from jensen.models.transformer import Transformer
    from jensen.space import Space

    def gated(side: int, layers: int, channels: int) -> Callable[[], Autoregressive]:
        space = Space.binary((1, side, side))
        return lambda: GatedPixelCNN(space, channels, layers, kernel=7, block_kernel=3, inputs="scaled")

    def made(sites: int, *hidden: int) -> Callable[[], Autoregressive]:
        return lambda: MADE(Space.binary(sites), hidden, skip=True, inputs="scaled")

    def transformer() -> Autoregressive:
        return Transformer(Space.binary((1, 28, 28)), 64, 8, heads=4, inputs="onehot")

    def people(layers: int, channels: int) -> Callable[[], Any]:
        return lambda: peers.GatedPixelCNN(channels, layers)

    def mlp(sites: int, *hidden: int) -> Callable[[], Any]:
        return lambda: peers.MaskedMLP(sites, hidden)

    return {
        "gated 2x16, 8x8, batch 16": Case(gated(8, 2, 16), 16, loop=True, peer=people(2, 16)),
        "gated 10x128, 8x8, batch 64": Case(gated(8, 10, 128), 64, loop=True, peer=people(10, 128), rounds=1),
        "MADE 512-512, 64 sites, batch 16": Case(made(64, 512, 512), 16, loop=True, peer=mlp(64, 512, 512)),
        "gated 10x128, 28x28, batch 16": Case(
            gated(28, 10, 128), 16, goal=450, forwards=1.6, peer=people(10, 128)
        ),
        "gated 10x128, 28x28, batch 1": Case(gated(28, 10, 128), 1, goal=70, peer=people(10, 128)),
        "MADE 8000, 784 sites, batch 16": Case(made(784, 8000), 16, goal=150, peer=mlp(784, 8000)),
        "Transformer 8x64, 28x28, batch 16": Case(transformer, 16, goal=100),
    }


def schedules() -> dict[str, tuple[Autoregressive, int]]:
    """Nets that a wavefront draws in few steps, and in many: title -> (model, batch)."""
    from jensen.models.gated_pixelcnn import GatedPixelCNN
    from jensen.models.pixelcnn import PixelCNN
    from jensen.space import Space

    found: dict[str, tuple[Autoregressive, int]] = {}
    for batch in (1, 16):
        for side in (28, 8):
            space = Space.binary((1, side, side))
            for family, layers, channels, kernel in (
                (PixelCNN, 5, 32, 7),
                (GatedPixelCNN, 5, 32, 3),
                (GatedPixelCNN, 10, 128, 7),
            ):
                model = family(space, channels, layers, kernel=kernel, block_kernel=3, inputs="scaled")
                steps = model.stack().steps((side, side))
                title = f"{family.__name__} {layers}x{channels}, {side}x{side}, batch {batch}: {steps} steps"
                found[title] = (model.eval(), batch)
    return found


def lively(model: Autoregressive) -> Autoregressive:
    """A copy with larger weights: at the start logits hardly depend on the rows, and a broken cache would pass."""
    import torch

    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)
    return model


def same_rows(model: Autoregressive, batch: int, seed: int) -> None:
    """Every sampler gives the naive one's rows."""
    import torch

    rows = {
        name: model.sample(batch, generator=torch.Generator().manual_seed(seed), sampler=name)
        for name in ("naive", *model.samplers(batch))
    }
    for name, found in rows.items():
        assert torch.equal(found, rows["naive"]), f"{name} draws other rows than the naive sampler"
    assert 0 < rows["naive"].float().mean() < 1


def same_parameters(model: Autoregressive, batch: int, seed: int) -> tuple[float, float]:
    """The largest difference between what the sampler drew from and one forward on what it drew; the spread of both."""
    import torch

    from jensen.sampling.walk import Walk

    class Recorder(Walk):
        """A walk that keeps the parameters of every site."""

        def draw(self, parameters: Tensor, sites: Tensor) -> Tensor:
            seen[:, sites] = parameters
            return super().draw(parameters, sites)

    seen = torch.full((batch, model.space.dims, model.head.size), float("nan"))
    u = torch.rand(batch, model.space.dims, generator=torch.Generator().manual_seed(seed))
    walk = Recorder(model.head.sample, u.double(), torch.long)
    with torch.no_grad():
        model.walk(walk)
        whole = model.conditionals(walk.x.reshape(batch, *model.space.shape)).reshape(seen.shape)
    apart = float((whole - seen).abs().max())
    assert apart <= TOLERANCE, f"the sampler's parameters are {apart:.1e} from those of one forward"
    return apart, float(whole.std())


def measure(title: str, case: Case, rounds: int, seed: int) -> list[Line]:
    """Check, then time: jensen's fastest sampler, the pass a site, the re-created peer."""
    import torch

    torch.manual_seed(seed)
    model, sites = case.model().eval(), 0
    fastest = next(iter(model.samplers(case.batch)))
    ours = f"jensen, {fastest}"
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(2, (case.batch, *model.space.shape), generator=generator)
    peer = None if case.peer is None else case.peer().eval()
    variants: dict[str, Callable[[], object]] = {
        ours: lambda: model.sample(case.batch, generator=generator, sampler=fastest)
    }
    if case.loop:
        same_rows(lively(model), case.batch, seed)
        print(f"{title}: the same rows as the naive sampler", file=sys.stderr)
        variants["a pass a site"] = lambda: model.sample(case.batch, generator=generator, sampler="naive")
        if peer is not None:
            variants["a pass a site, re-created"] = lambda: peer.sample(case.batch, model.space.shape[-1])
    else:
        apart, spread = same_parameters(lively(model), case.batch, seed)
        print(
            f"{title}: parameters of one forward within {apart:.1e} (their spread: {spread:.2g})",
            file=sys.stderr,
        )
        sites = model.space.dims
        variants[FORWARD] = lambda: _without_gradient(model.conditionals, x)
        if peer is not None:
            variants[f"{FORWARD}, re-created"] = lambda: _without_gradient(peer, x)
    few = min(rounds, case.rounds)
    lines = interleave(variants, ours, rounds=few, units=1, warmup=int(few > 1), seed=seed, twice=[ours])
    return lines + [_times(line, sites) for line in lines if sites and line.name.startswith(FORWARD)]


def _without_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    import torch

    with torch.no_grad():
        return function(x)


def _times(line: Line, sites: int) -> Line:
    """A pass a site, scaled from one forward."""
    low, middle, high = (tuple(sites * value for value in line.cpu_ratio)[i] for i in (1, 0, 2))
    return replace(
        line,
        name=line.name.replace(FORWARD, f"a pass a site ({sites} forwards)"),
        wall_ms=sites * line.wall_ms,
        cpu_ms=sites * line.cpu_ms,
        wall_ratio=tuple(sites * value for value in line.wall_ratio),
        cpu_ratio=(middle, low, high),
        cpu_rounds=tuple(sites * ms for ms in line.cpu_rounds),
    )


def measure_schedule(model: Autoregressive, batch: int, rounds: int, seed: int) -> list[Line]:
    """The row-cached and the wavefront sampler on one net."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return interleave(
        {
            name: lambda name=name: model.sample(batch, generator=generator, sampler=name)
            for name in ("rows", "wavefront")
        },
        "rows",
        rounds=rounds,
        units=1,
        warmup=1,
        seed=seed,
    )


def records(found: dict[str, list[Line]], known: dict[str, Case]) -> list[Record]:
    """A pass a site over jensen's fastest sampler, and what its batch costs in forwards."""
    made = []
    for title, lines in found.items():
        if title not in known:
            continue
        case, line = known[title], {one.name: one for one in lines}
        ours = lines[0].name
        for peer in (one.name for one in lines if one.name.startswith("a pass a site")):
            goal = None if "re-created" in peer else case.goal
            made.append(speed(lines, ours, peer, name=f"sampling, {title}", goal=goal, command=command()))
        if case.forwards is not None:
            control, cost = over(line[again(ours)], line[ours]), over(line[ours], line[FORWARD])
            rounds = len(line[ours].cpu_rounds)
            made.append(
                Record(
                    f"sampling, {title}",
                    FORWARD,
                    *cost,
                    "forwards a batch",
                    case.forwards,
                    command(),
                    True,
                    control,
                    rounds,
                )
            )
    return made


def main() -> None:
    """Print one table a case, and the goals."""
    passive()
    given = options(__doc__ or "", rounds=7, only=str)
    import torch

    torch.set_num_threads(given.threads)
    wanted = (given.only or "").lower()
    known, found = cases(), {}
    for title, case in known.items():
        if wanted in title.lower():
            found[title] = measure(title, case, given.rounds, given.seed)
    if not wanted or wanted in "schedules":
        for title, (model, batch) in schedules().items():
            found[title] = measure_schedule(model, batch, given.rounds, given.seed)
    reached, facts = records(found, known), conditions(given.threads)
    if given.json:
        content = {title: [asdict(line) for line in lines] for title, lines in found.items()}
        print(dumps(reached, conditions=facts, tables=content))
        return
    report(found, facts, unit="batch", as_json=False)
    for one in reached:
        if one.goal is not None:
            print(f"{one.name}: {one.ratio:.3g} {one.unit}, goal {one.goal}: {one.verdict()}")


if __name__ == "__main__":
    main()
