"""Rows that somebody else's model drew, as a model that can only sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from jensen.codec import Codec, Integers
from jensen.context import rows_to_score
from jensen.errors import Cannot, DataError, SpaceError
from jensen.fitted import Fitted
from jensen.model import Model
from jensen.quantity import Kind
from jensen.space import Space


class Samples(Model):
    """Samples made elsewhere: the law they came from, as far as these rows show it."""

    accepts: ClassVar[frozenset[str]] = frozenset({"real", "binary", "levels", "categorical", "mixed"})
    rows: Tensor

    def __init__(self, space: Space, rows: Tensor) -> None:
        super().__init__(space)
        self.hyper = {"rows": len(rows)}
        self.register_buffer("rows", rows)

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """n of the rows (n, *shape), none twice. Raises Cannot for more than there are."""
        self.refuse_context(c)
        if n > len(self.rows):
            raise Cannot(f"there are {len(self.rows)} samples", f"{n} were asked for", "draw more of them")
        return self.rows[torch.randperm(len(self.rows), generator=generator)[:n]]


class AsTheyAre:
    """Rows that stay as they are."""

    kind: Kind = Kind.EXACT
    random: bool = False

    def __init__(self, space: Space) -> None:
        self.space = self.model_space = space

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return x, torch.zeros(len(x), device=x.device)

    def decode(self, z: Tensor) -> Tensor:
        return z

    def to_dict(self) -> dict[str, Any]:
        return {"codec": "AsTheyAre", "space": self.space.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> AsTheyAre:
        return cls(Space.from_dict(record["space"]))


def samples_of(title: str, rows: Any, space: Space, drop: Sequence[str] = ()) -> Fitted:
    """Samples of a space, in whatever `jensen.rows` reads, as a fitted model. Raises SpaceError where they do not fit.

    `drop`: columns that are no part of a row, where the samples have them.

    >>> samples_of("theirs", [[0.0], [2.0], [4.0]], Space.real(1)).sample(3, seed=0).shape
    (3, 1)
    """
    try:
        source, _ = rows_to_score(None, title, rows, space, None)
    except (DataError, SpaceError):
        if not drop:
            raise
        source, _ = rows_to_score(None, title, rows, space, None, drop)
    codec: Codec = Integers(space) if space.measure == "mass" else AsTheyAre(space)
    z, _ = codec.encode(torch.as_tensor(source[:]))
    return Fitted(Samples(codec.model_space, z), codec, [], {"samples": len(z)})
