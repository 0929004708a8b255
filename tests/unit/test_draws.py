"""k counts draws wherever it is taken: a whole number from 1 on, refused in three parts, and never a matter of memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import jensen
from jensen.annealing import annealed_weights
from jensen.cli import cli
from jensen.errors import Cannot, SpaceError, UsageError
from jensen.functional import bounds
from jensen.models.glow import Glow
from jensen.models.ppca import PPCA
from jensen.models.vae import VAE
from jensen.objectives import OBJECTIVES, parse_objective
from jensen.space import Space

WRONG: list[Any] = ["a", 0, -3, 1.5, True, None, math.nan, [5]]
FITTED = jensen.fit("ppca", "iris")
X = torch.zeros(2, 4)
LEVELS = torch.zeros(2, 1, 4, 4, dtype=torch.long)

DOORS: dict[str, Callable[[Any], object]] = {
    "score": lambda k: FITTED.score("iris", k=k),
    "score of an exact model": lambda k: jensen.fit("independent", "iris").score("iris", k=k),
    "annealed": lambda k: FITTED.score(X.numpy(), k=k, method="annealed", levels=3),
    "log_prob_lower": lambda k: FITTED.model.log_prob_lower(X, k=k),
    "log_weights": lambda k: FITTED.model.log_weights(X, k=k),
    "annealed_weights": lambda k: annealed_weights(FITTED.model, X, k=k, levels=3),  # type: ignore[arg-type]
    "glow": lambda k: Glow(Space.levels((1, 4, 4), 5), width=4).log_prob_lower(LEVELS, k=k),
    "tightness": lambda k: jensen.tightness(FITTED, k=k, levels=0),
    "compare": lambda k: jensen.compare(["independent"], "iris", k=k),
    "blocks": lambda k: bounds.blocks(torch.zeros(2, 4), k),
    "subsets": lambda k: bounds.subsets(torch.zeros(2, 4), k),
    "complete": lambda k: FITTED.complete(X.numpy(), np.array([True, False, False, False]), k),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_number_of_draws_is_refused_in_three_parts(door: str) -> None:
    for k in WRONG:
        with pytest.raises(UsageError) as refused:
            DOORS[door](k)
        error = refused.value
        assert error.wrong and repr(k) in error.given and error.do, (k, error)


def test_numbers_of_numpy_are_numbers() -> None:
    assert (FITTED.score(X.numpy(), k=np.int64(3)).values == FITTED.score(X.numpy(), k=3).values).all()


@pytest.mark.parametrize(
    "name", [name for name in OBJECTIVES if name in ("bound", "iwae", "dreg", "miwae", "ciwae", "renyi")]
)
@pytest.mark.parametrize("k", ["a", "0", "1.5", "true", "null"])
def test_objectives_refuse_them_in_their_text(name: str, k: str) -> None:
    with pytest.raises(UsageError, match="k >= 1"):
        parse_objective(f"{name}:k={k}")


@pytest.mark.parametrize("verb", [("score", "run", "iris"), ("tightness", "run"), ("compare", "iris")])
@pytest.mark.parametrize("k", ["a", "0", "1.5", "-2", ""])
def test_the_command_line_refuses_them_alike(verb: tuple[str, ...], k: str, tmp_path: Path) -> None:
    words = [str(FITTED.save(tmp_path / "run")) if word == "run" else word for word in verb]
    result = CliRunner().invoke(cli, [*words, "-k", k, "--json"])
    error = json.loads(result.stdout)["error"]
    assert result.exit_code == 2 and k in error["given"] and error["do"]


def test_any_k_is_decoded_by_tiles_and_draws_as_many_as_it_says() -> None:
    """Memory: no call sees more than 512 pairs of a row and a draw, and what is kept does not grow with k."""
    seen: list[int] = []

    class Counted(PPCA):
        def log_likelihood(self, x: Tensor, z: Tensor, c: Any = None, observed: Any = None) -> Tensor:
            seen.append(z.shape[:2].numel())
            return super().log_likelihood(x, z, c, observed)

    torch.manual_seed(0)
    model, k = Counted(Space.real(4), 2).eval(), 100_000
    with torch.no_grad():
        low = model.log_prob_lower(X, k=k, generator=torch.Generator().manual_seed(0))
        assert max(seen) <= 512 and sum(seen) == 2 * k
        # the encoder is that of a fresh model: the truth is within reach of so many draws, from both sides
        assert torch.allclose(low, model.log_prob(X), rtol=0, atol=0.05)
        seen.clear()
        annealed_weights(model, X, k=600, levels=1, generator=torch.Generator().manual_seed(0))
    assert max(seen) <= 1024


def test_grey_rows_latents_of_no_dimension_and_a_head_of_another_space_are_refused() -> None:
    bits = Space.binary(3)
    with pytest.raises(SpaceError, match="no likelihood"):
        VAE(bits, hidden=(4,)).log_prob_lower(torch.full((2, 3), 0.3))
    with pytest.raises(SpaceError, match="binarise"):
        VAE(Space.levels(3, 5), head="bernoulli")
    for latents in (0, -1, (2, 0), (), True, 1.5, "a"):
        with pytest.raises(UsageError, match="1 or more dimensions"):
            VAE(bits, latents=latents)  # type: ignore[arg-type]


def test_rows_and_columns_without_a_value() -> None:
    """A row of which nothing is observed is drawn as samples are; a table of nothing else is refused, and so are fits."""
    x = FITTED.sample(4, seed=0)
    missing = np.zeros(x.shape, bool)
    missing[0] = True
    missing[1, 2] = True
    found = FITTED.complete(x, missing, 100, particles=64, seed=0)
    drawn, prior = found.rows[0], FITTED.sample(3000, seed=1)
    error = 5 * prior.std(0) * math.sqrt(1 / 100 + 1 / 3000)
    assert (np.abs(drawn.mean(0) - prior.mean(0)) < error).all()
    with pytest.raises(UsageError, match="nothing is observed"):
        FITTED.complete(x, np.ones(x.shape, bool))
    with pytest.raises((SpaceError, jensen.DataError, Cannot)):
        FITTED.score(np.full((3, 4), np.nan))
    column = np.random.default_rng(0).normal(size=(60, 4))
    column[:, 2] = np.nan
    with pytest.raises(jensen.JensenError) as refused:
        jensen.fit("vae", column, steps=2)
    assert refused.value.wrong and refused.value.do
