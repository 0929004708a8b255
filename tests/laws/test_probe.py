"""A probe classifies frozen features, beside features that give its accuracy a meaning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.codec import Integers, Standardise
from jensen.data import Rows
from jensen.errors import Cannot, DataError, SpaceError, UsageError
from jensen.fitted import Fitted
from jensen.functional.binomial import clopper_pearson
from jensen.functional.votes import nearest_by_angle, vote
from jensen.objectives.contrastive import Contrastive
from jensen.probing.features import untrained
from jensen.probing.linear import linear_probe
from jensen.space import Space
from jensen.views.affine import Affine
from jensen.views.colour import Jitter

few_steps = pytest.mark.filterwarnings("ignore:the representation has collapsed")
SETS = ("encoder", "raw rows", "PCA", "untrained encoder")


def ring(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Points on two rings, which no line separates in the plane and the distance from the middle does."""
    generator = np.random.default_rng(0)
    label = generator.integers(2, size=n)
    angle = generator.uniform(0, 2 * np.pi, n)
    radius = 1.0 + label + 0.1 * generator.normal(size=n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), label


class Distance(nn.Module):
    """Features that know the ring: the distance from the middle, and its square, behind a layer that can be reset."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2, bias=False)
        nn.init.eye_(self.layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        r = self.layer(x).norm(dim=1, keepdim=True)
        return torch.cat([r, r.square()], 1)


def distance(module: nn.Module | None = None) -> tuple[Fitted, Rows]:
    x, label = ring()
    rows = jensen.rows(x, context=label, split=(300, 100, 200))
    codec = Standardise(rows.space, torch.zeros(2), torch.ones(2))
    return Fitted(jensen.adapt.encoder(module or Distance(), rows.space), codec, [], {}), rows


def test_what_no_line_separates_is_read_off_features_that_know_it() -> None:
    found = jensen.probe(*distance())
    assert found.accuracy().value > 0.99
    assert found.accuracy("raw rows").value < 0.75 and found.accuracy("PCA").value < 0.75
    # neighbours are judged by angle, which says nothing of the ring: five standard errors of 0.035
    assert abs(found.accuracy("raw rows", "5 nearest").value - 0.5) < 0.18
    gain = next(x.gain for x in found.lines if (x.features, x.protocol, x.labels) == ("PCA", "linear", 300))
    assert gain is not None and gain.interval is not None and gain.interval[0] > 0.2
    assert gain.value == pytest.approx(found.accuracy().value - found.accuracy("PCA").value)


def test_every_accuracy_has_its_interval_and_its_three_companions() -> None:
    found = jensen.probe(*distance(), shares=[1.0, 0.1])
    assert {x.features for x in found.lines} == set(SETS) and len(found.lines) == 4 * 3
    for line in found.lines:
        hits = round(line.accuracy.value * 200)
        assert line.accuracy.interval == clopper_pearson(hits, 200)
        assert (line.gain is None) == (line.features == "encoder")
    assert {x.labels for x in found.lines} == {300, 30}
    assert all(name in found.table() for name in SETS)
    assert [x["features"] for x in found.to_dict()["lines"]] == [x.features for x in found.lines]
    assert repr(jensen.probe(*distance(), shares=[1.0, 0.1])) == repr(found)


def test_shuffled_labels_give_chance() -> None:
    fitted, rows = distance()
    assert rows.context is not None
    shuffle = np.random.default_rng(1).permutation(300)
    rows = replace(rows, context=replace(rows.context, train=rows.context.train[shuffle]))
    accuracy = jensen.probe(fitted, rows, shares=[1.0]).accuracy()
    # 200 rows of two classes: five standard errors of 0.035
    assert abs(accuracy.value - 0.5) < 0.18


class Moving(Distance):
    """Counts its calls in a buffer, as batch normalisation left in training mode would."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def test_an_encoder_that_is_not_frozen_is_refused() -> None:
    with pytest.raises(UsageError, match="not frozen"):
        jensen.probe(*distance(Moving()))


@few_steps
def test_a_probe_leaves_weights_buffers_and_gradients_alone_and_embeds_in_eval_mode() -> None:
    rows = jensen.rows("digits", context="label")
    fitted = jensen.fit("encoder", jensen.rows("digits"), steps=3, width=4, features=8)
    fitted.model.train()
    before = {name: tensor.clone() for name, tensor in fitted.model.state_dict().items()}
    jensen.probe(fitted, rows, shares=[0.1])
    assert all(torch.equal(before[name], tensor) for name, tensor in fitted.model.state_dict().items())
    assert all(parameter.grad is None for parameter in fitted.model.parameters())
    alone, together = fitted.embed(rows.test[:1]), fitted.embed(rows.test[:9])[:1]
    np.testing.assert_allclose(alone, together, atol=1e-5)


@few_steps
def test_an_untrained_encoder_has_other_weights_by_seed_and_unit_statistics() -> None:
    rows = jensen.rows("digits")
    fitted = jensen.fit("encoder", rows, steps=3, width=4, features=8)
    first, again, other = (untrained(fitted, rows.train, seed).model for seed in (1, 1, 2))
    mine, theirs, third, old = (
        next(m.parameters()).detach().flatten()[:5].tolist() for m in (first, again, other, fitted.model)
    )
    assert mine == theirs and mine != third and mine != old
    # calibrated: the first normalisation gives mean 0 and variance 1 on the rows it saw
    stem = first.net[:2]
    z = fitted.codec.encode(torch.as_tensor(rows.train[:2048]))[0]
    with torch.no_grad():
        out = stem(first.sites(z).squeeze(-1))
    assert float(out.mean((0, 2, 3)).abs().max()) < 1e-3
    assert float((out.var((0, 2, 3)) - 1).abs().max()) < 1e-2


@few_steps
def test_test_rows_that_the_encoder_has_seen_are_owned_up_to() -> None:
    fitted = jensen.fit("encoder", jensen.rows("digits"), steps=3, width=4, features=8)
    same, other = (jensen.rows("digits", context="label", seed=seed) for seed in (0, 1))
    assert jensen.probe(fitted, same, shares=[0.1]).facts["seen"] == ""
    assert "some test rows among them" in jensen.probe(fitted, other, shares=[0.1]).facts["seen"]


def test_a_share_of_the_labels_keeps_every_class() -> None:
    x = np.concatenate([np.zeros((190, 2)), np.ones((10, 2))]) + np.random.default_rng(0).normal(
        size=(200, 2)
    )
    rows = jensen.rows(x, context=np.repeat([0, 1], [190, 10]), split=(0.8, 0.1, 0.1))
    fitted = Fitted(
        jensen.adapt.encoder(nn.Linear(2, 2), rows.space),
        Standardise(rows.space, torch.zeros(2), torch.ones(2)),
        [],
        {},
    )
    assert jensen.probe(fitted, rows, shares=[0.01]).facts["labels"][0.01] == 3  # 2 of about 152, and 1


def test_the_linear_probe_separates_what_a_line_separates_whatever_the_scale() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 3)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int64)
    x = x * np.float32([1e-4, 1e-4, 1e3]) + np.float32([5, 0, 7])
    found = linear_probe((x[:100], y[:100]), (x[100:150], y[100:150]), x[150:])
    assert float((found == y[150:]).mean()) > 0.93


def test_neighbours_are_those_of_a_sort_by_cosine() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, references = torch.randn(9, 4, generator=generator), torch.randn(30, 4, generator=generator)
    places, cosines = nearest_by_angle(queries, references, 5, tile=4)
    exact = nn.functional.cosine_similarity(queries[:, None], references[None], dim=2)
    assert torch.equal(places, exact.argsort(1, descending=True)[:, :5])
    torch.testing.assert_close(cosines, exact.gather(1, places), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "cosines", "winner"),
    [
        ([2, 1, 1], [1.0, 0.1, 0.1], 1),
        ([0, 2, 1], [0.5, 0.9, 0.2], 2),
        ([3, 3, 0, 0], [-0.9, -0.9, -1, -1], 3),
    ],
)
def test_votes_count_before_cosines(labels: list[int], cosines: list[float], winner: int) -> None:
    assert int(vote(torch.tensor([labels]), torch.tensor([cosines]), 4)) == winner


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.arange(599) % 2, "one context a row, 600 in all; got 599"),
        (np.random.default_rng(0).normal(size=600), "one class a row"),
        (np.stack([np.arange(600) % 2, np.arange(600) % 3], 1), "one class a row"),
    ],
)
def test_labels_that_are_no_classes_or_not_one_a_row_are_named(labels: np.ndarray, words: str) -> None:
    fitted, _ = distance()
    with pytest.raises((DataError, SpaceError), match=words):
        jensen.probe(fitted, ring()[0], label=labels)


def test_rows_and_models_that_cannot_be_probed_are_named() -> None:
    fitted, rows = distance()
    with pytest.raises(UsageError, match="read with their labels"):
        jensen.probe(fitted, replace(rows, context=None))
    with pytest.raises(UsageError, match="one label a row"):
        jensen.probe(fitted, ring()[0])
    with pytest.raises(UsageError, match="shares"):
        jensen.probe(fitted, rows, shares=[0.0])
    with pytest.raises(Cannot, match="cannot embed"):
        jensen.probe(jensen.fit("independent", jensen.rows("digits")), jensen.rows("digits", context="label"))


def test_a_view_that_changes_the_label_costs_accuracy_and_one_that_does_not_costs_none() -> None:
    """The label is the half of the image that is bright: a flip changes it, more contrast does not."""
    generator = np.random.default_rng(0)
    label = generator.integers(2, size=400)
    x = generator.integers(0, 4, size=(400, 1, 4, 8))
    x[np.arange(400), :, :, :4] += 10 * (label == 0)[:, None, None, None]
    x[np.arange(400), :, :, 4:] += 10 * (label == 1)[:, None, None, None]
    rows = jensen.rows(x, space=Space.levels((1, 4, 8), 16), context=label, split=(200, 50, 150))
    encoder = jensen.adapt.encoder(nn.Sequential(nn.Flatten(), nn.Linear(32, 2)), rows.space)
    views = (Affine(flip=1.0), Jitter(brightness=0, contrast=0.3))
    found = jensen.probe(Fitted(encoder, Integers(rows.space), [], {}), rows, shares=[1.0], views=views).views
    values = [found[name].value for name in found]
    assert next(iter(found)) == "as they are" and list(found)[-1] == "all views"
    assert values == [1.0, 0.0, 1.0, 0.0]


def fade(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return x * torch.rand(len(x), 1, 1, 1, generator=generator)


@few_steps
def test_the_views_looked_at_are_those_of_the_encoder_s_training(tmp_path: Path) -> None:
    rows = jensen.rows("digits", context="label")
    plan, told = jensen.Plan(steps=3, checks=1), Contrastive(views=(fade, Affine(flip=1.0)))
    alone = replace(rows, context=None)
    fitted = jensen.fit(
        "encoder", alone, objective=told, plan=plan, width=4, features=8, out=tmp_path / "run"
    )
    names = ["as they are", "fade", "Affine(flip=1.0)", "all views"]
    found = jensen.probe(fitted, rows, shares=[1.0]).views
    assert list(found) == names
    # a fade keeps the angle that neighbours are found by; a mirrored digit is another
    assert found["fade"].value == found["as they are"].value > 0.95 and found["Affine(flip=1.0)"].value < 0.6
    # a run on disk has their names alone: what suits the rows stands in
    lost = jensen.probe(jensen.load(tmp_path / "run"), rows, shares=[1.0]).views
    assert any("rotate=10" in name for name in lost)


@few_steps
@pytest.mark.parametrize("flip, holds", [(0.0, True), (1.0, None)])
def test_an_audit_says_what_views_do_to_the_labels_of_neighbours(flip: float, holds: bool | None) -> None:
    rows = jensen.rows("digits", context="label")
    told = Contrastive(views=(Jitter(0.2, 0.2), Affine(rotate=5, flip=flip)))
    alone, plan = replace(rows, context=None), jensen.Plan(steps=3, checks=1)
    fitted = jensen.fit("encoder", alone, objective=told, plan=plan, width=4, features=8)
    found = jensen.audit(fitted, rows)[-1]
    assert found.name == "views_keep_labels" and found.holds is holds
    assert "as they are 0.98" in found.evidence and ("weaken" in found.evidence) is (holds is None)
    assert jensen.audit(fitted, rows, checks=["views_keep_labels"]) == [found]
    assert all(one.name != "views_keep_labels" for one in jensen.audit(fitted, alone))
    numbers = jensen.rows("digits", context=np.random.default_rng(0).normal(size=1797))
    assert "one class a row" in jensen.audit(fitted, numbers, checks=["views_keep_labels"])[0].evidence
