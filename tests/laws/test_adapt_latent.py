"""Autoencoders of others, scored by our bounds, against the linear-Gaussian model and our own networks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from latent_models import COLUMNS, LATENTS, linear, rows_of, seeded
from torch import Tensor, nn
from torch.distributions import Independent, Normal

import jensen
from jensen.adapt.latent import autoencoder, pythae
from jensen.errors import SpaceError, UsageError
from jensen.space import Space


def networks(bits: int = 6, latents: int = 2) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(bits, 2 * latents)), nn.Linear(latents, bits)


def test_a_hand_written_linear_model_has_our_bounds() -> None:
    """The same encoder, decoder and scale as functions: the same numbers from the same noise, and enclosed likelihood."""
    model = linear("diagonal")
    x = rows_of(model, 30)

    def encoder(rows: Tensor) -> Any:
        return model.posterior.split(model.encode(rows))[0], 2 * model.posterior.split(model.encode(rows))[1]  # type: ignore[operator]

    def decoder(z: Tensor) -> Tensor:
        return z @ model.weight.T + model.mean

    prior = Independent(Normal(torch.zeros(LATENTS).double(), torch.ones(LATENTS).double()), 1)
    for given in (None, prior):
        seen = autoencoder(
            encoder,
            decoder,
            Space.real(COLUMNS),
            LATENTS,
            likelihood="gaussian",
            scale=float(model.log_scale.detach().exp()),
            prior=given,
        ).model.double()
        with torch.no_grad():
            ours = model.log_prob_lower(x, k=5, generator=seeded())
            theirs = seen.log_prob_lower(x, k=5, generator=seeded())
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-9)
        assert torch.isfinite(seen.sample(3, generator=seeded())).all()


def test_probabilities_and_logits_are_the_same_model() -> None:
    encoder, decoder = networks()
    x = (torch.rand(20, 6, generator=seeded()) < 0.5).long()
    space = Space.binary(6)
    plain = autoencoder(encoder, decoder, space, 2, likelihood="bernoulli").score(x, k=3)
    both = nn.Sequential(decoder, nn.Sigmoid())
    other = autoencoder(encoder, both, space, 2, likelihood="bernoulli", probabilities=True).score(x, k=3)
    assert plain.values == pytest.approx(other.values, abs=1e-4)
    assert plain.kind is jensen.Kind.LOWER


class VAE(nn.Module):
    """As pythae's: config, encoder and decoder with named outputs."""

    def __init__(self, loss: str) -> None:
        super().__init__()
        self.model_config = SimpleNamespace(input_dim=(1, 2, 3), latent_dim=2, reconstruction_loss=loss)
        self.inner, self.outer = networks()

    def encoder(self, x: Tensor) -> Any:
        mean, log_variance = self.inner(x).chunk(2, 1)
        return SimpleNamespace(embedding=mean, log_covariance=log_variance)

    def decoder(self, z: Tensor) -> Any:
        return SimpleNamespace(reconstruction=self.outer(z).sigmoid().reshape(-1, 1, 2, 3))


def test_a_pythae_model_is_scored_by_the_likelihood_that_its_loss_is() -> None:
    x = (torch.rand(20, 1, 2, 3, generator=seeded()) < 0.5).long()
    theirs = VAE("bce")
    found = pythae(theirs).score(x, k=64, width=1.0)
    own = autoencoder(theirs.inner, theirs.outer, Space.binary((1, 2, 3)), 2, likelihood="bernoulli")
    assert found.values == pytest.approx(own.score(x, k=64, width=1.0).values, abs=1e-4)
    with pytest.raises(SpaceError):
        pythae(theirs).score(torch.full((2, 1, 2, 3), 0.3))
    assert jensen.tightness(pythae(VAE("mse")), n=20, k=16, levels=0).gap.value > -0.1
    for wrong in (VAE("ssim"), nn.Linear(2, 2)):
        with pytest.raises(UsageError):
            pythae(wrong)


@pytest.mark.parametrize(
    "changed",
    [
        {"likelihood": "poisson"},
        {"likelihood": "gaussian"},
        {"scale": 1.0},
        {"latents": 0},
        {"latents": 3},
        {"prior": 3},
        {"decoder": nn.Linear(2, 5)},
        {"encoder": lambda x: x},
    ],
)
def test_parts_that_make_no_autoencoder_are_refused(changed: dict[str, Any]) -> None:
    encoder, decoder = networks()
    asked = {"encoder": encoder, "decoder": decoder, "space": Space.binary(6), "latents": 2}
    with pytest.raises(UsageError) as refused:
        autoencoder(**{**asked, "likelihood": "bernoulli", **changed}).score(torch.zeros(4, 6).long())
    assert refused.value.wrong and refused.value.given and refused.value.do
