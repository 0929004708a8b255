"""Annealed weights of models with latents: tighter bounds where draws of q alone are poor ones."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.functional import ais
from jensen.latent import Encoded, LatentModel, check_draws

LEVELS = 300
"""Of annealing; on a trained autoencoder of digits this left a gap of 0.2 nats, at the cost of about 4,500 draws a chain."""
PAIRS = 512
"""Rows times chains annealed at once."""


@torch.no_grad()
def annealed_weights(
    model: LatentModel,
    x: Tensor,
    c: Tensor | None = None,
    k: int = 1,
    generator: torch.Generator | None = None,
    *,
    levels: int = LEVELS,
    width: float = 1.0,
    latents: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Log weights (n, k) of k annealed chains a row from q, float64: exp of each has mean p(x | c).

    With `latents` (n, d), the ones that made the rows (`sample_with_latents`), also the weights (n,) of a chain that starts
    there and runs backwards: exp(-weight) has mean 1 / p(x | c), an upper bound. Only simulated rows have such latents.
    Step sizes come from a pilot of every row with a generator of its own. Cost: a chain takes about 15 calls of the
    decoder a level, gradients included.
    """
    check_draws(k, width)
    ais.temperatures(levels)
    c = model.given.shaped(c, len(x)) if model.given is not None else c
    lower, upper = [], []
    for part in torch.arange(len(x)).split(max(1, PAIRS // k)):
        rows = model.encoded(x[part], None if c is None else c[part])
        ahead, back = _of_some(
            model, rows, k, generator, levels, width, None if latents is None else latents[part]
        )
        lower.append(ahead)
        upper.append(back)
    return torch.cat(lower), None if latents is None else torch.cat([one for one in upper if one is not None])


def _of_some(
    model: LatentModel,
    rows: Encoded,
    k: int,
    generator: torch.Generator | None,
    levels: int,
    width: float,
    latents: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    def log_weight(noise: Tensor) -> Tensor:
        return model.weigh(rows, noise, width)

    first = torch.Generator()
    first.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    steps = ais.pilot(log_weight, model.noise(rows, 1, first), levels, first)
    chains = [min(PAIRS, k - done) for done in range(0, k, PAIRS)]
    ahead = torch.cat(
        [ais.forward(log_weight, model.noise(rows, m, generator), steps, generator) for m in chains], 1
    )
    if latents is None:
        return ahead, None
    exact = model.noise_of(rows, latents.unsqueeze(1), width)
    return ahead, ais.reverse(log_weight, exact, steps, generator)[:, 0]
