"""Two networks against each other: one tells samples from rows, the other makes samples that are not told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from jensen.adversary import Discriminate, Game, Generate, Rules
from jensen.costs import cost_named
from jensen.critics.contest import LEAST_ROWS
from jensen.critics.judgement import judge
from jensen.errors import Cannot, UsageError, nearest
from jensen.functional.neighbours import balls
from jensen.generator import Generator
from jensen.model import Can, Model
from jensen.nn.adversaries import DenseBody, Discriminator, ImageBody
from jensen.objective import Turn
from jensen.quantity import Kind, Quantity

NORMS = ("batch", "spectral", "none")
NEIGHBOURS = 5


@dataclass(frozen=True)
class Preset:
    """Settings of a game that go together, and those of the loop."""

    cost: str
    r1: float
    r2: float
    anneal: float
    norm: str
    betas: tuple[float, float]
    pack: int
    loop: Mapping[str, Any]


PRESETS: dict[str, Preset] = {
    "fast": Preset(
        cost="nonsaturating",
        r1=0.0,
        r2=0.0,
        anneal=1.0,
        norm="batch",
        betas=(0.5, 0.999),
        pack=1,
        loop={"rate": 4e-4, "batch": 64, "checks": 8},
    ),
    "robust": Preset(
        cost="relativistic",
        r1=0.05,
        r2=0.05,
        anneal=0.1,
        norm="none",
        betas=(0.0, 0.99),
        pack=1,
        loop={"rate": 2e-4, "batch": 64, "checks": 8},
    ),
    "table": Preset(
        cost="relativistic",
        r1=0.1,
        r2=0.1,
        anneal=0.01,
        norm="none",
        betas=(0.0, 0.99),
        pack=2,
        loop={"rate": 3e-3, "batch": 512, "checks": 8},
    ),
}
"""fast: small images on a CPU (Radford et al. 2016). robust: for larger images on a GPU (Huang et al. 2024). table: the same cost
and penalties on dense networks, two rows at once (Lin et al. 2018), and large batches: on a grid of 25 modes a batch of 128, five rows a
mode, left out 5 to 11 of them, one of 512 none."""

PRESET_OF = {"conv": "fast", "residual": "robust", "mlp": "table"}


@dataclass(frozen=True)
class Adversarial:
    """The discriminator D learns to tell rows from samples, and the generator to fool it, in turns.

    `preset`: "fast", "robust" or "table"; auto: by the generator's net. It gives what is left out of these: `cost`
    (saturating, nonsaturating, relativistic, hinge, least-squares, wgan-gp); `r1`, `r2`, gamma of gamma / 2 E|dD/dx|^2 at
    rows and at samples; `anneal`, the factor by which both fall over the budget (strong at first, for all modes to be found,
    then weak, for sharp ones); `norm` of D, "batch", "spectral" or "none"; `pack`, rows that D sees at once. `penalty`: weight of the
    slope's distance from 1 between rows and samples, 10 for wgan-gp. `dropout` in D. `augment`: shift, hole and brightness
    of images, changed alike on both sides. `d_repeats`: moves of D for each of G. `d_pace`: D's learning rate over G's.
    `width`: units, or channels at the image's own size, of D; `depth`: blocks of a dense one.

    A loss here says nothing of quality: the opponent changes. What is watched is the Jensen-Shannon divergence by a fresh
    critic, printed negative so that larger is better, with the coverage of the rows beside it.
    """

    needs: ClassVar[Can] = Can.SAMPLE

    preset: str = "auto"
    cost: str | None = None
    r1: float | None = None
    r2: float | None = None
    anneal: float | None = None
    norm: str | None = None
    pack: int | None = None
    penalty: float | None = None
    dropout: float = 0.0
    augment: bool = False
    d_repeats: int = 1
    d_pace: float = 1.0
    width: int | None = None
    depth: int = 2

    def __post_init__(self) -> None:
        if self.preset != "auto" and self.preset not in PRESETS:
            raise UsageError("unknown preset", f"got {self.preset!r}", nearest(str(self.preset), PRESETS))
        if self.cost is not None:
            cost_named(self.cost)
        if self.norm is not None and self.norm not in NORMS:
            raise UsageError(
                "unknown norm of the discriminator", f"got {self.norm!r}", nearest(str(self.norm), NORMS)
            )
        self._check_numbers()

    def turns(self, model: Model) -> list[Turn]:
        """D's move, then G's."""
        if not isinstance(model, Generator):
            raise Cannot(
                "an adversary needs samples with a gradient to the weights",
                f"{type(model).__name__} draws rows without one",
                "use the model's default objective, or fit gan",
            )
        if self.augment and not model.space.is_image:
            raise UsageError(
                "augmentation shifts, cuts and lights images", f"got {model.space.describe()}", "leave it out"
            )
        preset = self._preset(model)
        cost = cost_named(self._or(preset, "cost"))
        penalty = cost.PENALTY if self.penalty is None else self.penalty
        r1, r2 = (
            0.0 if penalty and getattr(self, name) is None else self._or(preset, name)
            for name in ("r1", "r2")
        )
        rules = Rules(
            cost, r1, r2, self._or(preset, "anneal"), penalty, self.augment, self._or(preset, "pack")
        )
        game = Game(model, self._critic(model, preset, rules), rules)
        like = next(model.parameters())
        game.to(like.device, like.dtype)
        return [
            Discriminate(game, preset.betas, self.d_pace, shared=self.d_repeats == 1),
            Generate(game, preset.betas, every=self.d_repeats),
        ]

    def suits(self, model: Model) -> dict[str, Any]:
        """Settings of the loop: the preset's, and no early stop, for a game has no loss that would tell when."""
        return {**self._preset(model).loop, "patience": 0}

    def monitor(self, model: Model, x: Tensor, c: Tensor | None, seed: int) -> Quantity:
        """Minus the JSD between encoded rows x (n, *shape) and as many samples, by a fresh critic; `how` has the coverage.

        An upper bound, since the JSD is bounded from below. Of fewer rows than a critic needs, minus the share of rows
        whose neighbourhood holds no sample.
        """
        training = model.training
        model.eval()
        fake = model.sample(len(x), c, torch.Generator().manual_seed(seed))
        model.train(training)
        coverage = _coverage(model, x, fake)
        if len(x) < LEAST_ROWS:
            return Quantity(coverage - 1, Kind.ESTIMATE, "", how={"of": "coverage - 1", "n": len(x)})
        a, b = (side.flatten(1).double().cpu().numpy() for side in (fake, x))
        found = -judge(a, b, model.space, seed=seed, names=_critics(model), permutations=1).jsd
        how = {
            "of": "minus the JSD of samples and rows, by a fresh critic",
            "coverage": coverage,
            "seed": seed,
        }
        return Quantity(found.value, found.kind, "nats", interval=found.interval, level=found.level, how=how)

    def _preset(self, model: Model) -> Preset:
        net = getattr(model, "net_name", "mlp")
        return PRESETS[PRESET_OF[net] if self.preset == "auto" else self.preset]

    def _or(self, preset: Preset, name: str) -> Any:
        own = getattr(self, name)
        return getattr(preset, name) if own is None else own

    def _critic(self, model: Generator, preset: Preset, rules: Rules) -> Discriminator:
        """A discriminator of the generator's kind."""
        net = getattr(model, "net_name", "mlp")
        norm = _norm(self.norm, preset.norm, net, rules)
        size, context, shape = model.reads.size, model.context_size * rules.pack, model.space.shape
        body: DenseBody | ImageBody
        if net == "mlp":
            width = self.width or int(model.hyper.get("width", 128))
            body = DenseBody(rules.pack * model.space.dims * size, width, self.depth, self.dropout)
            return Discriminator(body, width, context, norm == "spectral")
        channels = self.width or int(model.hyper.get("channels", 64))
        inside = rules.pack * shape[0] * size
        body = ImageBody(inside, channels, shape, net == "residual", norm == "batch", self.dropout)
        return Discriminator(body, body.features, context, norm == "spectral")

    def _check_numbers(self) -> None:
        """Raise UsageError for an option out of range."""
        least = {"r1": 0, "r2": 0, "penalty": 0, "pack": 1, "d_repeats": 1, "width": 1, "depth": 0}
        whole = {"pack", "d_repeats", "width", "depth"}
        for name in least:
            value = getattr(self, name)
            if value is None:
                continue
            number = isinstance(value, int) if name in whole else isinstance(value, (int, float))
            if isinstance(value, bool) or not number or not least[name] <= value < float("inf"):
                kind = "whole number" if name in whole else "number"
                raise UsageError(
                    f"{name} is a {kind} of {least[name]} or more", f"got {value!r}", "leave it out"
                )
        if self.anneal is not None and not (isinstance(self.anneal, (int, float)) and 0 < self.anneal <= 1):
            raise UsageError(
                "anneal is a factor above 0, at most 1", f"got {self.anneal!r}", "1 anneals nothing"
            )
        if not (isinstance(self.dropout, (int, float)) and 0 <= self.dropout < 1):
            raise UsageError("dropout lies from 0 to below 1", f"got {self.dropout!r}", "0.3 is usual")
        if not (isinstance(self.d_pace, (int, float)) and 0 < self.d_pace < float("inf")):
            raise UsageError("d_pace is a number above 0", f"got {self.d_pace!r}", "1 gives both one rate")
        if not isinstance(self.augment, bool):
            raise UsageError("augment is true or false", f"got {self.augment!r}", "leave it out")


def _norm(asked: str | None, preset: str, net: str, rules: Rules) -> str:
    """The norm asked for, or the preset's. Batch norm mixes rows, so that the slope at a row is none of its own."""
    sloped = max(rules.r1, rules.r2, rules.penalty) > 0
    if asked == "batch" and (sloped or net != "conv"):
        raise UsageError(
            "batch norm goes with a conv net and without penalties on the slope",
            f"got a {net} net, r1={rules.r1}, r2={rules.r2}, penalty={rules.penalty}",
            "use norm=spectral or norm=none",
        )
    if asked is None and preset == "batch" and (sloped or net != "conv"):
        return "none"
    return preset if asked is None else asked


def _critics(model: Model) -> tuple[str, ...]:
    """One cheap critic, which takes categories as well."""
    return ("trees",) if model.space.dims <= 1024 else ("cnn",) if model.space.is_image else ("mlp",)


def _coverage(model: Generator | Model, x: Tensor, fake: Tensor) -> float:
    """Share of rows whose ball, out to its fifth neighbour, holds a sample."""
    if len(x) <= NEIGHBOURS:
        return 0.0
    read = model.features if isinstance(model, Generator) else lambda side: side
    real, drawn = (read(side).flatten(1).double() for side in (x, fake))
    return float(balls(real, drawn, NEIGHBOURS).covered.double().mean())
