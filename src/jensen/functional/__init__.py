"""The mathematics: tensors in, tensors out, no modules. Submodules are loaded when they are first named."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = [
    "affine",
    "ancestral",
    "betting",
    "binomial",
    "bounds",
    "contrastive",
    "counts",
    "critic_limits",
    "divergence",
    "divergence_terms",
    "enumerate",
    "evidence",
    "frechet",
    "gather",
    "importance",
    "interpolation",
    "intervals",
    "inversion",
    "jacobian",
    "kernel_distance",
    "masks",
    "neighbours",
    "normal",
    "particles",
    "paths",
    "ratio",
    "receptive",
    "representation",
    "schedule",
    "spline",
    "sylvester",
    "tanh_root",
    "votes",
]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module 'jensen.functional' has no attribute {name!r}")
    return import_module(f"jensen.functional.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
