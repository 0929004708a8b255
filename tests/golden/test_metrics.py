"""Metrics of samples against closed forms and against their definitions, written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen import metrics
from jensen.errors import Cannot, UsageError
from jensen.functional.frechet import frechet
from jensen.functional.kernel_distance import kernel_distance
from jensen.functional.neighbours import balls, kth_distance, nearest
from jensen.metrics.authenticity import authenticity
from jensen.metrics.coverage import prdc
from jensen.metrics.features import sets_of
from jensen.metrics.frechet import frechet_distance
from jensen.metrics.kernel import kernel_mmd
from jensen.metrics.memorisation import nearer_to_train
from jensen.metrics.two_sample import two_sample


def normal(n: int, d: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---------------------------------------------------------------------------------------------------------------
# Frechet distance
# ---------------------------------------------------------------------------------------------------------------


def with_moments(mean: Tensor, sd: Tensor, n: int = 64) -> Tensor:
    """Rows whose sample mean and (diagonal) covariance are exactly these."""
    x = normal(n, len(mean))
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1))).T
    return mean + sd * x


def test_frechet_distance_of_diagonal_covariances_is_its_closed_form() -> None:
    mean1, mean2 = torch.tensor([0.0, 1.0, 5.0]).double(), torch.tensor([1.0, 1.0, -2.0]).double()
    sd1, sd2 = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([3.0, 0.0, 0.25]).double()
    truth = ((mean1 - mean2) ** 2 + (sd1 - sd2) ** 2).sum()
    assert torch.allclose(frechet(with_moments(mean1, sd1), with_moments(mean2, sd2)), truth, rtol=1e-10)


def test_frechet_distance_of_full_covariances_is_that_of_the_matrix_square_root() -> None:
    from scipy.linalg import sqrtm

    x, y = normal(200, 5), normal(150, 5, 1) @ normal(5, 5, 2) + 0.3
    c1, c2 = (np.cov(side.numpy(), rowvar=False) for side in (x, y))
    truth = float(((x.mean(0) - y.mean(0)) ** 2).sum()) + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert float(frechet(x, y)) == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("n, d, scale", [(100, 30, 1.0), (20, 60, 1.0), (50, 20, 255.0)])
def test_frechet_distance_of_a_set_with_itself_is_zero(n: int, d: int, scale: float) -> None:
    x = normal(n, d, scale=scale)
    x[:, ::2] = 3.0  # constant columns: a singular covariance
    traces = 2 * float(x.var(0).sum())
    assert abs(float(frechet(x, x.clone()))) <= 1e-12 * traces
    assert frechet_distance(x, x).value <= 1e-12 * traces


def test_frechet_distance_is_the_same_from_few_rows_as_from_covariances() -> None:
    x, y = normal(12, 40), normal(50, 40, 1)
    pad = torch.cat([x, x, x, x, x])  # as many copies that the covariance route is taken
    few = frechet(x, y)
    ratio = (len(x) - 1) / len(x) * len(pad) / (len(pad) - 1)  # n - 1 against 5 n - 1
    shrunk = x.mean(0) + (x - x.mean(0)) * ratio**0.5
    assert torch.allclose(frechet(pad, y), frechet(shrunk, y), rtol=1e-9) and few > 0


def test_small_sets_are_warned_of_and_their_bias_is_named() -> None:
    found = frechet_distance(normal(40, 20), normal(40, 20, 1))  # one law: all of it is bias
    assert "bias" in found.how["notes"][0] and 0.5 * found.value < found.how["bias"] < 2 * found.value
    assert not frechet_distance(normal(400, 2), normal(400, 2, 1)).how["notes"]


def test_frechet_interval_covers_the_distance_of_as_many_rows() -> None:
    runs = [frechet_distance(normal(200, 3, s), normal(200, 3, 1000 + s) + 0.5) for s in range(40)]
    centre = np.mean([run.value for run in runs])
    inside = sum(run.interval[0] <= centre <= run.interval[1] for run in runs if run.interval)
    assert inside >= 33  # the 0.1 % point of 40 chances of 95 %


# ---------------------------------------------------------------------------------------------------------------
# Kernel distance
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [7, 1000])
def test_kernel_distance_is_the_double_sum_of_its_definition(chunk: int) -> None:
    x, y = normal(31, 4), normal(23, 4, 1) + 0.2

    def kernel(a: Tensor, b: Tensor) -> float:
        return float(a @ b / 4 + 1) ** 3

    xx = sum(kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (31 * 30)
    yy = sum(kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (23 * 22)
    xy = sum(kernel(a, b) for a in x for b in y) / (31 * 23)
    assert kernel_distance(x, y, chunk).value == pytest.approx(xx + yy - 2 * xy, rel=1e-10)


def test_kernel_distance_s_error_is_that_of_leaving_rows_out() -> None:
    x, y = normal(12, 3), normal(9, 3, 1) + 1
    without_x = [kernel_distance(torch.cat([x[:i], x[i + 1 :]]), y).value for i in range(12)]
    without_y = [kernel_distance(x, torch.cat([y[:i], y[i + 1 :]])).value for i in range(9)]
    variance = 11 / 12 * np.var(without_x) * 12 + 8 / 9 * np.var(without_y) * 9
    assert kernel_distance(x, y).error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_kernel_distance_is_unbiased_and_its_interval_covers() -> None:
    same = [kernel_mmd(normal(50, 3, s), normal(50, 3, 500 + s)).value for s in range(60)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(60)
    # x.y / d has a known third moment: E k(x, x') etc. for N(0, I) against N(m, I), d = 1: MMD^2 = 3 m^2 ... by sampling
    apart = [kernel_mmd(normal(200, 1, s), normal(200, 1, 500 + s) + 1) for s in range(40)]
    x, y = normal(20_000, 1, 9).flatten(), normal(20_000, 1, 10).flatten() + 1
    powers = torch.stack([torch.stack([side**k for k in range(4)]).mean(1) for side in (x, y)])
    truth = float((torch.tensor([1.0, 3.0, 3.0, 1.0]) * (powers[0] - powers[1]) ** 2).sum())
    inside = sum(one.interval[0] <= truth <= one.interval[1] for one in apart if one.interval)
    assert inside >= 33


# ---------------------------------------------------------------------------------------------------------------
# Neighbours
# ---------------------------------------------------------------------------------------------------------------


def plain_prdc(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    """The definitions of Kynkaanniemi et al. and Naeem et al., pair by pair."""

    def radius(x: Tensor) -> Tensor:
        return torch.stack([(x - row).norm(dim=1).sort().values[k] for row in x])

    distance = torch.stack([(fake - row).norm(dim=1) for row in real])
    inside = distance < radius(real)[:, None]
    recall = (distance < radius(fake)).any(1).double().mean()
    density = inside.sum(0).double().mean() / k
    return (
        float(inside.any(0).double().mean()),
        float(recall),
        float(density),
        float((distance.min(1).values < radius(real)).double().mean()),
    )


@pytest.mark.parametrize("n, m, d, k", [(60, 45, 3, 5), (40, 80, 20, 1), (30, 30, 2, 3)])
@pytest.mark.parametrize("chunk", [1, 16, 1024])
def test_precision_recall_density_and_coverage_are_their_definitions(
    n: int, m: int, d: int, k: int, chunk: int
) -> None:
    real, fake = normal(n, d), normal(m, d, 1) * 0.9 + 0.1
    found = prdc(real, fake, k=k, chunk=chunk)
    assert [one.value for one in found] == pytest.approx(plain_prdc(real, fake, k), abs=1e-12)


def test_neighbours_far_from_the_origin_are_still_told_apart() -> None:
    real, fake = normal(50, 3), normal(50, 3, 1)
    near = balls(real, fake, 3)
    far = balls(
        1e7 + real, 1e7 + fake, 3
    )  # |x|^2 is 1e14: without centring its rounding would be all there is
    assert torch.equal(near.in_real, far.in_real) and torch.equal(near.covered, far.covered)


def test_ties_of_whole_numbers_are_ties() -> None:
    line = torch.arange(20.0)[:, None] * 3 + 1000  # the next neighbour is exactly 3 away
    found = balls(line, line + 3, 1)
    assert found.real_radius.eq(3).all()
    assert found.in_real.tolist() == [1] * 19 + [0]  # its twin alone: a ball is open


@pytest.mark.parametrize("chunk", [3, 1024])
def test_nearest_and_kth_distance_are_those_of_all_pairs(chunk: int) -> None:
    x, y = normal(25, 4), normal(30, 4, 1)
    pairs = torch.cdist(x, y)
    distance, where = nearest(x, y, chunk)
    assert torch.allclose(distance, pairs.amin(1)) and torch.equal(where, pairs.argmin(1))
    own = torch.cdist(x, x).sort(1).values
    assert torch.allclose(kth_distance(x, 4, chunk), own[:, 4])
    assert torch.allclose(kth_distance(x, 24, chunk), own[:, 24])  # the farthest of all


def test_a_collapsed_model_has_precision_without_recall() -> None:
    real = normal(200, 2)
    collapsed = real[:1] + normal(200, 2, 1, scale=1e-3)
    found = prdc(real, collapsed)
    assert found.precision.value == 1 and found.recall.value <= 1 / 200 and found.coverage.value < 0.1


def test_rows_that_repeat_are_refused_or_noted() -> None:
    bits = torch.randint(0, 2, (500, 3), generator=torch.Generator().manual_seed(0)).double()
    with pytest.raises(Cannot, match="no radius"):
        prdc(bits, bits.flip(0))
    some = torch.cat([normal(100, 2), torch.zeros(10, 2).double()])
    assert "no radius" in prdc(some, normal(50, 2, 1)).recall.how["notes"][0]
    with pytest.raises(UsageError, match="neighbours"):
        prdc(normal(5, 2), normal(50, 2))


def test_authenticity_is_its_definition_and_sees_copies() -> None:
    train, fake = normal(80, 3), normal(60, 3, 1)
    pairs = torch.cdist(fake, train)
    own = torch.cdist(train, train).fill_diagonal_(torch.inf).amin(1)
    expected = float((own[pairs.argmin(1)] < pairs.amin(1)).double().mean())
    assert authenticity(train, fake).value == pytest.approx(expected)
    assert authenticity(train, train + 1e-6).value == 0


def test_memorisation_is_even_for_fresh_rows_and_one_for_copies() -> None:
    train, held = normal(400, 3), normal(400, 3, 1)
    fresh = nearer_to_train(train, held, normal(400, 3, 2))
    # two halves of the same law: 0.5 but for the noise of 400 samples and of the two halves themselves
    assert abs(fresh.value - 0.5) < 4 * 0.5 / np.sqrt(400)
    copies = nearer_to_train(train, held, train)
    assert copies.value == 1 and nearer_to_train(train, train, normal(50, 3, 3)).value == pytest.approx(
        0.5, abs=0.3
    )


# ---------------------------------------------------------------------------------------------------------------
# On models
# ---------------------------------------------------------------------------------------------------------------


class Copier:
    """Gives its training rows back."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        return np.asarray(self.rows[:n])


@pytest.fixture(scope="module")
def rows() -> jensen.Rows:
    return jensen.rows(normal(400, 3).numpy(), split=(200, 50, 150))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_every_metric_measures_whatever_samples(name: str, rows: jensen.Rows) -> None:
    found = metrics.measure(name, Copier(torch.from_numpy(np.asarray(rows.train[:]))), rows)
    assert isinstance(found, dict) and all(isinstance(one, jensen.Quantity) for one in found.values())
    again = metrics.measure(name, np.asarray(rows.train[:])[:150], rows)
    assert isinstance(again, dict) and {k: v.value for k, v in found.items()} == {
        k: v.value for k, v in again.items()
    }


def test_copies_are_seen_by_the_metrics_of_memory_alone(rows: jensen.Rows) -> None:
    model = Copier(torch.from_numpy(np.asarray(rows.train[:])))
    seen = metrics.measure("authenticity", model, rows)
    assert seen["authenticity"].value == 0 < seen["authenticity of held-out rows"].value
    assert metrics.measure("two-sample", model, rows)["p-value"].value > 0.01


def test_what_cannot_be_measured_says_why(rows: jensen.Rows) -> None:
    held = np.asarray(rows.test[:])
    assert metrics.measure("memorisation", held, held).startswith("cannot, because")
    assert "critic needs" in metrics.measure("two-sample", held[:10], held)
    with pytest.raises(UsageError, match="did you mean frechet"):
        metrics.measure("frechett", held, held)


def test_a_lens_is_in_evaluation_mode_and_keeps_its_own(rows: jensen.Rows) -> None:
    lens = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    lens[1].eval()
    first, second = (sets_of(np.asarray(rows.test[:]), rows, lens).fake for _ in range(2))
    assert torch.equal(first, second)
    assert [part.training for part in lens] == [True, False, True] and lens.training


def test_the_two_sample_test_tells_a_shift() -> None:
    found = two_sample(normal(300, 2), normal(300, 2, 1) + 1)
    assert (
        found["accuracy"].value > 0.6
        and found["p-value"].value < 0.01
        and found["JSD"].kind is jensen.Kind.LOWER
    )
