"""A lens sees what moves samples away from the data, says what it is blind to, and never mixes with another lens."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import jensen
from jensen.data import Rows
from jensen.errors import Cannot, Diverged, Incomparable, SpaceError, UsageError
from jensen.fitted import Fitted
from jensen.functional.frechet import frechet
from jensen.lens import Lens, lens_for, lens_unasked
from jensen.lensing import CONTROL, REAL, gaussian_rows
from jensen.metrics.frechet import frechet_multiple
from jensen.objectives.contrastive import Contrastive
from jensen.plan import Plan
from jensen.report import read_record
from jensen.space import Column, Space

pytestmark = pytest.mark.filterwarnings(
    "ignore:the representation has collapsed", "ignore:the posterior has collapsed"
)


@cache
def digits() -> Rows:
    return jensen.rows("digits", context="label")


@cache
def eye(steps: int = 150, seed: int = 0) -> Fitted:
    plan = Plan(steps=steps, checks=2, patience=0)
    return jensen.fit("encoder", jensen.rows("digits"), width=16, features=32, plan=plan, seed=seed)


@cache
def seen() -> jensen.Comparison:
    return jensen.compare(["independent", "mixture"], "digits", steps=100, lens=eye())


def noised(rows: np.ndarray, sizes: tuple[float, ...]) -> list[np.ndarray]:
    noise = np.random.default_rng(1).normal(size=rows.shape)
    return [np.clip(np.round(rows + size * noise), 0, 16) for size in sizes]


def blurred(rows: np.ndarray, times: tuple[int, ...]) -> list[np.ndarray]:
    found, x = [], rows.astype(float)
    for step in range(max(times) + 1):
        if step in times:
            found.append(np.clip(np.round(x), 0, 16))
        for axis in (2, 3):
            padded = np.pad(x, [(0, 0)] * axis + [(1, 1)] + [(0, 0)] * (3 - axis), mode="edge")
            shifted = [np.take(padded, np.arange(8) + k, axis) for k in range(3)]
            x = (shifted[0] + 2 * shifted[1] + shifted[2]) / 4
    return found


def with_fewer_modes(classes: tuple[int, ...]) -> list[np.ndarray]:
    data = digits()
    rows, labels = np.asarray(data.train[:]), data.context.train.ravel()  # type: ignore[union-attr]
    return [np.resize(rows[labels < count], rows.shape) for count in classes]


@pytest.mark.parametrize("harm", ["noise", "blur", "modes"])
def test_the_distance_in_the_lens_grows_with_the_harm_done(harm: str) -> None:
    """Every step is worse than the one before, and the worst one is worse than real by non-overlapping intervals."""
    data, lens = digits(), Lens(eye())
    train, held = np.asarray(data.train[:]), lens.embed(data.test[:])
    steps = {
        "noise": lambda: noised(train, (0.0, 1.0, 2.0, 4.0, 8.0)),
        "blur": lambda: blurred(train, (0, 1, 2, 4, 8)),
        "modes": lambda: with_fewer_modes((10, 8, 6, 4, 2)),
    }[harm]()
    first = lens.embed(train)
    multiples = [frechet_multiple(held, lens.embed(rows), first) for rows in steps]
    values = [one.value for one in multiples]
    assert values[0] == pytest.approx(1, abs=1e-9)
    assert all(a < b for a, b in pairwise(values))
    assert multiples[-1].interval is not None and multiples[-1].interval[0] > 2


def test_a_gaussian_with_the_data_s_moments_fools_the_rows_and_not_the_lens() -> None:
    gallery = seen().seen
    assert gallery is not None
    in_lens, in_rows = (gallery.number(CONTROL, space=space) for space in (0, 1))
    assert in_rows.value < gallery.number("independent", space=1).value / 2
    assert in_lens.interval is not None and in_rows.interval is not None
    assert in_lens.interval[0] > in_rows.interval[1]


def test_real_rows_are_as_far_as_real_rows() -> None:
    gallery = seen().seen
    assert gallery is not None
    for space in (0, 1):
        low, high = gallery.number(REAL, space=space).interval or (0, 0)
        assert low < 1 < high
    assert gallery.number(REAL, "coverage").value > 0.9


def test_the_interval_of_a_multiple_holds_the_ratio_of_the_expectations() -> None:
    """85 of 100 intervals at least: 95 % less 4.5 standard errors of a share of a hundred."""
    generator = torch.Generator().manual_seed(0)

    def draw(shift: float) -> torch.Tensor:
        return torch.randn(150, 2, generator=generator, dtype=torch.float64) + shift

    triples = [(draw(0), draw(0.4), draw(0)) for _ in range(100)]
    far, near = (sum(float(frechet(t[0], t[k])) for t in triples) for k in (1, 2))
    found = [frechet_multiple(x, y, t).interval or (0.0, 0.0) for x, y, t in triples]
    assert sum(low <= far / near <= high for low, high in found) >= 85


def test_numbers_through_another_lens_do_not_compare() -> None:
    other = jensen.compare(["independent"], "digits", lens=eye(20, seed=1)).seen
    mine = seen().seen
    assert mine is not None and other is not None and mine.lens.hash != other.lens.hash
    with pytest.raises(Incomparable, match="another lens"):
        mine.number("independent") - other.number("independent")
    with pytest.raises(Incomparable, match="another lens"):
        mine.number("independent") - mine.number("independent", space=1)
    assert (mine.number("independent") - mine.number(CONTROL)).value > 0


def test_text_record_and_page_say_the_lens_and_what_it_is_blind_to(tmp_path: Path) -> None:
    result = seen()
    text, record = result.table(), json.loads(json.dumps(result.to_dict()))
    page = result.to_html(tmp_path / "report.html")
    assert result.seen is not None
    name = result.seen.lens.name
    for said in (text, page.read_text()):
        assert name in said and "rotate=10" in said and CONTROL in said
    assert (
        page.read_text().count('aria-label="Map of') == 2
        and "taught to take for the same" in page.read_text()
    )
    assert read_record(page)["lens"] == record["lens"]
    numbers = record["lens"]["sights"][0]["numbers"]
    assert all(one["how"]["lens"] == space for space, found in numbers.items() for one in found.values())
    assert record["lens"]["n"] == len(result.data.test)


def test_the_map_shows_the_plane_in_which_held_out_features_spread_most() -> None:
    gallery = seen().seen
    assert gallery is not None
    held = np.asarray(gallery.lens.embed(seen().data.test[:]), np.float64)
    values = np.linalg.eigvalsh(np.cov(held.T))
    assert gallery.share == pytest.approx(values[-2:].sum() / values.sum(), rel=1e-6)
    every = gallery.points.shape == (400, 2) and len(gallery.sights[0].points) == 400  # type: ignore[arg-type]
    assert every and np.abs(np.corrcoef(gallery.points.T)[0, 1]) < 0.2


def test_views_are_shown_beside_the_image_they_come_from() -> None:
    rows = np.asarray(digits().test[:3])
    views = Lens(eye()).views(rows, 4, 0)
    assert views is not None and views.shape == (3, 5, 1, 8, 8)
    assert np.array_equal(views[:, 0], rows) and set(np.unique(views)) <= set(range(17))
    near = [np.abs(views[:, 1:] - rows[k]).mean((1, 2, 3, 4)) for k in range(3)]
    assert all(np.argmin(gap) == k and gap[k] > 0 for k, gap in enumerate(near))
    plan = Plan(steps=3, checks=1)
    assert Lens(jensen.fit("vae", "digits", plan=plan, latents=2, hidden=(8,))).views(rows, 4, 0) is None


def test_a_lens_is_trained_on_request_within_a_share_of_the_budget() -> None:
    result = jensen.compare(["independent"], "wine", lens="train", steps=20)
    assert result.seen is not None
    lens = result.seen.lens
    assert lens.fitted.record["run"]["steps"] == 20 and "Corruption" in lens.blind
    assert lens.fitted.record["data"]["hash"] == result.data.hash and not result.seen.sights[0].why_not


def test_images_get_a_lens_within_a_third_of_the_budget_unless_told_otherwise() -> None:
    seen = jensen.compare(["independent"], "digits", steps=150).seen
    assert seen is not None and seen.lens.fitted.record["run"]["steps"] == 50
    assert "rotate=10" in seen.lens.blind and seen.number("independent").value > 1
    assert jensen.compare(["independent"], "digits", steps=150, lens=None).seen is None


@pytest.mark.parametrize(
    ("rows", "plan"),
    [
        (lambda: jensen.rows("wine"), Plan()),  # a table
        (digits, Plan(steps=149)),  # 49 steps teach nothing
        (lambda: jensen.rows(np.asarray(digits().test[:])), Plan()),  # 318 training rows
        (lambda: jensen.rows(np.asarray(digits().train[:]), space=Space.categorical((1, 8, 8), 17)), Plan()),
    ],
)
def test_no_lens_is_trained_unasked_where_it_would_know_little(
    rows: Callable[[], Rows], plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jensen.lens.fit", lambda *_, **__: pytest.fail("a lens was trained"))
    assert lens_unasked(rows(), plan, 0) == (None, "")


def test_a_lens_nobody_asked_for_does_not_stop_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object, **__: object) -> Fitted:
        raise Diverged("training diverged", "step 3", "lower the rate")

    monkeypatch.setattr("jensen.lens.fit", break_off)
    result = jensen.compare(["independent"], "digits")
    assert result.seen is None and result.entries[0].scores is not None
    assert any("no lens" in note and "step 3" in note for note in result.to_dict()["data"]["notes"])


def faded(x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    return x * torch.rand(len(x), 1, 1, 1, generator=generator)


def test_views_of_ones_own_are_drawn_where_they_were_passed_and_missed_once_they_are_lost(
    tmp_path: Path,
) -> None:
    plan, rows = Plan(steps=20, checks=1), np.asarray(digits().test[:3])
    told = Contrastive(views=faded)
    fitted = jensen.fit("encoder", jensen.rows("digits"), objective=told, plan=plan, out=tmp_path / "eye")
    views = Lens(fitted).views(rows, 2, 0)
    assert views is not None and np.array_equal(views[:, 0], rows)
    # fading keeps the order of the levels: no pixel grows, and black stays black
    assert (views[:, 1:] <= rows[:, None]).all() and views[:, 1:].sum() < 0.8 * 2 * rows.sum()
    again = jensen.load(tmp_path / "eye")
    assert Lens(again).views(rows, 2, 0) is None and Lens(again).blind == "faded"
    for one, drawn in ((fitted, True), (again, False)):
        result = jensen.compare(["independent"], "digits", lens=one)
        page = result.to_html(tmp_path / f"{drawn}.html").read_text()
        assert ("taught to take for the same" in page) is drawn and ("names alone" in page) is not drawn


def test_models_given_a_context_are_judged_on_the_mixture_of_the_held_out_rows() -> None:
    made = jensen.fit("made", digits(), steps=5, hidden=(16,))
    result = jensen.compare(made, digits(), lens=eye())
    assert result.seen is not None and result.seen.number("made").value > 1


def test_a_model_that_cannot_sample_says_so_in_its_place() -> None:
    result = jensen.compare({"eye": eye(), "independent": "independent"}, "digits", lens=eye())
    assert result.seen is not None
    sights = {one.name: one for one in result.seen.sights}
    assert "cannot sample" in sights["eye"].why_not and not sights["independent"].why_not
    assert "eye: cannot" in result.table()


def test_principal_components_stand_for_wide_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are a rotation, which no distance sees; among whole numbers it breaks ties of neighbours."""
    monkeypatch.setattr("jensen.lensing.WIDEST", 63)
    turned, plain = jensen.compare(["independent"], "digits", lens=eye()).seen, seen().seen
    assert turned is not None and plain is not None and turned.spaces[1] == "64 principal components"
    one, other = (gallery.number(CONTROL, space=1).value for gallery in (turned, plain))
    assert one == pytest.approx(other, rel=1e-6)


def test_bits_are_not_judged_among_grey_rows() -> None:
    bits = jensen.fit("independent", jensen.rows("digits", binarise=0.5))
    found = jensen.compare(bits, "digits", lens=eye()).seen
    assert found is not None and "another space" in found.sights[0].why_not


def test_a_lens_of_another_split_is_doubted() -> None:
    data = jensen.rows("digits", seed=5)
    assert any("may have seen" in note for note in lens_for(eye(), data, Plan(), 0).notes)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: "eye", UsageError, "'train'"),
        (lambda: 3, UsageError, "'train'"),
        (lambda: jensen.fit("independent", "digits"), Cannot, "cannot embed"),
        (lambda: jensen.fit("encoder", "wine", steps=2), SpaceError, "expected rows of shape"),
        (lambda: jensen.fit("vae", digits(), steps=2, latents=2, hidden=[8]), Cannot, "rows alone"),
    ],
)
def test_what_is_no_lens_is_named_before_anything_is_fitted(
    make: object, error: type[Exception], words: str
) -> None:
    lens = make()  # type: ignore[operator]
    stages: list[str] = []
    with pytest.raises(error, match=words):
        jensen.compare(["made"], "digits", lens=lens, watch=lambda model, *_: stages.append(model))
    assert not stages


def test_the_control_has_the_moments_of_the_data_and_lies_in_their_space() -> None:
    rows = np.asarray(digits().train[:])
    control = gaussian_rows(digits().space, rows, 4000, 0)
    assert digits().space.shape == control.shape[1:] and set(np.unique(control)) <= set(range(17))
    x = np.random.default_rng(0).normal(size=(3000, 3)) @ np.array([[1, 2, 0], [0, 1, 1], [0, 0, 1.0]])
    y = gaussian_rows(Space.real(3), x, 3000, 1)
    # five standard errors: of a mean 1 / sqrt(3000), of a covariance sqrt(2 / 3000), in units of the largest variance
    assert np.abs(y.mean(0) - x.mean(0)).max() < 5 * np.sqrt(6 / 3000)
    assert np.abs(np.cov(y.T) - np.cov(x.T)).max() < 5 * 6 * np.sqrt(2 / 3000)
    kinds = Space((2,), (Column("categorical", 3), Column("real")))
    with pytest.raises(Cannot, match="no mean"):
        gaussian_rows(kinds, np.zeros((5, 2)), 5, 0)
