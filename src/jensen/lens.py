"""A lens: an encoder in whose features samples are judged, and what it was taught to ignore."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jensen.codec import as_tensor
from jensen.data import Rows
from jensen.entry import Stage
from jensen.errors import Cannot, JensenError, JensenWarning, UsageError
from jensen.fitted import Fitted
from jensen.fitting import fit
from jensen.lineup import strangers
from jensen.model import Can
from jensen.plan import Plan
from jensen.probing import digest
from jensen.probing.trained import trained_views
from jensen.scoring import some_rows
from jensen.views import Views

STEPS, SHARE = 300, 3
"""A lens that a comparison trains takes at most so many steps, and at most a third of the seconds of a model; one that
nobody asked for takes at most a third of the steps as well."""

LEAST_STEPS, LEAST_ROWS = 50, 500
"""With fewer steps or training rows a lens knows little, and a comparison trains none unless it is told to."""


class Lens:
    """Features h of a fitted encoder, never z of its head, which discards what its views change.

    `name` carries a hash of weights and codec: numbers through another lens do not compare. `blind` says which views it
    was trained on, for it hardly sees what they change; empty where it was trained without views. `notes`: what else
    speaks against it.
    """

    def __init__(self, fitted: Fitted) -> None:
        """Raises Cannot for a model that does not embed, or that is told a context."""
        if Can.EMBED not in fitted.can:
            raise fitted.model.cannot(Can.EMBED)
        if fitted.context_codec is not None:
            raise Cannot(
                "a lens looks at rows alone",
                f"{fitted.name} is told {', '.join(fitted.context_codec.names)}",
                "fit it without context",
            )
        self.fitted, self.hash = fitted, _hash(fitted)
        self.name = f"{fitted.name} {self.hash}"
        record = fitted.record
        loss = record.get("health", {}).get("contrastive loss", {})
        self.blind = str(loss.get("how", {}).get("views", ""))
        self.objective = record.get("objective") or ""
        self.notes = [note["text"] for note in record.get("notes", []) if note["doubtful"]]

    def embed(self, rows: Any) -> NDArray[Any]:
        """Features (n, d) of rows. Raises SpaceError for rows of another space."""
        return self.fitted.embed(rows)

    def views(self, rows: NDArray[Any], count: int, seed: int) -> NDArray[Any] | None:
        """Images (n, 1 + count, *shape): each of `rows` and after it `count` views, moved to values of the space.

        None where the lens was trained without views, or, loaded, on callables that its record only names.
        """
        choice, space = trained_views(self.fitted), self.fitted.codec.model_space
        if choice is None or not space.is_image:
            return None
        generator = torch.Generator().manual_seed(seed)
        z, _ = self.fitted.codec.encode(as_tensor(rows), generator)
        change = Views(space, choice)
        seen = torch.stack([z.float(), *(change(z, generator).float() for _ in range(count))], 1).flatten(
            0, 1
        )
        if space.max_levels is not None:
            seen = seen.round().clamp(0, space.max_levels - 1).long()
        return self.fitted.codec.decode(seen).numpy().reshape(len(rows), 1 + count, *rows.shape[1:])


def lens_for(
    choice: str | Fitted, data: Rows, plan: Plan, seed: int, device: str = "auto", tell: Stage | None = None
) -> Lens:
    """The fitted encoder as a lens, or, for "train", one fitted to the training rows within a share of the plan's budget.

    Raises UsageError for what is neither, SpaceError for an encoder of other rows, Cannot for one that is no lens.
    """
    if choice == "train":
        choice = _trained(data, _share(plan, min(STEPS, plan.steps or STEPS)), seed, device, tell)
    if not isinstance(choice, Fitted):
        raise UsageError(
            "a lens is a fitted encoder, 'train' or 'auto'",
            f"got {choice!r:.60}",
            "pass jensen.load('runs/eye'), 'train', 'auto', or None for no lens",
        )
    found = Lens(choice)
    if not np.isfinite(found.embed(some_rows(data.test, 2, 0))).all():
        raise UsageError(
            "a lens gives finite features", f"{choice.name} gives nan or infinity", "fit it anew"
        )
    found.notes += strangers({"the lens": choice}, data)
    return found


def lens_unasked(
    data: Rows, plan: Plan, seed: int, device: str = "auto", tell: Stage | None = None
) -> tuple[Lens | None, str]:
    """The lens of a comparison that was told nothing of one, and why there is none where one was tried in vain.

    Images that have views of their own get one, where there are rows and budget enough for it to be worth having.
    """
    steps = min(STEPS, (plan.steps or SHARE * STEPS) // SHARE)
    suits = data.space.is_image and data.space.kind != "categorical"
    if not suits or steps < LEAST_STEPS or len(data.train) < LEAST_ROWS:
        return None, ""
    try:
        return Lens(_trained(data, _share(plan, steps), seed, device, tell)), ""
    except JensenError as error:
        return None, f"no lens: its training failed ({error})"


def _share(plan: Plan, steps: int) -> Plan:
    seconds = None if plan.seconds is None else plan.seconds / SHARE
    return Plan(steps=steps, seconds=seconds, patience=0)


def _trained(data: Rows, plan: Plan, seed: int, device: str, tell: Stage | None) -> Fitted:
    follow = None if tell is None else partial(tell, "lens", "fit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JensenWarning)  # the notes of the lens say the same
        alone = replace(data, context=None)
        return fit("encoder", alone, plan=plan, seed=seed, device=device, watch=follow)


def _hash(fitted: Fitted) -> str:
    text = digest(fitted) + json.dumps(fitted.codec.to_dict(), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
