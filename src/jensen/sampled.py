"""Samples of a model beside the rows of some data: whether the two can be looked at together."""

from __future__ import annotations

from typing import Any

from jensen.data import Rows
from jensen.errors import Cannot
from jensen.model import Can


def check_sampled(fitted: Any, data: Rows) -> None:
    """Raise Cannot for a model that draws no samples, or samples of another space than that of the rows."""
    if Can.SAMPLE not in fitted.can:
        raise Cannot("the model draws no samples", f"it can: {fitted.can}", "choose a model that can")
    if fitted.space.binarised(None) != data.space.binarised(None):
        raise Cannot(
            "samples and rows live in other spaces",
            f"{fitted.space.describe()}, {data.space.describe()}",
            "take rows of the space that the model was fitted to",
        )
