"""What latents are said to carry, against the linear-Gaussian model, whose information is known."""

from __future__ import annotations

import math

import pytest
import torch
from latent_models import COLUMNS, LATENTS, linear, rows_of

from jensen.diagnosis import ROWS, diagnose
from jensen.models.ppca import PPCA


def scaled(factor: float) -> PPCA:
    """The linear model with its weights times `factor`, q the true posterior."""
    model = linear("full")
    with torch.no_grad():
        model.weight.mul_(factor)
        model.match_posterior()
    return model


def truth(model: PPCA) -> float:
    """I(x; z) = log det(1 + W^T W / variance) / 2."""
    weight = model.weight.detach()
    return 0.5 * float(torch.logdet(torch.eye(LATENTS) + weight.T @ weight / 0.5))


def test_information_and_divergence_are_those_of_the_linear_model() -> None:
    """Where q is the posterior, all rows' latents have the prior's law: the divergence is the information alone."""
    model = scaled(0.15)
    found = diagnose(model, rows_of(model, ROWS))
    assert 1 < truth(model) < 3
    error = 4 * 2 / math.sqrt(ROWS)  # the log ratios vary by about 2 nats
    assert found.kl_total == pytest.approx(truth(model), abs=error)
    # a mean of 512 posteriors, that of the row among them, sees a little less
    assert truth(model) - error - 0.1 < found.information < truth(model) + error
    assert found.information + found.aggregate == pytest.approx(found.kl_total, abs=error)
    assert not found.collapsed and found.active == LATENTS


def test_information_beyond_its_cap_is_not_seen() -> None:
    model = scaled(20.0)
    found = diagnose(model, rows_of(model, 40))
    assert truth(model) > 10
    assert found.information == pytest.approx(found.cap, abs=1e-3) and found.cap == pytest.approx(
        math.log(40)
    )
    assert "at least" in found.describe()


def test_a_unit_may_be_active_with_little_divergence_and_none_of_it_is_a_collapse() -> None:
    model = linear("diagonal", orthogonal=True)
    with torch.no_grad():
        model.weight[:, 0] *= 0.12  # a variance of its mean of 0.03, a divergence of 0.014
        model.weight[:, 1] = 0
        model.match_posterior()
    found = diagnose(model, rows_of(model, ROWS))
    assert found.active == LATENTS - 1 and sum(one < 0.03 for one in found.kl) == 2
    assert not found.collapsed
    nothing = scaled(0.0)
    assert diagnose(nothing, rows_of(nothing, 100)).collapsed
    notes = nothing.notes(rows_of(nothing, 100))
    assert [note.doubtful for note in notes] == [False, True] and "free bits" in notes[1].text
    assert nothing.notes(torch.zeros(1, COLUMNS).double()) == []
