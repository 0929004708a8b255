"""Divergences, evidence and the judges of importance weights, against closed forms, quadrature and known tails."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import genpareto, norm
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from jensen.data.targets import target
from jensen.errors import UsageError
from jensen.functional import divergence
from jensen.functional.divergence import f_divergence, jsd_lower
from jensen.functional.divergence_terms import FORMS
from jensen.functional.evidence import evidence
from jensen.functional.importance import effective_share, log_mean_exp, pareto_fit, pareto_k, tail_index
from jensen.functional.intervals import half_sum_interval
from jensen.quantity import Kind

MEAN, SCALE = 0.5, 1.2
"""p = N(0, 1), q = N(MEAN, SCALE^2)."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normals(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, generator=seeded(seed), dtype=torch.float64)


def log_normal(x: Tensor, mean: float = 0.0, scale: float = 1.0) -> Tensor:
    return -0.5 * ((x - mean) / scale).square() - math.log(scale) - 0.5 * math.log(2 * math.pi)


def pair(x: Tensor, mean: float = MEAN, scale: float = SCALE) -> tuple[Tensor, Tensor]:
    return log_normal(x), log_normal(x, mean, scale)


def at_samples(
    n: int, seed: int, mean: float = MEAN, scale: float = SCALE
) -> dict[str, tuple[Tensor, Tensor]]:
    z = normals(2 * n, seed)
    return {"at_p": pair(z[:n], mean, scale), "at_q": pair(mean + scale * z[n:], mean, scale)}


def integral(f: Callable[[float, float], float], mean: float, scale: float) -> float:
    """The integral of f(p(x), q(x))."""
    width = 12 * max(1.0, scale)
    found = quad(
        lambda x: f(norm.pdf(x), norm.pdf(x, mean, scale)), -width, mean + width, limit=400, epsabs=1e-11
    )
    return float(found[0])


def truths(mean: float = MEAN, scale: float = SCALE) -> dict[str, float]:
    """Closed forms, and quadrature where there is none."""
    m, v = mean, scale**2

    def jensen_shannon(p: float, q: float) -> float:
        half = (p + q) / 2
        return sum(a * math.log(a / half) / 2 for a in (p, q) if a > 0)

    return {
        "kl": math.log(scale) + (1 + m * m) / (2 * v) - 0.5,
        "reverse-kl": -math.log(scale) + (v + m * m) / 2 - 0.5,
        "chi-squared": v / math.sqrt(2 * v - 1) * math.exp(m * m / (2 * v - 1)) - 1,
        "squared-hellinger": 1 - math.sqrt(2 * scale / (1 + v)) * math.exp(-m * m / (4 * (1 + v))),
        "jensen-shannon": integral(jensen_shannon, mean, scale),
        "total-variation": integral(lambda p, q: abs(p - q) / 2, mean, scale),
    }


SIDES = [("at_p",), ("at_q",), ("at_p", "at_q")]


# ---------------------------------------------------------------------------------------------------------------
# The estimates
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sides, form", [(SIDES[0], "plain"), (SIDES[1], "plain"), *((sides, "nonnegative") for sides in SIDES)]
)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_has_the_divergence_as_its_expectation(
    name: str, sides: tuple[str, ...], form: str
) -> None:
    pairs = {side: pairs for side, pairs in at_samples(200_000, 1).items() if side in sides}
    found = f_divergence(name, **pairs, form=form, level=0.999999)
    assert found.interval is not None
    low, high = found.interval
    assert low <= truths()[name] <= high
    assert high - low < 0.06
    assert found.kind is Kind.ESTIMATE
    assert found.unit == ("nats" if "kl" in name or name == "jensen-shannon" else "")


def coverage(name: str, sides: tuple[str, ...], repeats: int = 300) -> tuple[int, int]:
    """How many of the intervals hold the truth, and how many of them are doubted in `how`."""
    truth, hits, doubted = truths()[name], 0, 0
    for seed in range(repeats):
        found = f_divergence(
            name, **{side: pairs for side, pairs in at_samples(600, seed).items() if side in sides}
        )
        assert found.interval is not None
        hits += found.interval[0] <= truth <= found.interval[1]
        doubted += any("too narrow" in note for note in found.how["notes"])
    return hits, doubted


@pytest.mark.parametrize(
    "name, sides", [(n, s) for n in FORMS for s in SIDES if (n, s) != ("reverse-kl", ("at_p",))]
)
def test_intervals_cover_the_divergence_as_often_as_they_say(name: str, sides: tuple[str, ...]) -> None:
    assert abs(coverage(name, sides)[0] - 285) <= 4 * math.sqrt(300 * 0.95 * 0.05)


def test_an_interval_without_four_moments_covers_less_and_says_so() -> None:
    """Reverse KL from samples of a p narrower than q: the terms have a tail index of 0.3 whatever the form."""
    hits, doubted = coverage("reverse-kl", ("at_p",))
    assert 200 < hits < 278
    assert doubted > 285


@pytest.mark.parametrize("sides", SIDES, ids=" ".join)
@pytest.mark.parametrize("name", FORMS)
def test_a_divergence_is_zero_of_equal_laws_and_never_negative(name: str, sides: tuple[str, ...]) -> None:
    x = normals(50)
    same = {side: pair(x, 0.0, 1.0) for side in sides}
    assert f_divergence(name, **same).value == 0
    for mean in (1e-9, 1e-4, 30.0):
        pairs = at_samples(50, 0, mean, 1.0)
        assert f_divergence(name, **{side: pairs[side] for side in sides}, form="nonnegative").value >= 0


@pytest.mark.parametrize("name", FORMS)
def test_samples_of_both_laws_agree_with_samples_of_one_on_the_same_ratios(name: str) -> None:
    """h under the mixture, times (1 + e^-t) / 2, is the term under p: the identity behind the three estimators."""
    t = torch.linspace(-20, 20, 81, dtype=torch.float64)
    term = FORMS[name].term(t)
    for side in ("p", "q"):
        one = [
            f_divergence(name, **{f"at_{side}": (a[None], torch.zeros(1))}, form="nonnegative").value
            for a in t
        ]
        factor = (1 + (-t if side == "p" else t).exp()) / 2
        assert torch.allclose(torch.tensor(one, dtype=torch.float64), term * factor, rtol=1e-9, atol=1e-9)


def test_the_nonnegative_form_of_kl_has_less_noise_near_equality() -> None:
    close = at_samples(4000, 0, 0.1, 1.0)["at_p"]
    plain, better = (f_divergence("kl", close, form=form).interval for form in ("plain", "nonnegative"))
    assert plain is not None and better is not None
    assert (better[1] - better[0]) < 0.2 * (plain[1] - plain[0])


def test_a_wide_q_makes_the_automatic_form_of_kl_plain_and_says_so() -> None:
    """For q = N(0, 3^2) the terms q/p - 1 have no variance under p, and the plain form has all moments."""
    found = f_divergence("kl", at_samples(4000, 0, 0.0, 3.0)["at_p"])
    assert found.how["form"] == "plain"
    assert found.interval is not None and found.interval[0] <= truths(0.0, 3.0)["kl"] <= found.interval[1]
    stubborn = f_divergence("kl", at_samples(4000, 0, 0.0, 3.0)["at_p"], form="nonnegative")
    assert stubborn.how["k_hat"] > 0.5
    assert any("too narrow" in note for note in stubborn.how["notes"])


def test_an_interval_is_cut_to_the_range_and_a_value_is_not() -> None:
    few = at_samples(4, 0, 3.0, 1.0)
    cut = f_divergence("total-variation", **few)
    assert cut.interval is not None and cut.interval[1] <= 1
    assert "interval cut to [0, 1]" in cut.how["notes"]
    outside = f_divergence(
        "total-variation", at_p=(torch.zeros(3), torch.full((3,), 3.0)), form="nonnegative"
    )
    assert outside.value > 1 and any("not clipped" in note for note in outside.how["notes"])


def test_laws_that_share_no_support_are_as_far_apart_as_can_be() -> None:
    zeros, never = torch.zeros(9), torch.full((9,), -math.inf)
    apart = {"at_p": (zeros, never), "at_q": (never, zeros)}
    for name, most in {
        "jensen-shannon": math.log(2),
        "squared-hellinger": 1.0,
        "total-variation": 1.0,
    }.items():
        assert f_divergence(name, **apart).value == pytest.approx(most, abs=1e-15)
    for name in ("kl", "reverse-kl", "chi-squared"):
        assert f_divergence(name, **apart).value == math.inf


def test_the_named_functions_are_the_catalogue() -> None:
    pairs = at_samples(100, 0)
    for name in FORMS:
        function = getattr(divergence, name.replace("-", "_"))
        assert function(**pairs) == f_divergence(name, **pairs)


def test_what_is_no_log_ratio_is_refused_with_what_to_do() -> None:
    good = pair(normals(4))
    with pytest.raises(UsageError, match="did you mean kl"):
        f_divergence("k l", good)
    with pytest.raises(UsageError, match="got samples of neither"):
        f_divergence("kl")
    with pytest.raises(UsageError, match="got samples of p and q and form='plain'"):
        f_divergence("kl", good, good, form="plain")
    with pytest.raises(UsageError, match="same samples"):
        f_divergence("kl", (torch.zeros(3), torch.zeros(4)))
    with pytest.raises(UsageError, match="sample 1 got log_p = -inf"):
        f_divergence("kl", (torch.tensor([0.0, -math.inf]), torch.zeros(2)))
    with pytest.raises(UsageError, match="sample 0 got"):
        f_divergence("kl", at_q=(torch.zeros(1), torch.tensor([math.nan])))


# ---------------------------------------------------------------------------------------------------------------
# F1 to F3: bijections
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
def test_a_bijection_changes_no_f_divergence_on_the_same_samples(name: str) -> None:
    """F3, for y = sinh(2 x) + x: both log densities lose the same log-Jacobian, sample by sample."""

    def mapped(pairs: tuple[Tensor, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        y = ((2 * x).sinh() + x).requires_grad_()
        back = x.clone()
        for _ in range(
            60
        ):  # the inverse by Newton from y, so that a point is carried over and not remembered
            back = back - ((2 * back).sinh() + back - y) / (2 * (2 * back).cosh() + 1)
        (slope,) = torch.autograd.grad(back.sum(), y)
        again, log_slope = pair(back.detach()), slope.log()
        assert torch.allclose(again[0], pairs[0], atol=1e-10)
        return again[0] + log_slope, again[1] + log_slope

    z = normals(2000)
    x_p, x_q = z[:1000], MEAN + SCALE * z[1000:]
    before = f_divergence(name, pair(x_p), pair(x_q))
    after = f_divergence(name, mapped(pair(x_p), x_p), mapped(pair(x_q), x_q))
    assert after.value == pytest.approx(before.value, abs=1e-10)
    assert after.interval == pytest.approx(before.interval, abs=1e-10)


def test_forward_and_reverse_kl_are_the_same_on_both_sides_of_an_affine_flow() -> None:
    """F1 and F2: x = A u + b, X normal. KL(X || F(U)) = KL(F^-1(X) || U) and the reverse, in closed form."""
    generator = seeded()
    a, root = (torch.randn(3, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    b, mean = (torch.randn(3, generator=generator, dtype=torch.float64) for _ in range(2))
    covariance = root @ root.T + torch.eye(3)
    data = MultivariateNormal(mean, covariance)
    model = MultivariateNormal(b, a @ a.T)
    back = torch.linalg.inv(a)
    base = MultivariateNormal(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    pulled = MultivariateNormal(back @ (mean - b), back @ covariance @ back.T)
    assert torch.allclose(kl_divergence(data, model), kl_divergence(pulled, base), rtol=1e-9)
    assert torch.allclose(kl_divergence(model, data), kl_divergence(base, pulled), rtol=1e-9)

    u = torch.randn(50_000, 3, generator=generator, dtype=torch.float64)
    x = u @ a.T + b  # samples of the model, and of the base before the flow
    for name, first, second in (("kl", data, model), ("reverse-kl", model, data)):
        at_x = f_divergence(name, at_q=(data.log_prob(x), model.log_prob(x)), form="plain", level=0.9999)
        at_u = f_divergence(name, at_q=(pulled.log_prob(u), base.log_prob(u)), form="plain", level=0.9999)
        assert at_x.value == pytest.approx(at_u.value, rel=1e-8)
        if name == "reverse-kl":
            assert at_x.interval is not None
            assert at_x.interval[0] <= kl_divergence(first, second) <= at_x.interval[1]


# ---------------------------------------------------------------------------------------------------------------
# A critic's bound
# ---------------------------------------------------------------------------------------------------------------


def test_the_best_critic_attains_the_jsd_and_any_other_stays_below() -> None:
    pairs = at_samples(100_000, 2)
    real, fake = (log_p - log_q for log_p, log_q in pairs.values())
    truth = truths()["jensen-shannon"]
    best = jsd_lower(real, fake, level=0.999999)
    assert best.kind is Kind.LOWER and best.unit == "nats" and best.interval is not None
    assert best.interval[0] <= truth <= best.interval[1]
    for spoil in (lambda t: 0 * t, lambda t: 2 * t, lambda t: -t, lambda t: t + 1):
        worse = jsd_lower(spoil(real), spoil(fake))
        assert worse.interval is not None and worse.interval[1] < truth


def test_a_critic_that_cannot_tell_bounds_the_jsd_by_zero_and_one_that_always_can_by_log_two() -> None:
    assert jsd_lower(torch.zeros(5), torch.zeros(7)).value == pytest.approx(0, abs=1e-15)
    sure = jsd_lower(torch.full((5,), 1e4), torch.full((7,), -1e4))
    assert sure.value == math.log(2) and sure.interval == (math.log(2), math.log(2))
    with pytest.raises(UsageError, match="at least one row"):
        jsd_lower(torch.zeros(0), torch.zeros(3))


def test_the_interval_of_half_a_sum_covers_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(400):
        z = normals(25, seed).numpy()
        low, high = half_sum_interval(3 * z[:5], z[5:])
        hits += low <= 0 <= high
    assert abs(hits - 380) <= 4 * math.sqrt(400 * 0.95 * 0.05)
    assert half_sum_interval(z[:1], z) == (-math.inf, math.inf)


# ---------------------------------------------------------------------------------------------------------------
# log Z
# ---------------------------------------------------------------------------------------------------------------


def wells(n: int, seed: int) -> tuple[Tensor, Tensor, float]:
    """Log weights of a wide Gaussian for the double well, at samples of the Gaussian and of the well."""
    law = target("double-well")
    assert law.sample is not None
    wide = Normal(
        torch.tensor([0.0, 0.0], dtype=torch.float64), torch.tensor([2.0, 1.2], dtype=torch.float64)
    )
    q = torch.randn(n, 2, generator=seeded(seed), dtype=torch.float64) * wide.scale
    p = law.sample(n, seeded(seed + 1))
    below, above = (law(x) - wide.log_prob(x).sum(1) for x in (q, p))
    return below, above, law.log_z


def test_log_z_lies_between_the_bounds() -> None:
    at_q, at_p, log_z = wells(20_000, 0)
    found = evidence(at_q, at_p, level=0.9999)
    assert found.above is not None
    below, above = found.below, found.above
    assert below.mean.kind is below.tight.kind is Kind.LOWER
    assert above.mean.kind is above.tight.kind is Kind.UPPER
    assert below.mean.value < below.tight.value < above.mean.value
    assert below.surely < log_z < above.surely
    for tight in (below.tight, above.tight):
        assert tight.interval is not None and tight.interval[0] <= log_z <= tight.interval[1]
    assert below.tail.reliable
    # a proposal wider than its target is good from below, and from above its inverse weights have no mean square
    assert not above.tail.reliable and "too narrow" in above.tight.how["note"]


def test_the_bounds_hold_in_expectation_however_few_the_samples() -> None:
    """With 4 samples the log of the mean weight is far below log Z on average, and its mirror image far above."""
    _, _, log_z = wells(4, 0)
    lows, highs = [], []
    for seed in range(0, 800, 2):
        at_q, at_p, _ = wells(4, seed)
        found = evidence(at_q, at_p)
        assert found.above is not None
        assert found.below.mean.value <= found.below.tight.value
        assert found.above.tight.value <= found.above.mean.value
        lows.append(found.below.tight.value)
        highs.append(found.above.tight.value)
    low, high = torch.tensor(lows), torch.tensor(highs)
    assert low.mean() + 4 * low.std() / 20 < log_z < high.mean() - 4 * high.std() / 20


def test_the_bound_of_markov_fails_no_more_often_than_it_says_though_the_weights_have_no_variance() -> None:
    """Weights U^(-0.9) / 10 have mean 1 and a tail index of 0.9."""
    fails, repeats = 0, 2000
    for seed in range(repeats):
        u = torch.rand(20, generator=seeded(seed), dtype=torch.float64)
        fails += evidence(-0.9 * u.log() + math.log(0.1), level=0.8).below.surely > 0
    assert 0 < fails <= 0.2 * repeats


def test_the_interval_of_log_z_covers_as_often_as_it_says() -> None:
    """Weights of N(0, 1.3^2) for N(0, 1), log Z = 0."""
    hits = 0
    for seed in range(300):
        x = 1.3 * normals(500, seed)
        interval = evidence(log_normal(x) - log_normal(x, 0, 1.3)).below.tight.interval
        assert interval is not None
        hits += interval[0] <= 0 <= interval[1]
    assert abs(hits - 285) <= 4 * math.sqrt(300 * 0.95 * 0.05)


def test_a_lost_tail_leaves_every_sign_healthy_from_below_and_forward_kl_shows_it() -> None:
    """The trap: q is the banana without its 2 % tail. No sample of q can know; samples of the target do."""
    law = target("banana")
    assert law.sample is not None
    edge, scale = 23.263478740408408, 9.5  # P(|N(0, 10^2)| < edge) = 0.98

    def log_q(x: Tensor) -> Tensor:
        kept = math.erf(edge / scale / math.sqrt(2))
        first = log_normal(x[:, 0], 0, scale) - math.log(kept)
        inside = torch.where(x[:, 0].abs() <= edge, first, -math.inf)
        return inside + log_normal(x[:, 1] - 0.03 * (x[:, 0].square() - 100))

    z = torch.randn(40_000, 2, generator=seeded(), dtype=torch.float64)
    first = scale * z[:, 0]
    q = torch.stack([first, z[:, 1] + 0.03 * (first.square() - 100)], 1)[first.abs() <= edge]
    p = law.sample(2000, seeded(1))
    found = evidence(law(q) - log_q(q), law(p) - log_q(p))
    below, above = found.below, found.above
    assert above is not None and below.tight.interval is not None
    assert below.share > 0.95 and below.tail.reliable
    assert below.tight.interval[1] < law.log_z  # the interval excludes the truth
    assert below.tight.value == pytest.approx(math.log(0.98), abs=0.01)
    assert "not log Z" in below.tight.how["note"]
    assert below.surely < law.log_z
    assert above.mean.value == math.inf
    assert f_divergence("kl", at_p=(law(p), log_q(p))).value == math.inf
    assert f_divergence("kl", at_q=(law(q), log_q(q))).value < 0.02


# ---------------------------------------------------------------------------------------------------------------
# The judges of weights
# ---------------------------------------------------------------------------------------------------------------


def test_equal_weights_are_all_effective_and_one_weight_alone_is_one_sample() -> None:
    assert effective_share(torch.full((50,), -1e5)) == pytest.approx(1)
    assert effective_share(torch.tensor([0.0] + [-1e4] * 49)) == pytest.approx(1 / 50)
    assert effective_share(torch.full((3,), -math.inf)) == 0
    x = 1.3 * normals(400_000)
    chi_squared = 1.69 / math.sqrt(2 * 1.69 - 1) - 1
    assert effective_share(log_normal(x) - log_normal(x, 0, 1.3)) == pytest.approx(
        1 / (1 + chi_squared), rel=5e-3
    )


def test_the_mean_of_weights_does_not_overflow() -> None:
    log_w = torch.tensor([[1e4, 1e4 + math.log(3)], [-1e4, -math.inf]], dtype=torch.float64)
    assert log_mean_exp(log_w).tolist() == pytest.approx([1e4 + math.log(2), -1e4 - math.log(2)])


@pytest.mark.parametrize("k", [0.1, 0.5, 1.0, 2.0])
def test_a_generalised_pareto_fit_finds_the_shape_and_scale(k: float) -> None:
    m = 20_000
    u = torch.rand(m, generator=seeded(), dtype=torch.float64)
    x = 3 * (u**-k - 1) / k
    shape, scale = pareto_fit(x)
    assert abs(shape - k) < 5 * (1 + k) / math.sqrt(m)  # the asymptotic standard errors of maximum likelihood
    assert abs(scale / 3 - 1) < 5 * math.sqrt(2 * (1 + k) / m)
    peer, _, peer_scale = genpareto.fit(x[:2000].numpy(), floc=0)
    assert pareto_fit(x[:2000]) == pytest.approx((peer, peer_scale), rel=0.02, abs=0.01)


@pytest.mark.parametrize("k", [0.3, 0.6, 0.9, 1.5])
def test_k_hat_is_the_tail_index_of_the_weights(k: float) -> None:
    """Weights U^-k have an exact tail index of k; the prior of ten values at 0.5 pulls a little."""
    n = 100_000
    u = torch.rand(n, generator=seeded(3), dtype=torch.float64)
    tail = pareto_k(-k * u.log())
    size = math.ceil(3 * math.sqrt(n))
    expected = (size * k + 5) / (size + 10)
    assert tail.k == pytest.approx(expected, abs=5 * (1 + k) / math.sqrt(size))
    assert tail.threshold == 0.7 and tail.reliable == (k < 0.7)


def test_the_threshold_grows_with_the_number_of_weights() -> None:
    for n, threshold in {100: 0.5, 1000: 2 / 3, 10_000: 0.7}.items():
        assert pareto_k(normals(n)).threshold == pytest.approx(threshold)
    few = pareto_k(torch.zeros(20))
    assert few.k is None and not few.reliable
    assert not pareto_k(torch.zeros(1)).reliable


def test_light_tails_have_an_index_near_or_below_zero() -> None:
    uniform = tail_index(torch.rand(100_000, generator=seeded(), dtype=torch.float64)).k
    assert uniform is not None and uniform < -0.8
    exponential = tail_index(-torch.rand(100_000, generator=seeded(), dtype=torch.float64).log()).k
    assert exponential == pytest.approx(0, abs=5 / math.sqrt(949) + 0.01)
    assert pareto_k(torch.zeros(100)).k == -math.inf
    assert pareto_k(torch.full((100,), -math.inf)).k == -math.inf


def test_one_weight_that_carries_everything_is_not_reliable() -> None:
    tail = pareto_k(torch.tensor([0.0] + [-1000.0] * 999))
    assert tail.k == math.inf and not tail.reliable
    found = evidence(torch.tensor([0.0] + [-1000.0] * 999)).below.tight
    assert "too narrow" in found.how["note"]


def test_what_is_no_weight_is_refused() -> None:
    for bad in (torch.zeros(2, 2), torch.zeros(0)):
        with pytest.raises(UsageError, match="one log weight a sample"):
            evidence(bad)
    for value in (math.nan, math.inf):
        with pytest.raises(UsageError, match="sample 1 got"):
            evidence(torch.tensor([0.0, value]))
    with pytest.raises(UsageError, match="positive values"):
        pareto_fit(torch.zeros(10))
