"""What a model with latents made of held-out rows: how much every latent holds, and what it looks like, in rows.

For every such model, whatever its networks: draws of z, and of rows given z, are all that is asked of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.codec import as_tensor
from jensen.data import Rows
from jensen.diagnosis import ROWS, SILENT, Diagnosis, diagnose
from jensen.fitted import Fitted
from jensen.functional.interpolation import linear, spherical
from jensen.latent import Encoded, LatentModel
from jensen.rebuilding import ColumnError, column_errors, expected_rows
from jensen.scoring import on_device, place, some_places

QUANTILES = (0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99)
"""Of the prior, at which a latent is looked at."""
WALKS, SHOWN, PAIRS, STEPS = 8, 12, 3, 9
"""Latents walked along; rows rebuilt for show; pairs of them interpolated, at so many points."""
PRIOR = 4096
"""Draws of a prior whose quantiles have no closed form."""
CLOUD = 400
"""Points drawn of the latents of rows, and as many of the prior."""
TABLE = 256
"""Rows of a table that are rebuilt for its columns' errors."""


@dataclass(frozen=True)
class Walk:
    """One latent varied over the prior's quantiles, the others left at the row's own: rows (columns, *shape) to expect.

    values: of the latent, one a column. own: where the row itself has it.
    """

    latent: int
    values: tuple[float, ...]
    own: float
    rows: NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """From one held-out row's latents to another's: both rows (2, *shape), and what is expected on the way (steps, *shape)."""

    ends: NDArray[np.float64]
    rows: NDArray[np.float64]


@dataclass(frozen=True)
class Insight:
    """A model's latents on n held-out rows, of the lowest layer.

    clouds: draws (m, d) of the latents of rows and of the prior, of the two most used dimensions `axes` (one where there
    is one). prior: its mean and standard deviation, every dimension. `real`, `rebuilt`: held-out images and the rows to
    expect at the centres of their posteriors; `walks` start at the first of them. `columns`: of tables instead of images.
    """

    diagnosis: Diagnosis
    prior: tuple[tuple[float, ...], tuple[float, ...]]
    axes: tuple[int, ...]
    clouds: tuple[NDArray[np.float64], NDArray[np.float64]]
    spherical: bool
    real: NDArray[np.float64] | None = None
    rebuilt: NDArray[np.float64] | None = None
    walks: tuple[Walk, ...] = ()
    paths: tuple[Path, ...] = ()
    columns: tuple[ColumnError, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The numbers in plain JSON types; pictures are for the page."""
        mean, sd = self.prior
        return {
            **self.diagnosis.to_dict(),
            "by_use": self.diagnosis.by_use,
            "prior_mean": list(mean),
            "prior_sd": list(sd),
            "columns": [column.to_dict() for column in self.columns],
        }


@torch.no_grad()
def insight(fitted: Fitted, data: Rows, seed: int = 0) -> Insight | None:
    """Look at up to 512 held-out rows through a model's latents; None for a model without, and for fewer than two rows."""
    model = fitted.model
    if not isinstance(model, LatentModel) or fitted.space.binarised(None) != data.space.binarised(None):
        return None
    real, x, c = _held_out(fitted, data, seed)
    if len(real) < 2:
        return None
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    rows = model.encoded(x, c)
    found = diagnose(model, x, c, seed)
    draws = _prior(model, PRIOR, generator)
    axes = tuple(found.by_use[:2])
    z, _ = model.posterior.draw(
        rows.parameters, model.noise(rows, 1, generator)[..., : model.latents]
    )  # of several layers, the lowest
    clouds = (_cloud(z[:, 0], axes), _cloud(draws, axes))
    moments = _moments(model, draws)
    curved = model.prior.standard and model.latents > 1
    if not fitted.space.is_image:
        some = slice(0, TABLE)
        rebuilt = expected_rows(
            fitted, model, _centres(model, rows)[some], None if c is None else c[some], seed
        )
        columns = tuple(column_errors(fitted.space, real[some], rebuilt))
        return Insight(found, moments, axes, clouds, curved, columns=columns)
    looked = _Looking(fitted, model, _centres(model, rows)[:SHOWN], None if c is None else c[:SHOWN], seed)
    shown = real[:SHOWN]
    return Insight(
        found,
        moments,
        axes,
        clouds,
        curved,
        shown,
        looked.at(looked.centres, looked.c),
        looked.walks(_worth(found), _grid(model, draws)),
        looked.paths(shown, curved),
    )


class _Looking:
    """Rows to expect at and between the centres (n, d) of some rows' posteriors."""

    def __init__(
        self, fitted: Fitted, model: LatentModel, centres: Tensor, c: Tensor | None, seed: int
    ) -> None:
        self.fitted, self.model, self.centres, self.c, self.seed = fitted, model, centres, c, seed

    def at(self, z: Tensor, c: Tensor | None) -> NDArray[np.float64]:
        return expected_rows(self.fitted, self.model, z, c, self.seed)

    def walks(self, latents: list[int], grid: Tensor) -> tuple[Walk, ...]:
        """One for each of `latents`, from the first row; grid (quantiles, d)."""
        start, found = self.centres[0], []
        for latent in latents:
            z = start.repeat(len(grid), 1)
            z[:, latent] = grid[:, latent].to(z)
            rows = self.at(z, self._context(0, len(z)))
            found.append(Walk(latent, tuple(grid[:, latent].tolist()), float(start[latent]), rows))
        return tuple(found)

    def paths(self, shown: NDArray[np.float64], curved: bool) -> tuple[Path, ...]:
        """Between the first and the second row, the third and the fourth, ...; under the first one's context."""
        way = spherical if curved else linear
        found = []
        for first in range(0, min(2 * PAIRS, len(shown) - 1), 2):
            steps = torch.linspace(0, 1, STEPS).to(self.centres)
            z = way(self.centres[first], self.centres[first + 1], steps)
            found.append(Path(shown[first : first + 2], self.at(z, self._context(first, STEPS))))
        return tuple(found)

    def _context(self, row: int, n: int) -> Tensor | None:
        return None if self.c is None else self.c[row].expand(n, -1)


def _held_out(fitted: Fitted, data: Rows, seed: int) -> tuple[NDArray[np.float64], Tensor, Tensor | None]:
    """Held-out rows in the user's units, as the model sees them, and their contexts; in a drawn order."""
    places = some_places(len(data.test), ROWS, seed)
    order = np.random.default_rng(seed).permutation(len(places))
    real = np.asarray(data.test[places])[order]
    device, dtype = place(fitted.model)
    x, _ = fitted.codec.encode(as_tensor(real), torch.Generator().manual_seed(seed))
    c = None
    if data.context is not None and fitted.context_codec is not None:
        c = fitted.context_codec.encode(data.context.held_out[places[order]].values)
    return (
        real.astype(np.float64),
        on_device(x, device, dtype),
        None if c is None else on_device(c, device, dtype),
    )


def _centres(model: LatentModel, rows: Encoded) -> Tensor:
    return model.posterior.centre(rows.parameters)


def _worth(found: Diagnosis) -> list[int]:
    """The latents to walk along: those that hold something, or the first few where none is known to."""
    held = [one for one in found.by_use if not found.kl or found.kl[one] >= SILENT]
    return (held or found.by_use)[:WALKS]


def _prior(model: LatentModel, n: int, generator: torch.Generator) -> Tensor:
    """Draws (n, d) of the prior, of the lowest layer."""
    like = next(model.parameters())
    return model.prior.sample(n, like, generator, model.pseudo_parameters())[:, : model.latents].double()


def _grid(model: LatentModel, draws: Tensor) -> Tensor:
    """The prior's quantiles (quantiles, d), of every dimension on its own; exact where it is standard normal."""
    levels = torch.tensor(QUANTILES, dtype=torch.float64, device=draws.device)
    if model.prior.standard:
        return torch.special.ndtri(levels).unsqueeze(1).expand(-1, model.latents)
    return torch.quantile(draws, levels, dim=0)


def _moments(model: LatentModel, draws: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the prior, every dimension."""
    if model.prior.standard:
        return (0.0,) * model.latents, (1.0,) * model.latents
    return tuple(draws.mean(0).tolist()), tuple(draws.std(0).tolist())


def _cloud(z: Tensor, axes: tuple[int, ...]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = z[:CLOUD, list(axes)].double().cpu().numpy()
    return found
