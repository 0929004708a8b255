"""Anybody's network as an encoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from jensen.errors import SpaceError, UsageError
from jensen.model import Model, one_vector_a_row
from jensen.nn.sites import SiteInput
from jensen.space import Space


class AdaptedEncoder(Model):
    """The output of a torch module as features: rows (n, *shape) in, (n, features) out.

    Levels and bits reach the module scaled to [-1, 1], real rows as the codec standardises them.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"real", "levels", "binary"})

    def __init__(self, space: Space, module: nn.Module) -> None:
        super().__init__(space)
        self.sites = SiteInput(space)
        self.module = module

    def embed(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Features (n, d); rows x (n, *shape). Raises UsageError where the module gives maps instead of vectors."""
        return one_vector_a_row(self.module(self.sites(x).squeeze(-1)), len(x))


def encoder(module: nn.Module, space: Space) -> AdaptedEncoder:
    """A torch or timm module as a model that embeds rows of `space`, for `jensen.fit`, `fitted.embed` and `jensen.probe`.

    The module maps (n, *shape) to one vector a row: in timm, `create_model(..., num_classes=0, in_chans=channels)`. It is
    called once, on two rows in eval mode. Raises UsageError where it gives maps, SpaceError where it does not take the
    rows.

    >>> from jensen.space import Space
    >>> encoder(nn.Sequential(nn.Flatten(), nn.Linear(64, 8)), Space.levels((1, 8, 8), 17)).can
    <Can.EMBED: 16>
    """
    if not isinstance(module, nn.Module):
        raise UsageError("an encoder is a torch module", f"got {type(module).__name__}", "wrap it in one")
    model = AdaptedEncoder(space, module)
    state = [p for p in module.parameters() if p.is_floating_point()]
    like = state[0] if state else torch.zeros(())
    real = space.kind == "real"
    rows = torch.zeros(2, *space.shape, device=like.device, dtype=like.dtype if real else torch.int64)
    training = model.training
    try:
        with torch.no_grad():
            model.eval().embed(rows)
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise SpaceError(
            f"the module does not take rows of shape (n, {', '.join(map(str, space.shape))})",
            f"it raised {type(error).__name__}: {str(error).splitlines()[0]:.100}",
            "build it for these channels and sizes, or pass the space of its rows",
        ) from error
    finally:
        model.train(training)
    return model
