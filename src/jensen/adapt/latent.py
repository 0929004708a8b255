"""Autoencoders of others, scored by our bounds: an encoder, a decoder, a prior and a likelihood that is named."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from jensen.adapt.peer import drawing
from jensen.codec import Codec, Integers, Standardise
from jensen.errors import UsageError
from jensen.fitted import Fitted
from jensen.functional import normal
from jensen.functional.ancestral import uniforms
from jensen.heads import Head, head_for
from jensen.latent import LatentModel, latent_sizes
from jensen.posteriors.diagonal import Diagonal
from jensen.priors import Path, Prior, prior_for
from jensen.space import Space

Map = Callable[[Tensor], Any]
LIKELIHOODS = ("bernoulli", "gaussian")
PYTHAE = frozenset(
    {
        *("VAE", "BetaVAE", "DisentangledBetaVAE", "BetaTCVAE", "FactorVAE", "InfoVAE_MMD", "MSSSIM_VAE"),
        *("IWAE", "MIWAE", "CIWAE", "PIWAE", "VAEGAN"),
    }
)
"""Models of pythae with a diagonal posterior and a standard normal prior, however they were trained."""


class Autoencoder(LatentModel):
    """p(x, z) and q(z | x) of somebody else's networks. See `autoencoder`."""

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "real"})
    borrowed: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        latents: int,
        encoder: Map,
        decoder: Map,
        prior: Any = None,
        likelihood: str = "bernoulli",
        probabilities: bool = False,
        scale: float | None = None,
    ) -> None:
        super().__init__(space)
        (self.latents,) = latent_sizes(latents)
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.probabilities, self.scale = likelihood, probabilities, scale
        self.posterior = Diagonal(self.latents, bound=False)
        self.prior = (
            prior_for("normal", (self.latents,), ()) if prior is None else _GivenPrior(prior, latents)
        )
        self.bits: Head | None = head_for(space, "bernoulli") if likelihood == "bernoulli" else None
        # where the model is and of which type, of a decoder without parameters as well
        self.anchor = nn.Parameter(torch.zeros((), dtype=_type(encoder, decoder)), requires_grad=False)

    def encode(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Means, then log scales (n, 2 d)."""
        self.refuse_context(c)
        mean, log_variance = _two(self.encoder(x.to(self.anchor.dtype)), len(x), self.latents, "the encoder")
        return torch.cat([mean, 0.5 * log_variance], 1)

    def log_likelihood(
        self, x: Tensor, z: Tensor, c: Tensor | None = None, observed: Tensor | None = None
    ) -> Tensor:
        """log p(x | z) (n, k), nats, of all sites or the observed ones."""
        first, log_variance = self._decoded(z)
        rows = x.flatten(1).unsqueeze(1)
        if self.bits is not None:
            each = self.bits.log_prob(first.unsqueeze(-1), rows)
        else:
            squares = (rows - first).square() * (-log_variance).exp()
            each = -0.5 * (squares + log_variance) - normal.HALF_LOG_2PI
        if observed is not None:
            each = each.masked_fill(~observed.flatten(1).unsqueeze(1), 0)
        return each.sum(2, dtype=self.sum_type())

    def rows_at(self, z: Tensor, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Rows (n, *shape) drawn from p(x | z)."""
        self.refuse_context(c)
        first, log_variance = (part[:, 0] for part in self._decoded(z.unsqueeze(1)))
        if self.bits is None:
            noise = normal.normals(*first.shape, like=first, generator=generator)
            return (first + (0.5 * log_variance).exp() * noise).reshape(-1, *self.space.shape)
        u = uniforms(len(z), (self.space.dims,), generator, z.device)
        sites = torch.arange(self.space.dims, device=z.device)
        return self.bits.sample(first.unsqueeze(-1), u, sites).reshape(-1, *self.space.shape)

    def _decoded(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, or means, and log variances, each (n, k, sites)."""
        found, size = self.decoder(z.flatten(0, 1)), self.space.dims
        shape = (*z.shape[:2], size)
        if self.bits is not None:
            logits = _one(found, "the decoder", z.shape[:2].numel(), size).reshape(shape)
            return (logits.logit() if self.probabilities else logits), logits
        if self.scale is None:
            mean, log_variance = _two(found, z.shape[:2].numel(), size, "the decoder")
            return mean.reshape(shape), log_variance.reshape(shape)
        mean = _one(found, "the decoder", z.shape[:2].numel(), size).reshape(shape)
        return mean, torch.full_like(mean, 2 * math.log(self.scale))


class _GivenPrior(Prior):
    """A distribution over z with `log_prob` and `sample`, such as one of torch.distributions."""

    def __init__(self, law: Any, latents: int) -> None:
        super().__init__()
        if not (hasattr(law, "log_prob") and hasattr(law, "sample")):
            raise UsageError(
                "a prior has log_prob and sample",
                f"got {type(law).__name__}",
                "pass a distribution over z, or None for the standard normal",
            )
        self.law, self.latents = law, latents

    def forward(
        self, z: Tensor, noise: Tensor, pseudo: Tensor | None = None, path: Path | None = None
    ) -> Tensor:
        found: Tensor = self.law.log_prob(z.flatten(0, 1))
        return found.reshape(*z.shape[:2], -1).sum(-1)

    def sample(
        self, n: int, like: Tensor, generator: torch.Generator | None = None, pseudo: Tensor | None = None
    ) -> Tensor:
        with drawing(generator, like.dtype), torch.no_grad():
            found: Tensor = self.law.sample((n,))
        return found.reshape(n, self.latents).to(like)


def autoencoder(
    encoder: Map,
    decoder: Map,
    space: Space,
    latents: int,
    *,
    likelihood: str,
    probabilities: bool = False,
    scale: float | None = None,
    prior: Any = None,
) -> Fitted:
    """A hand-written autoencoder as a Fitted, so that `score`, `jensen.tightness`, `sample` and `complete` work on it.

    `encoder`: rows (n, *space.shape), floats, to the mean and log variance of a diagonal normal q(z | x): a pair of (n, d),
    or one tensor (n, 2 d). `decoder`: z (m, d) to logits of bits ("bernoulli"; `probabilities` where it ends in a
    sigmoid), or to means ("gaussian") with a known `scale`, or with scale=None to means and log variances. `prior`: None
    for the standard normal, or a distribution over (d,). Nothing is copied; networks are set to eval mode. A squared
    error is a Gaussian likelihood of scale 1 but for a constant: say so with scale=1. Raises UsageError for shapes and
    likelihoods that do not go together, SpaceError for rows that the likelihood does not score, such as grey values as bits.

    >>> space = Space.binary(3)
    >>> fitted = autoencoder(nn.Linear(3, 4), nn.Linear(2, 3), space, 2, likelihood="bernoulli")
    >>> fitted.score(torch.tensor([[0, 1, 1]])).kind.value
    'lower'
    """
    if likelihood not in LIKELIHOODS:
        raise UsageError("a likelihood is named", f"got {likelihood!r}", f"one of {', '.join(LIKELIHOODS)}")
    if likelihood == "bernoulli" and scale is not None:
        raise UsageError("bits have no scale", f"got scale={scale!r}", "leave it out")
    if likelihood == "gaussian" and probabilities:
        raise UsageError("probabilities are of bits", "got a gaussian likelihood", "leave probabilities out")
    if scale is not None and not 0 < scale < math.inf:
        raise UsageError("a scale is a number above 0", f"got {scale!r}", "1 where it was trained by squares")
    if (likelihood == "bernoulli") != (space.kind == "binary"):
        raise UsageError(
            f"a {likelihood} likelihood does not score these rows",
            f"got {space.describe()}",
            "bernoulli for a binary space, gaussian for a real one",
        )
    for network in (encoder, decoder):
        if isinstance(network, nn.Module):
            network.eval()
    model = Autoencoder(space, latents, encoder, decoder, prior, likelihood, probabilities, scale).eval()
    still: Codec = Integers(space) if model.bits is not None else _unit(space)
    return Fitted(model, still, [], {})


def pythae(model: Any, shape: Sequence[int] | None = None) -> Fitted:
    """A model of pythae 0.1 (clementchadebec/benchmark_VAE) with a diagonal posterior and a standard normal prior.

    Its "bce" is a Bernoulli likelihood of bits, so that grey rows are refused; its "mse" is a Gaussian one of variance 1.
    `shape` of a row, by default the model's input_dim. Raises UsageError for other objects and other losses.
    """
    name, config = type(model).__name__, getattr(model, "model_config", None)
    if name not in PYTHAE or config is None or not isinstance(model, nn.Module):
        raise UsageError(
            "expected a pythae model with a diagonal posterior and a standard normal prior",
            f"got {type(model).__module__}.{name}",
            f"pass one of {', '.join(sorted(PYTHAE))}, or its parts to adapt.latent.autoencoder",
        )
    shape = tuple(config.input_dim if shape is None else shape)
    loss = config.reconstruction_loss
    if loss not in ("bce", "mse"):
        raise UsageError("this loss is no likelihood", f"got {loss!r}", "pass a model with bce or mse")
    bits = loss == "bce"
    space = Space.binary(shape) if bits else Space.real(shape)
    likelihood, scale = ("bernoulli", None) if bits else ("gaussian", 1.0)
    return autoencoder(
        _PythaeEncoder(model),
        _PythaeDecoder(model),
        space,
        config.latent_dim,
        likelihood=likelihood,
        probabilities=bits,
        scale=scale,
    )


class _PythaeEncoder(nn.Module):
    """Rows as floats to the mean and log variance of q."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found: Any = self.model.encoder(x)  # type: ignore[operator]
        return found.embedding, found.log_covariance


class _PythaeDecoder(nn.Module):
    """z to probabilities, or means."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        found: Any = self.model.decoder(z)  # type: ignore[operator]
        reconstruction: Tensor = found.reconstruction
        return reconstruction


def _unit(space: Space) -> Codec:
    """Real rows as they are."""
    return Standardise(space, torch.zeros(space.shape), torch.ones(space.shape))


def _one(found: Any, who: str, m: int, size: int) -> Tensor:
    if not isinstance(found, Tensor) or found.shape[:1] != (m,) or found.numel() != m * size:
        raise _misfit(who, found, f"({m}, {size})")
    return found


def _two(found: Any, m: int, size: int, who: str) -> tuple[Tensor, Tensor]:
    """A pair of (m, size), given as such or as the halves of one tensor."""
    if isinstance(found, Tensor) and found.numel() == 2 * m * size and found.shape[:1] == (m,):
        first, second = found.reshape(m, 2 * size).chunk(2, 1)
        return first, second
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise _misfit(who, found, f"a pair of ({m}, {size})")
    first, second = (_one(part, who, m, size).reshape(m, size) for part in found)
    return first, second


def _misfit(who: str, found: Any, wanted: str) -> UsageError:
    given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    return UsageError(
        f"{who} gives another shape than its rows and latents have", f"got {given}", f"return {wanted}"
    )


def _type(*networks: Any) -> torch.dtype:
    modules = [one for one in networks if isinstance(one, nn.Module)]
    found = [tensor.dtype for one in modules for tensor in one.parameters() if tensor.is_floating_point()]
    return found[0] if found else torch.get_default_dtype()
