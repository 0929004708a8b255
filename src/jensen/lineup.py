"""What a comparison compares: models by name or fitted, checked before anything is fitted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jensen.adapt.samples import Samples
from jensen.data import Rows
from jensen.errors import Cannot, Incomparable, UsageError
from jensen.fitted import Fitted
from jensen.models import CATALOGUE, model_class
from jensen.sources import split_identity
from jensen.space import Space

LARGE = 1 << 17
"""Sites times levels of an image beyond which a dense network, with a number for each of them and each hidden unit, is left
to those who ask for it: a convolution does not grow with the image."""
WIDE = 128
"""Columns beyond which attention, whose cost grows with their square, is left to those who ask for it."""


def line_up(rows: Rows) -> list[str]:
    """The default models for some rows: the baseline and the flagship of each family that takes them."""
    kind = rows.space.kind
    if "unseen" in rows.space.gaps:
        return ["independent", "vae"]  # what has a likelihood of some of the sites
    if kind == "mixed" or rows.space.gaps:
        attention = ["transformer"] if rows.space.dims <= WIDE else []
        return _taking_context(["independent", "made", *attention, "spline-flow"], rows)
    names = ["independent"]
    if kind in ("real", "levels", "binary"):
        names.append("mixture")
    if not rows.space.is_image or rows.space.dims * (rows.space.max_levels or 1) <= LARGE:
        names.append("made")
    if kind != "real" and rows.space.is_image:
        names.append("pixelcnn")
    return _taking_context(names, rows)


def _taking_context(names: list[str], rows: Rows) -> list[str]:
    """Those of some models that take the context of the rows, if they have one. Raises Cannot where none does."""
    kind = rows.space.kind
    if rows.context is not None:
        names = [name for name in names if model_class(name).takes_context]
        if not names:
            able = [
                one
                for one in CATALOGUE
                if model_class(one).takes_context and kind in model_class(one).accepts
            ]
            raise Cannot(
                "no model of the default line-up takes a context on such rows",
                f"got {rows.space.describe()}, {rows.context.describe()}",
                f"leave context out{', or name ' + ' or '.join(able) if able else ''}",
            )
    return names


def titled(
    models: str | Fitted | Sequence[str | Fitted] | Mapping[str, str | Fitted],
) -> dict[str, str | Fitted]:
    """Models by title: the given one, or its name, numbered where it repeats. Raises UsageError for what is no model."""
    if isinstance(models, Mapping):
        found = dict(models)
    else:
        found = {}
        given: Iterable[Any] = models if isinstance(models, (list, tuple)) else [models]
        for item in given:
            _check_model(item)
            title = base = item if isinstance(item, str) else item.name
            number = itertools.count(2)
            while title in found:
                title = f"{base}-{next(number)}"
            found[title] = item
    if not found:
        raise UsageError("expected at least one model", "got none", f"known: {', '.join(CATALOGUE)}")
    for item in found.values():
        _check_model(item)
        if isinstance(item, str):
            model_class(item)
    return found


def _check_model(item: object) -> None:
    if not isinstance(item, (str, Fitted)):
        raise UsageError(
            "expected names of models and fitted models",
            f"got {type(item).__name__}",
            f"known: {', '.join(CATALOGUE)}",
        )


def strangers(chosen: Mapping[str, str | Fitted], data: Rows) -> list[str]:
    """What must be said of fitted models that did not come from this split of these rows."""
    said = []
    for title, item in chosen.items():
        if not isinstance(item, str) and isinstance(item.model, Samples):
            said.append(
                f"{title} is rows made elsewhere: nothing says that their maker never saw the rows scored here"
            )
            continue
        source = {} if isinstance(item, str) else item.record.get("data", {})
        if not isinstance(item, str) and (
            source.get("hash"),
            source.get("split_seed"),
            source.get("counts"),
        ) != split_identity(data):
            said.append(
                f"{title} was fitted to other data or another split: it may have seen the rows scored here"
            )
        if not isinstance(item, str) and item.space.binarisation != data.space.binarisation:
            said.append(
                f"{title} was fitted to {_how_made(item.space)}, the rows here are {_how_made(data.space)}"
            )
    return said


def _how_made(space: Space) -> str:
    made = space.binarisation
    return "rows that are not binarised" if made is None else f"rows {made.describe()} from {made.grey()}"


def refuse_other_bits(chosen: Mapping[str, str | Fitted], data: Rows) -> None:
    """Raise Incomparable, before anything is fitted, when models would make different bits of grey rows."""
    ways = {
        title: "grey rows"
        if isinstance(item, str) or not item.space.binarisation
        else item.space.binarisation.how
        for title, item in chosen.items()
    }
    if data.space.kind != "binary" and len(set(ways.values())) > 1:
        raise Incomparable(
            "the models were fitted to other binarisations of grey rows",
            ", ".join(f"{title}: {way}" for title, way in ways.items()),
            "pass binarise='dynamic' or binarise=0.5 where the rows are read, to score all on the same bits",
        )
