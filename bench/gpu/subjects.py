"""The models that are looked at: small ones to compare devices, and each family at the size that people train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jensen.model import Model
    from jensen.space import Space


@dataclass(frozen=True)
class Subject:
    """A model of a catalogue name on a space; `objective` as in `jensen.fit`, None for the default."""

    model: str
    space: Space
    hyper: dict[str, Any] = field(default_factory=dict)
    objective: str | None = None
    batch: int = 64
    note: str = ""

    @property
    def label(self) -> str:
        """The model, its rows and its objective."""
        return ", ".join(filter(None, (self.model, self.note or self.space.describe(), self.objective)))

    def build(self) -> Model:
        """The model on the CPU, its weights drawn from seed 0."""
        import torch

        from jensen.models import model_class

        torch.manual_seed(0)
        return model_class(self.model)(self.space, **self.hyper)


SMALL: dict[str, dict[str, Any]] = {
    "made": {"hidden": (32, 32)},
    "pixelcnn": {"channels": 12, "layers": 2, "kernel": 3},
    "gated-pixelcnn": {"channels": 12, "layers": 2, "kernel": 3},
    "transformer": {"width": 32, "layers": 2, "heads": 2, "dropout": 0.1},
    "mixture": {"components": 3},
    "realnvp": {"transforms": 3, "hidden": (32,)},
    "planar-flow": {"transforms": 4},
    "maf": {"transforms": 3, "hidden": (32,)},
    "iaf": {"transforms": 3, "hidden": (32,)},
    "spline-flow": {"transforms": 3, "hidden": (32,), "bins": 6},
    "glow": {"transforms": 2, "width": 16, "noise_couplings": 2},
    "vae": {"latents": 4, "hidden": (32,)},
    "ppca": {"latents": 2},
    "encoder": {"features": 16, "width": 8},
    "gan": {"latents": 8, "width": 32, "channels": 8},
}


def small() -> list[Subject]:
    """Every model of the catalogue on the kinds of small rows that it takes."""
    from jensen.errors import SpaceError
    from jensen.models import CATALOGUE, model_class
    from jensen.space import Column, Space

    mixed = (Column("real"), Column("categorical", 3), Column("real", gaps="value"), Column("binary"))
    spaces = (
        Space.real(5),
        Space.binary((1, 6, 6)),
        Space((4,), mixed),
        Space.levels((3, 4, 4), 17),
    )
    found = []
    for name in CATALOGUE:
        mine = []
        for space in spaces:
            subject = Subject(name, space, SMALL.get(name, {}))
            try:
                if space.kind in model_class(name).accepts:
                    subject.build()
                    mine.append(subject)
            except SpaceError:
                continue
        found += mine
    return found


def objectives(subjects: list[Subject]) -> Iterator[tuple[Subject, str]]:
    """Every objective with every model that it can train, on the first two kinds of rows."""
    from jensen.errors import JensenError
    from jensen.objectives import OBJECTIVES, objective_for

    for name in OBJECTIVES:
        seen: dict[str, int] = {}
        for subject in subjects:
            if seen.get(subject.model, 0) >= 2:
                continue
            try:
                model = subject.build()
                chosen = with_target(objective_for(model, name))
                chosen.turns(model)
            except JensenError:
                continue
            seen[subject.model] = seen.get(subject.model, 0) + 1
            yield subject, name


def with_target(objective: Any) -> Any:
    """An objective that is fitted to a density, with one: a normal law bent along a parabola."""

    def log_density(x: Any) -> Any:
        x = x.flatten(1)
        return -0.5 * (x[:, 0].square() + (x[:, 1:] - 0.5 * x[:, :1].square()).square().sum(1))

    return objective.towards(log_density) if hasattr(objective, "towards") else objective


def real_size(smoke: bool) -> list[Subject]:
    """Each family at real size, the ones that people train most first; tiny ones for `smoke`."""
    from jensen.space import Space

    if smoke:
        bits, colour, table = Space.binary((1, 6, 6)), Space.levels((3, 8, 8), 256), Space.real(6)
    else:
        bits, colour, table = Space.binary((1, 28, 28)), Space.levels((3, 32, 32), 256), Space.real(64)

    def one(
        model: str, space: Space, note: str, batch: int, objective: str | None = None, **hyper: Any
    ) -> Subject:
        if not smoke:
            return Subject(model, space, hyper, objective, batch, note)
        known = {**SMALL.get(model, {}), **{key: hyper[key] for key in ("net",) if key in hyper}}
        return Subject(model, space, known, objective, 16, note)

    gray, full, wide = (f"{'x'.join(map(str, one.shape))}" for one in (bits, colour, table))
    gray, wide = f"{gray} bits", f"{wide} columns"
    return [
        one("transformer", bits, gray, 128, width=256, layers=8, heads=4, dropout=0.1, inputs="onehot"),
        one(
            "gated-pixelcnn",
            bits,
            gray,
            128,
            channels=96,
            layers=10,
            kernel=7,
            block_kernel=5,
            inputs="scaled",
        ),
        one("spline-flow", table, wide, 1024),
        one("vae", bits, gray, 256, "elbo", latents=50, hidden=(512, 512)),
        one("vae", bits, gray, 256, "dreg:k=50", latents=50, hidden=(512, 512)),
        one("encoder", colour, full, 512, "contrastive"),
        one("gan", colour, full, 128, "adversarial", net="residual", channels=64),
        one("glow", colour, full, 64),
        one("pixelcnn", bits, gray, 128, channels=64, layers=8),
        one("made", bits, gray, 256, hidden=(1024, 1024)),
        one("vae", colour, full, 128, "elbo", net="conv", latents=64),
        one("maf", table, wide, 1024),
        one("realnvp", table, wide, 1024),
        one("iaf", table, wide, 1024, "likelihood"),
        one("planar-flow", table, wide, 1024, "reverse-kl"),
        one("ppca", table, wide, 1024, "elbo", latents=16),
        one("mixture", table, wide, 1024, components=10),
        one("independent", table, wide, 1024),
    ]
