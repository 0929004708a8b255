"""Whether certified bounds hold as often as they say, and how tight the bounds of a trained autoencoder are.

Coverage: on probabilistic PCA, whose likelihood is known, 400 repeats with fresh rows and fresh draws, proposals narrower
and wider than q. Tightness: on rows simulated from a trained model, whose latents are known exact posterior draws, the
gap between an upper and a lower bound on the mean of log p(x); nothing of the kind exists for real rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleave import command, conditions, passive
from record import Record, dumps, share

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.latent import LatentModel

FEATURES, LATENTS = 20, 5
DRAWS = (1, 10, 100)
PROPOSALS = {"q": 1.0, "half as wide": 0.5, "2.5 times as wide": 2.5}
ALPHA = 0.05
WIDTHS = (1.0, 1.2, 1.4, 1.7)


@dataclass(frozen=True)
class Coverage:
    """Of one k and proposal: shares of the repeats in which the limit, and the bare mean of L_k, lay below the truth."""

    proposal: str
    k: int
    certified: float
    bare: float
    gap: float


def coverage(repeats: int, rows: int, seed: int) -> list[Coverage]:
    """Every k and proposal on one model with a mean-field q."""
    import torch

    from jensen.functional.bounds import certified
    from jensen.models import model_class
    from jensen.space import Space

    torch.manual_seed(seed)
    model = model_class("ppca")(Space.real(FEATURES), LATENTS, posterior="diagonal")
    model.match_posterior()
    found = []
    for proposal, width in PROPOSALS.items():
        for k in DRAWS:
            generator = torch.Generator().manual_seed(seed + k)
            with torch.no_grad():
                x = model.sample(repeats * rows, generator=generator)
                bounds = model.log_prob_lower(x, k=k, generator=generator, width=width).view(repeats, rows)
                truth = model.log_prob(x).view(repeats, rows).mean(1)
            limits = torch.stack([certified(one, ALPHA) for one in bounds])
            found.append(
                Coverage(
                    proposal,
                    k,
                    float((limits <= truth).double().mean()),
                    float((bounds.mean(1) <= truth).double().mean()),
                    float((truth - bounds.mean(1)).mean()),
                )
            )
    return found


def record(one: Coverage, repeats: int) -> Record:
    """How often the certified limit held."""
    return share(
        round(one.certified * repeats),
        repeats,
        name=f"certified limit, proposal {one.proposal}, k = {one.k}",
        peer="the truth",
        goal=1 - ALPHA,
        command=command(),
    )


@dataclass(frozen=True)
class Gap:
    """Mean lower and upper bound over the same simulated rows, their difference and its 95 % half-width over rows."""

    bounds: str
    lower: float
    upper: float
    gap: float
    half_width: float
    cpu_seconds: float


Bounds = Callable[["LatentModel", "Tensor", "Tensor", Any], tuple["Tensor", "Tensor"]]
"""Lower and upper bounds (n,) of rows (n, *shape) made from latents (n, d), with a generator."""


def weighted(k: int, width: float) -> Bounds:
    """L_k and U_k from a proposal so much wider than a diagonal q."""
    import math

    import torch

    from jensen.functional import normal
    from jensen.functional.bounds import upper

    def found(model: LatentModel, x: Tensor, z: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        low = model.log_prob_lower(x, k=k, generator=generator, width=width)
        mean, log_scale = model.posterior.split(model.encode(x))  # type: ignore[operator]
        log_q = normal.log_prob(z, mean, log_scale + math.log(width))
        exact = model.log_likelihood(x, z.unsqueeze(1))[:, 0] + normal.standard_log_prob(z) - log_q
        others = [model.log_weights(x, k=8, generator=generator, width=width) for _ in range(k // 8)]
        return low, upper(exact.double(), torch.cat(others, 1)[:, 1:].double())

    return found


def annealed(levels: int, width: float) -> Bounds | None:
    """Forward and reverse annealed importance sampling from q; None where this version has none."""
    import torch

    try:
        from jensen.annealing import annealed_weights
    except ImportError:
        return None

    def found(model: LatentModel, x: Tensor, z: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        ahead, back = annealed_weights(model, x, None, 1, generator, levels=levels, width=width, latents=z)
        return ahead[:, 0], back

    return found


def simulated(model: LatentModel, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows and the latents that made them."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    rows, z = model.sample_with_latents(n, generator=generator)
    return rows, z


def gap(name: str, bounds: Bounds, model: LatentModel, rows: tuple[Tensor, Tensor], seed: int) -> Gap:
    """The bounds of these rows, with what they cost."""
    import torch

    begun = time.process_time()
    low, high = bounds(model, *rows, torch.Generator().manual_seed(seed))
    apart = high - low
    return Gap(
        name,
        float(low.mean()),
        float(high.mean()),
        float(apart.mean()),
        1.96 * float(apart.std()) / len(apart) ** 0.5,
        time.process_time() - begun,
    )


def tightness(run: Path, rows: int, k: int, levels: int, seed: int) -> list[Gap]:
    """The width is chosen on rows of its own, with fewer draws."""
    import torch

    import jensen

    model: Any = jensen.load(run).model.eval()
    with torch.no_grad():
        pilot = simulated(model, rows, seed + 1)
        tried = {w: gap("", weighted(max(k // 8, 8), w), model, pilot, seed + 2) for w in WIDTHS}
        width = min(tried, key=lambda w: tried[w].gap)
        drawn = simulated(model, rows, seed)
        found = [gap(f"L_{k}, U_{k} from q", weighted(k, 1.0), model, drawn, seed)]
        if width != 1:
            found.append(gap(f"L_{k}, U_{k}, {width} times as wide", weighted(k, width), model, drawn, seed))
        if (anneal := annealed(levels, width)) is not None:
            found.append(gap(f"annealed over {levels} levels, both ways", anneal, model, drawn, seed))
    return found


def given() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, help="a trained VAE of bits, as vae_mnist.py leaves it")
    parser.add_argument("--repeats", type=int, default=400, help="0: no coverage")
    parser.add_argument("--rows", type=int, default=50, help="of a repeat, and simulated")
    parser.add_argument("--k", type=int, default=4096)
    parser.add_argument("--levels", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="as ever: JSON is all it prints")
    return parser.parse_args()


def main() -> None:
    """Print one JSON object."""
    passive()
    asked = given()
    import torch

    torch.set_num_threads(asked.threads)
    made: list[Record] = []
    found: dict[str, Any] = {"conditions": conditions(asked.threads)}
    if asked.repeats:
        held = coverage(asked.repeats, asked.rows, asked.seed)
        found["coverage"] = [asdict(one) for one in held]
        made += [record(one, asked.repeats) for one in held]
    if asked.run is not None:
        gaps = tightness(asked.run, asked.rows, asked.k, asked.levels, asked.seed)
        found["tightness"] = [asdict(one) for one in gaps]
    print(dumps(made, **found))


if __name__ == "__main__":
    main()
