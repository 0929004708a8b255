"""G1: what a discriminator knows of images that are neither data nor samples, and whether samples are copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import above, counted, share
from jensen.course.figures import dots, pictures
from jensen.course.game import EARLY, LATE, Played, flat, judged, part, played
from jensen.critics.judgement import judge
from jensen.data import rows
from jensen.functional.neighbours import nearest
from jensen.metrics.authenticity import authenticity
from jensen.metrics.memorisation import nearer_to_train
from jensen.quantity import Quantity

Logit = Callable[[Tensor], NDArray[np.float64]]
OWN = "the game's own D"
GREY = (0.299, 0.587, 0.114)
COPIED = 0.75
"""Of samples nearer to training rows than to held-out ones: where half are expected, this many would be memorising."""


def show(
    seed: int = 0, *, early: tuple[int, ...] = EARLY, late: tuple[int, ...] = LATE,
    critics: Sequence[str] = ("trees", "mlp", "cnn"),
) -> Shown:  # fmt: skip
    """The discriminator of a game, and others trained to the end on its frozen samples, look at other images."""
    found = played(seed, early, late)
    samples = found.moments[-1].samples
    held, train = part(found.data, "test"), part(found.data, "train")
    last = found.moments[-1].critic
    discriminators: dict[str, Logit] = {OWN: lambda x: judged(last, x)}
    right = {}
    for name in critics:
        one = judge(flat(samples), flat(held), found.data.space, seed=seed, names=(name,), permutations=1)
        discriminators[f"fresh {name}"] = lambda x, critic=one.critic: critic(flat(x))  # type: ignore[misc]
        right[f"fresh {name}"] = one.accuracy
    kinds = _images(held, seed)
    called = {
        who: {kind: _called(logit(x)) for kind, x in kinds.items()} for who, logit in discriminators.items()
    }
    findings = (
        *(above(f"{who} tells held-out digits from samples", accuracy, 0.5) for who, accuracy in right.items()),
        *_senseless(called, right),
        *_copies(found, samples, train, held, seed),
    )  # fmt: skip
    unrelated = [kind for kind in kinds if kind != "held-out digits"]
    spread = {kind: [called[who][kind].value for who in called] for kind in unrelated}
    summary = "shares called data by " + f"{len(called)} discriminators: " + "; ".join(
        f"{kind} {min(of):.2f} to {max(of):.2f}" for kind, of in spread.items()
    )  # fmt: skip
    shares = {kind: {who: called[who][kind] for who in called} for kind in kinds}
    drawn = dots("What share of other images each discriminator calls data", "share, with 95 % intervals", shares, line=("half", 0.5))  # fmt: skip
    return Shown(findings, summary, (drawn, _neighbours(samples, train)))


def _images(held: Tensor, seed: int) -> dict[str, Tensor]:
    """Held-out digits, and images that are neither digits nor samples of anything."""
    generator = torch.Generator().manual_seed(seed)
    n = len(held)
    colour = np.asarray(rows("photos").test[:n], dtype=np.float64)
    photo = np.rint(np.tensordot(colour, GREY, (1, 0)) / 255 * 16)[:, None]
    return {
        "held-out digits": held,
        "noise": torch.randint(17, held.shape, generator=generator),
        "patches of photographs": torch.from_numpy(photo).long(),
        "digits in negative": 16 - held,
        "digits, pixels shuffled": held.flatten(2)[:, :, torch.randperm(64, generator=generator)].view_as(
            held
        ),
    }


def _called(logits: NDArray[np.float64]) -> Quantity:
    return share(int((logits > 0).sum()), len(logits))


def _senseless(called: dict[str, dict[str, Quantity]], right: dict[str, Quantity]) -> list[Finding]:
    """Some discriminator that is right about data and samples calls most of some unrelated images data; others do not."""
    fresh = [who for who in called if who in right]
    kinds = [kind for kind in called[OWN] if kind != "held-out digits"]
    worst = max(((who, kind) for who in fresh for kind in kinds), key=lambda at: called[at[0]][at[1]].value)
    found = called[worst[0]][worst[1]]
    apart = max(kinds, key=lambda kind: _range(called, kind)[1].value - _range(called, kind)[0].value)
    low, high = _range(called, apart)
    assert low.interval is not None and high.interval is not None
    return [
        above(
            f"yet {worst[0]} calls most of {worst[1]} data: it knows nothing of everything else", found, 0.5
        ),
        Finding(
            f"and discriminators of one game do not agree: {apart}",
            True if high.interval[0] > low.interval[1] else None,
            {"least share called data": low, "largest": high},
        ),
    ]


def _range(called: dict[str, dict[str, Quantity]], kind: str) -> tuple[Quantity, Quantity]:
    shares = sorted((of[kind] for of in called.values()), key=lambda one: one.value)
    return shares[0], shares[-1]


def _copies(found: Played, samples: Tensor, train: Tensor, held: Tensor, seed: int) -> list[Finding]:
    """Samples beside the training rows, with held-out rows, which nobody can have copied, as the baseline."""
    x, y, z = (torch.from_numpy(flat(side)) for side in (train, samples, held))
    copies = int((nearest(y, x)[0] == 0).sum())
    nearer = nearer_to_train(x, z, y, seed=seed)
    assert nearer.interval is not None
    own, baseline = authenticity(x, y), authenticity(x, z)
    return [
        counted("no sample is a training row", copies, len(y)),
        Finding("samples are hardly nearer to training rows than to as many held-out rows",
                True if nearer.interval[1] < COPIED else False if nearer.interval[0] > COPIED else None,
                {"share nearer to training rows": nearer, "expected without memorising": 0.5}),
        Finding("samples lie at least as far from training rows as held-out rows do",
                None if own.interval is None or baseline.interval is None else True if own.interval[0] > baseline.interval[0]
                else False if own.interval[1] < baseline.interval[0] else None,
                {"authenticity of samples": own, "authenticity of held-out rows": baseline}),
    ]  # fmt: skip


def _neighbours(samples: Tensor, train: Tensor, count: int = 16) -> dict[str, object]:
    x, y = torch.from_numpy(flat(train)), torch.from_numpy(flat(samples[:count]))
    where = nearest(y, x)[1]
    sheets = [("samples", samples[:count]), ("the nearest training row of each", train[where])]
    return pictures(
        "Samples, not chosen, above their nearest training rows",
        [(caption, (images / 16).numpy()) for caption, images in sheets],
        across=count,
    )
