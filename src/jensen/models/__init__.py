"""The catalogue: the name of every model and where it lives."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from jensen.errors import UsageError, nearest
from jensen.model import Model

CATALOGUE: dict[str, str] = {
    "independent": "jensen.models.independent:Independent",
    "mixture": "jensen.adapt.mixture:Mixture",
    "made": "jensen.models.made:MADE",
    "pixelcnn": "jensen.models.pixelcnn:PixelCNN",
    "gated-pixelcnn": "jensen.models.gated_pixelcnn:GatedPixelCNN",
    "transformer": "jensen.models.transformer:Transformer",
    "realnvp": "jensen.models.realnvp:RealNVP",
    "maf": "jensen.models.maf:MAF",
    "iaf": "jensen.models.iaf:IAF",
    "planar-flow": "jensen.models.planar_flow:PlanarFlow",
    "spline-flow": "jensen.models.spline_flow:SplineFlow",
    "glow": "jensen.models.glow:Glow",
    "vae": "jensen.models.vae:VAE",
    "ppca": "jensen.models.ppca:PPCA",
    "encoder": "jensen.models.encoder:Encoder",
    "gan": "jensen.models.gan:GAN",
}


def model_class(name: str) -> type[Model]:
    """The class behind a name of the catalogue. Raises UsageError with the nearest names.

    >>> model_class("made").__name__
    'MADE'
    """
    if name not in CATALOGUE:
        raise UsageError("unknown model", f"got {name!r}", nearest(name, CATALOGUE))
    module, _, leaf = CATALOGUE[name].partition(":")
    return cast(type[Model], getattr(import_module(module), leaf))


def catalogue_name(cls: type[Model]) -> str | None:
    """The name under which the catalogue lists a class, if it does."""
    place = f"{cls.__module__}:{cls.__qualname__}"
    return next((name for name, where in CATALOGUE.items() if where == place), None)
