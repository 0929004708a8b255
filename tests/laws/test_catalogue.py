"""Every check holds for every model of the catalogue, on every kind of small space that the model takes."""

from __future__ import annotations

import json
from functools import cache

import pytest
import torch
from small_models import FIRST, HYPER, PAIRS, SPACES, in_float64

from jensen.checks import check_names, reason_to_skip, run
from jensen.checks.twin import entropies, strengthen
from jensen.model import Can, Model
from jensen.models import CATALOGUE, model_class
from jensen.space import Space


@cache
def _model(name: str, where: str) -> Model:
    """A model with strong dependence between sites: as built, a broken one would pass."""
    torch.manual_seed(0)
    model = model_class(name)(SPACES[where], **HYPER.get(name, {}))
    strengthen(model, seed=1)
    return model.eval()


CASES = [
    pytest.param(name, where, check, id=f"{name}-{where}-{check}")
    for name, where in PAIRS
    for check in check_names()
    if not reason_to_skip(check, _model(name, where), SPACES[where])
]


@pytest.mark.parametrize(("name", "where", "check"), CASES)
def test_law_holds(name: str, where: str, check: str) -> None:
    verdict = run(check, _model(name, where), None, SPACES[where], seed=2)
    assert verdict.holds, verdict.evidence
    json.dumps(verdict.to_dict())


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_float64_model_is_the_same_after_saving_and_loading(name: str) -> None:
    """Constants that are not saved are built in float32: beside float64 weights they would not multiply."""
    model, x = in_float64(name, FIRST[name])
    verdict = run("save_load_same", model, x, SPACES[FIRST[name]], seed=2)
    assert verdict.holds, verdict.evidence
    assert verdict.details["bitwise"]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_meets_the_laws_somewhere(name: str) -> None:
    assert {param.values[2] for param in CASES if param.values[0] == name} >= {
        "declared_abilities",
        "save_load_same",
    }


OF_A_FIT = {"mode_coverage"}
"""Laws of a model and the rows that it was fitted to, which no model alone can meet: they have tests of their own."""


@pytest.mark.parametrize("check", [name for name in check_names() if name not in OF_A_FIT])
def test_every_law_meets_a_model(check: str) -> None:
    assert any(param.values[2] == check for param in CASES)


@pytest.mark.parametrize("name", ["made", "pixelcnn", "gated-pixelcnn", "transformer"])
def test_strong_weights_tie_the_sites_together(name: str) -> None:
    """The laws have teeth: the sites share much, where those of a model as built share next to nothing."""
    torch.manual_seed(0)
    fresh = model_class(name)(SPACES["grey"], **HYPER[name])
    joint, sites = entropies(fresh)
    assert sites - joint < 0.05
    joint, sites = entropies(_model(name, "grey"))
    assert sites - joint > 0.5


GUESSES = [
    (name, space)
    for name in CATALOGUE
    for space in (
        *SPACES.values(),
        Space.binary((1, 28, 28)),
        Space.levels((3, 8, 8), 256),
        Space.levels(30, 17),
    )
    if space.measure == "mass" and space.kind in model_class(name).accepts
    if space.is_image or name not in ("pixelcnn", "gated-pixelcnn", "glow")
    if any(
        getattr(model_class(name), way) is not getattr(Model, way) for way in ("log_prob", "log_prob_lower")
    )
]


@pytest.mark.parametrize(("name", "space"), GUESSES)
def test_a_model_as_built_starts_near_the_uniform_guess(name: str, space: Space) -> None:
    """Within 5 % of the sum of log levels, on rows of any kind: all first level, all last, random; default sizes.

    The head is the space's own: a single logistic law is broad, but not flat.
    """
    torch.manual_seed(0)
    plain = {"head": "categorical" if (space.max_levels or 0) > 2 else None} if name == "vae" else {}
    model = model_class(name)(space, **plain).eval()
    levels = torch.tensor(space.levels_by_site()).reshape(space.shape)
    uniform = float(levels.double().log().sum())
    generator = torch.Generator().manual_seed(0)
    random = (torch.rand(4, *space.shape, generator=generator) * levels).long()
    for rows in (torch.zeros_like(random[:1]), (levels - 1).unsqueeze(0), random):
        with torch.no_grad():
            score = model.log_prob if Can.LOG_PROB in model.can else model.log_prob_lower
            assert -float(score(rows).mean()) == pytest.approx(uniform, rel=0.05)
