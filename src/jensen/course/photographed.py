"""What the claims on contrastive learning stand on: digits as if photographed, and encoders that learn from two views.

Scikit-learn's digits, each in an ink and on a paper of its own colour, with a grain of its own, as 3x8x8 images. Colour
alone tells one image from another, and so does the grain: what Chen et al. 2020 (section 3.1) found of photographs, that
one kind of augmentation leaves a shortcut and two together do not, is there in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jensen.adapt.features import AdaptedEncoder, encoder
from jensen.data import Rows, rows
from jensen.objectives.contrastive import Contrastive
from jensen.plan import Plan
from jensen.player import Player
from jensen.probing.linear import linear_probe
from jensen.space import Space
from jensen.views import View
from jensen.views.affine import Affine
from jensen.views.colour import Jitter

SPACE = Space.levels((3, 8, 8), 256)
GRAIN = 0.3
SPLIT = (897, 200, 700)
FEATURES = 64
GEOMETRY: tuple[View, ...] = (Affine(rotate=15, zoom=(0.8, 1.25), shift=0.12),)
COLOUR: tuple[View, ...] = (
    Jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.5, chance=1.0, grey=0.2),
)
BOTH = (*GEOMETRY, *COLOUR)


@lru_cache(maxsize=1)
def photographs() -> Rows:
    """The rows with their labels as context; the same whatever the seed of the run."""
    from sklearn.datasets import load_digits

    found = load_digits()
    rng = np.random.default_rng(0)
    n = len(found.images)
    ink, paper = rng.uniform(0.4, 1, (n, 3, 1, 1)), rng.uniform(0, 0.5, (n, 3, 1, 1))
    grain = GRAIN * rng.uniform(-1, 1, (n, 1, 8, 8))
    images = paper + (ink - paper) * found.images[:, None] / 16 + grain
    levels = np.rint(255 * images.clip(0, 1)).astype(np.uint8)
    return rows(levels, space=SPACE, context=found.target, split=SPLIT)


def unlabelled() -> Rows:
    """The same rows without their labels: what encoders are fitted to."""
    return replace(photographs(), context=None)


def fresh_encoder() -> AdaptedEncoder:
    """A small dense network, from torch's own random state: h has 64 numbers, not below 0."""
    sizes = (SPACE.dims, 128, 128)
    layers: list[nn.Module] = [nn.Flatten()]
    for inside, out in pairwise(sizes):
        layers += [nn.Linear(inside, out), nn.BatchNorm1d(out), nn.ReLU()]
    return encoder(nn.Sequential(*layers, nn.Linear(128, FEATURES), nn.ReLU()), SPACE)


class Parts(NamedTuple):
    """Features (n, d) of the training, validation and test rows."""

    train: NDArray[np.float32]
    valid: NDArray[np.float32]
    test: NDArray[np.float32]


def learned(
    seed: int,
    steps: int,
    views: Sequence[View] = BOTH,
    *,
    batch: int = 128,
    temperature: float = 0.2,
    depth: int = 2,
    width: int = 64,
) -> tuple[Parts, Parts]:
    """h and z of all rows, after the library's objective and optimiser; labels have no part in it."""
    torch.manual_seed(seed)
    model = fresh_encoder()
    turn: Any = Contrastive(temperature=temperature, depth=depth, width=width, views=tuple(views)).turns(
        model
    )[0]
    plan = Plan(steps=steps, batch=batch)
    player, data = Player(turn, plan), photographs()
    x = torch.as_tensor(np.asarray(data.train[:]))
    turn.train()
    for step in range(steps):
        player.play(x[torch.randint(len(x), (batch,))], None, plan.rate_at(step / steps))
    turn.eval()
    with torch.no_grad():
        parts = (torch.as_tensor(np.asarray(part[:])) for part in (data.train, data.valid, data.test))
        h = [model.embed(part) for part in parts]
        z = [turn.head(part) for part in h]
    return Parts(*(part.numpy() for part in h)), Parts(*(part.numpy() for part in z))


def probed(features: Parts, labels: int | None = None, subsets: int = 1) -> float:
    """The share of test rows that a linear classifier on features gets right, from all labels, or from `labels` of them.

    Of few labels the mean over so many disjoint subsets of the training rows: which few are labelled is luck.
    """
    given = photographs().context
    assert given is not None
    train, valid, test = (np.asarray(part).reshape(-1).astype(np.int64) for part in (given.train, given.valid, given.test))  # fmt: skip
    places = (
        [slice(None)] if labels is None else [slice(labels * i, labels * (i + 1)) for i in range(subsets)]
    )
    hits = [
        linear_probe((features.train[at], train[at]), (features.valid, valid), features.test) == test
        for at in places
    ]
    return float(np.mean(hits))
