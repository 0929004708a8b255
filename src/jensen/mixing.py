"""The layers of a flow: before every map its features are mixed, and normalised if asked for."""

from __future__ import annotations

from collections.abc import Callable

from jensen.errors import UsageError
from jensen.flow import check_count, check_memory
from jensen.transforms import Transform
from jensen.transforms.actnorm import ActNorm
from jensen.transforms.householder import Householder
from jensen.transforms.linear import LULinear
from jensen.transforms.permutation import Permutation

MIXES: dict[str, Callable[[int], Transform]] = {
    "lu": LULinear,
    "householder": Householder,
    "reverse": Permutation,
}
"""Any invertible linear map; a rotation by up to eight reflections; the features in reverse order, nothing learned."""


def layers(
    features: int, transforms: int, move: Callable[[int], Transform], *, mix: str, actnorm: bool, usual: int
) -> list[Transform]:
    """`transforms` times: ActNorm if asked for, the mixing, move(i). Raises UsageError for what cannot be built."""
    check_count(transforms, usual)
    if mix not in MIXES:
        raise UsageError("unknown mixing of the features", f"got mix={mix!r}", f"use {', '.join(MIXES)}")
    maps: list[Transform] = []
    for i in range(transforms):
        group = [*([ActNorm(features)] if actnorm else []), MIXES[mix](features), move(i)]
        if i == 0:
            check_memory(group, transforms)
        maps += group
    return maps
