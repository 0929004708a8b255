"""The verdict of an audit on the views of an encoder, where the rows have labels."""

from __future__ import annotations

from typing import Any

from jensen.checks.verdict import Verdict
from jensen.data import Rows
from jensen.errors import JensenError
from jensen.fitted import Fitted
from jensen.probing import labelled_parts
from jensen.probing.labels import labels_kept
from jensen.probing.trained import trained_views

NAME = "views_keep_labels"
TOLERATED = 0.05
"""A fall of the accuracy by so much, beyond what chance explains, is a reason to look."""


def views_verdict(given: Any, rows: Any, seed: int) -> Verdict | None:
    """Whether the views of an encoder keep the labels of raw rows' nearest neighbours; None where nothing has labels.

    Holds where no view costs more than five points, by the intervals of the accuracies; where one costs more, it is not
    proven: a view that merely makes rows unlike those seen costs accuracy too.
    """
    if not (isinstance(given, Fitted) and isinstance(rows, Rows) and rows.context is not None):
        return None
    if given.context_codec is not None or trained_views(given) is None:
        return None
    try:
        labels, _ = labelled_parts(rows)
        found = labels_kept(
            given, (rows.train, rows.test), (labels[0], labels[2]), trained_views(given), seed
        )
    except JensenError as error:
        return Verdict(NAME, None, f"the labels are not to be looked at: {error}")
    (_, plain), *changed = found.items()
    worst, least = min(changed, key=lambda one: one[1].value)
    told = ", ".join(f"{name} {accuracy.value:.3f}" for name, accuracy in found.items())
    assert plain.interval is not None and least.interval is not None
    costs = plain.value - least.value > TOLERATED and least.interval[1] < plain.interval[0]
    advice = f"; {worst} may change what a row is: look at its views, or weaken it" if costs else ""
    return Verdict(
        NAME,
        None if costs else True,
        f"labels of the 5 nearest of {plain.how['n']} raw rows: {told}{advice}",
        {"accuracy": {name: accuracy.value for name, accuracy in found.items()}},
    )
