"""The views that an encoder was trained on: as they were passed, or as its record brings them back."""

from __future__ import annotations

from typing import Any

from jensen.errors import UsageError
from jensen.fitted import Fitted
from jensen.objectives import parse_objective


def trained_views(fitted: Fitted) -> Any:
    """What `Views` makes the views of; None where it was trained without any, or on some that nothing brings back.

    A run on disk says a callable's name alone: its views are known in the process that fitted it, and lost with that.
    """
    if fitted.objective is not None:
        return getattr(fitted.objective, "views", None)
    text = fitted.record.get("objective") or ""
    if 'views="' in text or "views=[" in text:  # callables; a name of ours stands without quotes
        return None
    try:
        return getattr(parse_objective(text), "views", None)
    except UsageError:
        return None
