"""The same autoencoder in pythae: its model, its trainer, its likelihood; networks written as its users write theirs.

The weights are copied from jensen's, layer by layer. Bits are read as -1 and 1, as jensen reads them: in the dense net
by a change of the first layer, in the convolutional one by an operation on the rows.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn


class Encoder(BaseEncoder):
    """A body and two heads, of the mean and of the log variance."""

    def __init__(self, body: nn.Module, features: int, latents: int, signs: bool) -> None:
        super().__init__()
        self.body, self.signs = body, signs
        self.mean, self.log_variance = nn.Linear(features, latents), nn.Linear(features, latents)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.body(2 * x - 1 if self.signs else x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    """Probabilities of every pixel, for binary_cross_entropy."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.body(z)).view(-1, 1, 28, 28))


def build(ours: Any, k: int) -> VAE:
    """pythae's VAE, or its IWAE for k > 1, with the weights of jensen's model of bits (1, 28, 28)."""
    latents = ours.latents
    conv = hasattr(ours.encoder, "down")
    dense = ours.encoder.net.layers
    encoder = Encoder(
        _images(ours.encoder) if conv else _rows(dense[:-1]), dense[-1].in_features, latents, conv
    )
    decoder = Decoder(_deconvolved(ours.decoder) if conv else nn.Sequential(*_relus(ours.decoder.net.layers)))
    with torch.no_grad():
        for head, part in ((encoder.mean, 0), (encoder.log_variance, 1)):
            scale = 1 + part  # theirs is the log of the variance
            head.weight.copy_(scale * dense[-1].weight.chunk(2)[part])
            head.bias.copy_(scale * dense[-1].bias.chunk(2)[part])
    kind = {"input_dim": (1, 28, 28), "latent_dim": latents, "reconstruction_loss": "bce"}
    if k == 1:
        return VAE(VAEConfig(**kind), encoder, decoder)
    return IWAE(IWAEConfig(**kind, number_samples=k), encoder, decoder)


def trainer(model: VAE, bits: Tensor, batch: int, rate: float) -> BaseTrainer:
    """pythae's trainer, ready for epochs; with the fused kernel of Adam."""
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1,
        per_device_train_batch_size=batch,
        learning_rate=rate,
        optimizer_params={"fused": True},
        no_cuda=True,
    )
    found = BaseTrainer(model, BaseDataset(bits, torch.zeros(len(bits))), training_config=config)
    found.prepare_training()
    return found


def _copied(layer: nn.Module) -> nn.Module:
    from copy import deepcopy

    return deepcopy(layer)


def _relus(layers: Any) -> list[nn.Module]:
    """Copies of layers, with a relu between two."""
    pairs = [part for layer in layers for part in (_copied(layer), nn.ReLU())]
    return pairs[:-1]


def _rows(layers: Any) -> nn.Sequential:
    first, *rest = [_copied(layer) for layer in layers]
    with torch.no_grad():  # W (2 x - 1) + b
        first.bias -= first.weight.sum(1)
        first.weight *= 2
    parts = [part for layer in (first, *rest) for part in (layer, nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *parts)


def _images(ours: Any) -> nn.Sequential:
    down = [part for layer in ours.down for part in (_copied(layer), nn.ReLU())]
    dense = [part for layer in ours.net.layers[:-1] for part in (_copied(layer), nn.ReLU())]
    return nn.Sequential(*down, nn.Flatten(), *dense)


def _deconvolved(ours: Any) -> nn.Sequential:
    return nn.Sequential(*_relus(ours.net.layers), nn.ReLU(), nn.Unflatten(1, ours.start), *_relus(ours.up))
