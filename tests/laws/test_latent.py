"""Bounds of models with latents, where the truth is known: the linear-Gaussian model, sums over all rows, quadrature."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from latent_models import BITS, COLUMNS, LATENTS, VARIANTS, linear, rows_of, seeded, strong
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from jensen.checks import run
from jensen.errors import SpaceError, UsageError
from jensen.functional.bounds import certified, iwae, upper
from jensen.functional.enumerate import all_rows
from jensen.functional.paths import untouched
from jensen.latent import POOL, LatentModel
from jensen.models.ppca import PPCA
from jensen.models.vae import VAE
from jensen.objectives import parse_objective
from jensen.posteriors import POSTERIORS, posterior_for
from jensen.priors import prior_for
from jensen.space import Space

# --- the linear-Gaussian model ---------------------------------------------------------------------------------------


def exact_law(model: PPCA) -> MultivariateNormal:
    weight, scale = model.weight.detach(), model.log_scale.detach().exp()
    return MultivariateNormal(
        model.mean.detach(), weight @ weight.T + scale**2 * torch.eye(COLUMNS, dtype=weight.dtype)
    )


def test_the_linear_model_states_its_law() -> None:
    model = linear()
    x = rows_of(model, 50)
    assert torch.allclose(model.log_prob(x), exact_law(model).log_prob(x), rtol=0, atol=1e-10)


def test_solving_finds_the_maximum_of_the_likelihood() -> None:
    model = linear()
    x = rows_of(model, 400)
    model.solve(x)
    loss = -model.log_prob(x).mean()
    gradients = torch.autograd.grad(loss, [model.weight, model.mean, model.log_scale])
    assert max(float(g.abs().max()) for g in gradients) < 1e-9


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-11), (torch.float32, 3e-4)])
@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_log_prob_is_elbo_plus_divergence_to_the_posterior(
    posterior: str, dtype: Any, allowed: float
) -> None:
    """For any q: here one with weights drawn at random, and every term in closed form."""
    model = linear(posterior, dtype=dtype)
    x = rows_of(model, 40)
    with torch.no_grad():
        model.encoder.weight.add_(0.1 * torch.randn(model.encoder.weight.shape, generator=seeded()).to(dtype))
        model.spread.add_(0.3 * torch.randn(model.spread.shape, generator=seeded(1)).to(dtype))
        parameters = model.encode(x)
        mean = model.posterior.centre(parameters)
        # columns of the root of q's covariance, from q's own draws
        unit = torch.eye(LATENTS, dtype=dtype).expand(len(x), -1, -1)
        root = (model.posterior.draw(parameters, unit)[0] - mean.unsqueeze(1)).mT
        at_mean = model.log_likelihood(x, mean.unsqueeze(1))[:, 0].to(dtype)
        spread = (model.weight @ root).square().sum((1, 2)) * (-2 * model.log_scale).exp()
        kl = model.posterior.kl(parameters)
        assert kl is not None
        bound = at_mean - 0.5 * spread - kl.sum(1)
        q = MultivariateNormal(mean.double(), scale_tril=root.double().tril())
        precision = torch.eye(LATENTS) + (model.weight.double().T @ model.weight.double()) / 0.5
        to = ((x - model.mean).double() @ model.weight.double() / 0.5) @ torch.linalg.inv(precision)
        gap = kl_divergence(q, MultivariateNormal(to, precision_matrix=precision.expand(len(x), -1, -1)))
        assert float(gap.min()) > 0.01
        assert float((model.log_prob(x) - bound - gap).abs().max()) < allowed * 30


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize(("posterior", "orthogonal"), [("full", False), ("diagonal", True)])
def test_every_weight_is_the_likelihood_where_q_is_the_posterior(
    posterior: str, orthogonal: bool, dtype: Any, allowed: float
) -> None:
    model = linear(posterior, orthogonal=orthogonal, dtype=dtype)
    x = rows_of(model, 30)
    with torch.no_grad():
        log_w = model.log_weights(x, k=20, generator=seeded())
        assert float((log_w - model.log_prob(x).unsqueeze(1)).abs().max()) < 30 * allowed


def encoder_gradient(model: LatentModel, objective: str, x: Tensor) -> Tensor:
    (turn,) = parse_objective(objective).turns(model)
    return torch.cat([g.flatten() for g in torch.autograd.grad(turn(x), encoder_weights(model))])


def encoder_weights(model: LatentModel) -> list[Tensor]:
    """The parameters of q, those of the layers above included."""
    q = ("encoder", "spread", "posterior", "prior.up", "prior.top.up")
    return [weight for name, weight in model.named_parameters() if name.startswith(q)]


@pytest.mark.parametrize("k", [1, 5])
def test_where_q_is_the_posterior_the_path_gradient_is_zero_on_every_draw(k: int) -> None:
    model = linear("diagonal", orthogonal=True)
    x = rows_of(model, 8)
    torch.manual_seed(3)
    assert float(encoder_gradient(model, f"dreg:k={k}", x).abs().max()) < 1e-11
    assert float(encoder_gradient(model, f"iwae:k={k}", x).abs().max()) > 0.01
    assert float(encoder_gradient(model, "stl", x).abs().max()) < 1e-11


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
@pytest.mark.parametrize("width", [1.0, 2.5])
def test_bounds_enclose_the_likelihood_within_their_certificates(posterior: str, width: float) -> None:
    """Chance of a false alarm: a = 1e-6 a side, so that the mean of 500 rows may be wrong by 0.028 nats."""
    model = linear(posterior)
    n, margin = 500, math.log(1e6) / 500
    z = torch.randn(n, LATENTS, generator=seeded(5), dtype=torch.float64)
    noise = torch.randn(n, COLUMNS, generator=seeded(6), dtype=torch.float64)
    with torch.no_grad():
        x = z @ model.weight.T + model.mean + model.log_scale.exp() * noise
        truth = model.log_prob(x)
        parameters = model.encode(x)
        mean = model.posterior.centre(parameters).unsqueeze(1)
        # the density of the widened proposal at the z that made the rows
        at_exact = mean + (z.unsqueeze(1) - mean) / width
        log_q = model.posterior(parameters, at_exact) - LATENTS * math.log(width)
        exact = model.log_likelihood(x, z.unsqueeze(1)) + model.prior(z.unsqueeze(1), z[:, None, :0]) - log_q
        gaps = []
        for k in (1, 10, 100):
            low = model.log_prob_lower(x, k=k, generator=seeded(k), width=width)
            high = upper(exact[:, 0], model.log_weights(x, k=k, generator=seeded(k + 1), width=width))
            assert float((low - truth).mean()) <= margin
            assert float((high - truth).mean()) >= -margin
            gaps.append(float((truth - low).mean()))
        # a full q is the posterior itself, and its bound is tight at any k
        assert gaps[0] > gaps[1] > gaps[2] > -margin or (posterior, width) == ("full", 1.0)


def test_the_bound_reaches_the_likelihood() -> None:
    model = linear("diagonal", widen=1.5)
    x = rows_of(model, 100)
    with torch.no_grad():
        gap = model.log_prob_lower(x, k=20_000, generator=seeded()) - model.log_prob(x)
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / 10 + 1e-3
    assert float(gap.std()) < 0.1


@pytest.mark.parametrize("k", [3, POOL, 150])
def test_tiles_change_nothing(k: int) -> None:
    model = linear("diagonal")
    x = rows_of(model, 9)
    with torch.no_grad():
        values = [model.log_prob_lower(x, k=k, generator=seeded(), tile=tile) for tile in (1, 50, 10_000)]
    assert max(float((v - values[0]).abs().max()) for v in values) < 1e-10


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_bound_falls_as_k_grows(dtype: Any) -> None:
    model = linear("diagonal", widen=2.0, dtype=dtype)
    x = rows_of(model, 20)
    with torch.no_grad():
        curve = torch.stack([model.log_prob_lower(x, k=k, generator=seeded()) for k in range(1, POOL + 1)])
    assert curve.dtype == torch.float64
    assert float(curve.diff(dim=0).min()) >= -1e-9
    assert float((curve[-1] - curve[0]).min()) > 0.1


def test_noise_shared_by_rows_breaks_the_certificate() -> None:
    """The one way to save noise that is not allowed: 300 runs of 50 rows, k = 20, nominal 5 %."""
    model = linear("diagonal", widen=1.5)
    wrong = {"independent": 0, "shared": 0}
    with torch.no_grad():
        x = rows_of(model, 50)
        truth, rows = model.log_prob(x).mean(), model.encoded(x, None)
        for repeat in range(300):
            noise = torch.randn(50, 20, LATENTS, generator=seeded(repeat), dtype=torch.float64)
            for name, used in (("independent", noise), ("shared", noise[:1].expand_as(noise))):
                wrong[name] += bool(certified(iwae(model.weigh(rows, used))) > truth)
    assert wrong["independent"] <= 0.05 * 300
    assert wrong["shared"] > 0.1 * 300


# --- every part of an autoencoder ------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_samples_follow_the_mean_weights_which_sum_to_one(variant: str) -> None:
    """exp of a log weight has mean p(x), a mass over all rows: whatever prior, posterior and network."""
    model = strong(BITS, **VARIANTS[variant])
    assert run("mass_sums", model, None, BITS, seed=3).holds
    rows, draws, n = all_rows((2,) * 4, BITS.shape), 4000, 4000
    with torch.no_grad():
        weights = torch.cat(
            [
                model.log_weights(row, k=draws, generator=seeded(i), width=1.4).exp()
                for i, row in enumerate(rows.split(1))
            ]
        )
    mass, error = weights.mean(1), weights.std(1) / math.sqrt(draws)
    x = model.sample(n, generator=seeded(7)).flatten(1)
    share = torch.bincount((x * torch.tensor([8, 4, 2, 1])).sum(1), minlength=16).double() / n
    z = (share - mass) / (mass * (1 - mass) / n + error.square()).sqrt()
    assert float(z.abs().max()) < 4.5, z  # 16 of them: chance 1e-4
    assert float(mass.max() / mass.min()) > 3


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "vamp"])
def test_the_encoder_s_gradient_has_squared_weights_on_every_path_through_its_draws(variant: str) -> None:
    """In one backward pass what two make: -sum w~^2 log w for q, whose parameters are constants in log q. (The encoder of
    a vamp prior is a part of the prior too.)"""
    model = strong(BITS, **VARIANTS[variant])
    x = all_rows((2,) * 4, BITS.shape)
    torch.manual_seed(4)
    found = encoder_gradient(model, "dreg:k=3", x)
    torch.manual_seed(4)
    log_w = model.log_weights(x, k=3, tap=untouched)
    loss = -(log_w.detach().softmax(1).square() * log_w).sum(1).mean()
    want = torch.cat([g.flatten() for g in torch.autograd.grad(loss, encoder_weights(model))])
    assert torch.allclose(found, want, rtol=0, atol=1e-11)
    assert float(want.abs().max()) > 1e-3


@pytest.mark.parametrize("variant", ["plain", "flow posterior", "vamp", "two layers"])
def test_path_gradients_have_the_mean_of_the_plain_one(variant: str) -> None:
    """Twelve fixed directions of the encoder's gradient, 100 repeats of 640 rows, 4.5 standard errors: chance 1e-4 a variant."""
    model = strong(BITS, **VARIANTS[variant])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(4 if name.startswith(("prior.up", "prior.down")) else 1.5)
    x = all_rows((2,) * 4, BITS.shape).repeat(40, 1, 1, 1)  # each with noise of its own: that much less of it
    size = len(encoder_gradient(model, "iwae:k=3", x))
    to = torch.randn(size, 12, generator=seeded(), dtype=torch.float64) / math.sqrt(size)

    def found(objective: str) -> Tensor:
        torch.manual_seed(11)
        return torch.stack([encoder_gradient(model, objective, x) @ to for _ in range(100)])

    for one, other in (("iwae:k=3", "dreg:k=3"), ("iwae:k=1", "stl"))[: 2 if variant == "plain" else 1]:
        first, second = found(one), found(other)
        error = (first.var(0) + second.var(0)).div(len(first)).sqrt()
        assert float(((first.mean(0) - second.mean(0)) / error).abs().max()) < 4.5


def test_the_decoder_has_the_same_gradient_from_dreg_and_iwae() -> None:
    model = strong(BITS)
    x = all_rows((2,) * 4, BITS.shape)
    found = []
    for objective in ("iwae:k=4", "dreg:k=4"):
        torch.manual_seed(2)
        (turn,) = parse_objective(objective).turns(model)
        loss = turn(x)
        found.append((loss.detach(), *torch.autograd.grad(loss, list(model.decoder.parameters()))))
    for a, b in zip(*found):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)


def test_the_quadrature_over_latents_agrees_with_the_bound() -> None:
    model = strong(BITS)
    axis = torch.linspace(-8, 8, 321, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    rows = all_rows((2,) * 4, BITS.shape)
    with torch.no_grad():
        log_joint = model.log_likelihood(rows, z.expand(16, -1, -1)) + model.prior(z, z[:, :0])
        truth = log_joint.logsumexp(1) + 2 * math.log(0.05)
        gap = (
            model.log_prob_lower(rows.repeat(20, 1, 1, 1), k=2000, generator=seeded(), width=1.5).view(20, 16)
            - truth
        )
    assert float(truth.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert abs(float(gap.mean())) < 4 * float(gap.mean(1).std()) / math.sqrt(20) + 2e-3


@pytest.mark.parametrize("name", POSTERIORS)
@pytest.mark.parametrize("width", [1.0, 1.7])
def test_a_posterior_states_the_density_of_its_draws(name: str, width: float) -> None:
    torch.manual_seed(0)
    q = posterior_for(name, 3).double()
    parameters = torch.randn(4, q.size, dtype=torch.float64)
    noise = torch.randn(4, 6, 3, dtype=torch.float64)
    z, log_q = q.draw(parameters, noise, width)
    # the density of the same draw without widening, times the volume: what narrow noise would have been
    narrow, log_narrow = q.draw(parameters, noise * width)
    assert torch.allclose(z, narrow, rtol=0, atol=1e-9)
    assert torch.allclose(q(parameters, z), log_narrow, rtol=0, atol=1e-8)
    change = 0.5 * (width**2 - 1) * noise.square().sum(-1) - 3 * math.log(width)
    assert torch.allclose(log_q, log_narrow + change, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["diagonal", "full"])
def test_closed_divergences_are_what_draws_say(name: str) -> None:
    torch.manual_seed(0)
    q, p = posterior_for(name, 3).double(), prior_for("normal", (3,), ())
    parameters = torch.randn(5, q.size, dtype=torch.float64)
    z, log_q = q.draw(parameters, torch.randn(5, 20_000, 3, dtype=torch.float64))
    each = log_q - p(z, z[..., :0])
    kl = q.kl(parameters)
    assert kl is not None
    assert bool(((each.mean(1) - kl.sum(1)).abs() < 4.5 * each.std(1) / math.sqrt(20_000)).all())


# --- objectives ------------------------------------------------------------------------------------------------------


def loss(model: LatentModel, objective: str, x: Tensor, seed: int = 0) -> float:
    torch.manual_seed(seed)
    (turn,) = parse_objective(objective).turns(model)
    return float(turn(x).detach())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("iwae:k=6", "dreg:k=6"),
        ("iwae:k=6", "renyi:k=6,alpha=0"),
        ("iwae:k=6", "miwae:m=1,k=6"),
        ("iwae:k=6", "ciwae:k=6,beta=0"),
        ("ciwae:k=6,beta=1", "renyi:k=6,alpha=1"),
        ("miwae:m=6,k=1", "renyi:k=6,alpha=1"),
        ("iwae:k=1", "stl"),
        ("elbo", "elbo:beta=1,free_bits=0"),
    ],
)
def test_objectives_meet_where_they_are_the_same(one: str, other: str) -> None:
    model = strong(BITS)
    x = all_rows((2,) * 4, BITS.shape)
    assert loss(model, one, x) == pytest.approx(loss(model, other, x), abs=1e-10)


def test_the_elbo_is_the_mean_weight_s_logarithm_and_its_options_change_training_alone() -> None:
    model = strong(BITS)
    x = all_rows((2,) * 4, BITS.shape)
    each = [(loss(model, "elbo", x, seed), loss(model, "stl", x, seed + 1000)) for seed in range(300)]
    gap = torch.tensor(each).diff(dim=1)
    assert abs(float(gap.mean())) < 4.5 * float(gap.std()) / math.sqrt(300)
    torch.manual_seed(0)
    likelihood, kl = (term.detach() for term in model.elbo_terms(x))
    mean = kl.mean(0)
    assert loss(model, "elbo:beta=4", x) == pytest.approx(
        float(4 * mean.sum() - likelihood.mean()), abs=1e-10
    )
    bits = float(mean.max()) + 0.5
    assert loss(model, f"elbo:free_bits={bits}", x) == pytest.approx(
        float(2 * bits - likelihood.mean()), abs=1e-10
    )


def test_a_bound_reaches_the_maximum_that_is_known() -> None:
    """V3: the linear model trained by its ELBO ends where the likelihood is largest, and its bound is tight there."""
    model = linear()
    x = rows_of(model, 200)
    model.solve(x)
    best = float(model.log_prob(x).detach().mean())
    with torch.no_grad():
        model.encoder.weight.mul_(0.5)
        model.spread.mul_(0.8)
    optimiser = torch.optim.Adam([model.encoder.weight, model.encoder.bias, model.spread], lr=3e-2)
    torch.manual_seed(0)
    (turn,) = parse_objective("stl").turns(model)
    before = loss(model, "elbo", x)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 3e-2 * (1 - step / 400)
        optimiser.zero_grad()
        turn(x).backward()
        optimiser.step()
    assert before > -best + 1
    assert loss(model, "stl", x) == pytest.approx(-best, abs=0.02)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hyper",
    [
        {"latents": 0},
        {"latents": ()},
        {"latents": (3, 0)},
        {"latents": True},
        {"posterior": "fulll"},
        {"prior": "vampp"},
        {"prior": "vamp", "posterior": "full"},
        {"prior": "vamp", "latents": (3, 2)},
        {"prior": "vamp", "pseudo": 0},
        {"prior": "flow", "latents": 1},
        {"posterior": "flow", "latents": 1},
        {"net": "convv"},
        {"net": "conv", "channels": ()},
        {"hidden": (0,)},
    ],
)
def test_parts_that_make_no_model_are_refused(hyper: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        VAE(BITS, **hyper)
    assert refused.value.wrong and refused.value.given and refused.value.do


def test_a_convolution_over_columns_and_grey_values_under_bits_are_refused() -> None:
    with pytest.raises(SpaceError, match="mlp"):
        VAE(Space.binary(4), net="conv")
    with pytest.raises(SpaceError, match="binarise"):
        strong(BITS).log_prob_lower(torch.full((1, 1, 2, 2), 0.3, dtype=torch.float64))
    with pytest.raises(UsageError, match="fewer latents"):
        PPCA(Space.real(3), 3)


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_a_bound_needs_a_draw(k: Any) -> None:
    model, x = strong(BITS), torch.zeros(1, 1, 2, 2, dtype=torch.long)
    for call in (model.log_prob_lower, model.log_weights):
        with pytest.raises(UsageError, match="k >= 1"):
            call(x, k=k)


@pytest.mark.parametrize("name", ["diagonal", "full", "flow"])
def test_a_draw_beside_its_divergence_is_the_draw_and_the_divergence(name: str) -> None:
    from jensen.posteriors import posterior_for

    posterior = posterior_for(name, 3).double()
    parameters, noise = (
        torch.randn(*shape, generator=seeded()).double() for shape in ((5, posterior.size), (5, 2, 3))
    )
    both = posterior.draw_with_kl(parameters, noise)
    kl = posterior.kl(parameters)
    assert (both is None) is (kl is None) is (name == "flow")
    if both is not None and kl is not None:
        assert torch.equal(both[0], posterior.draw(parameters, noise)[0])
        assert torch.allclose(both[1], kl, rtol=0, atol=1e-13)
