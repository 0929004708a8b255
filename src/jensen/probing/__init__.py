"""`jensen.probe`: what a representation knows of labels it has never seen, beside what would have known as much."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jensen.arguments import said, whole
from jensen.data import Rows
from jensen.data import rows as read_rows
from jensen.errors import Cannot, DataError, UsageError
from jensen.fitted import Fitted
from jensen.functional.binomial import clopper_pearson
from jensen.functional.intervals import mean_interval
from jensen.functional.votes import nearest_by_angle, vote
from jensen.model import Can
from jensen.probing.features import feature_sets
from jensen.probing.labels import labels_kept
from jensen.probing.linear import linear_probe
from jensen.probing.trained import trained_views
from jensen.quantity import Kind, Quantity

SHARES = (1.0, 0.1, 0.01)
NEIGHBOURS = 5


@dataclass(frozen=True)
class Line:
    """One accuracy: of which features, by which protocol, from how many labels."""

    features: str
    d: int
    protocol: str
    labels: int
    accuracy: Quantity
    gain: Quantity | None
    """How much more the encoder has than these features on the same rows; None on its own lines."""


class Probe:
    """Accuracies on held-out rows of classifiers of frozen features.

    `lines`: linear (logistic regression, its penalty chosen on the validation rows) from all, a tenth and a hundredth
    of the training labels, and a vote of the 5 nearest by cosine; for the encoder, the raw rows, their principal
    components and the encoder untrained. Intervals are about rows like these, with this encoder and these labels.
    `weights`: the digest of the encoder, the same before and after. `views`: how well raw rows are told apart by their
    nearest neighbours as they are and after each view: one that costs much may change what a row is.
    """

    def __init__(
        self, lines: Sequence[Line], views: dict[str, Quantity], facts: dict[str, Any], weights: str
    ) -> None:
        self.lines, self.views, self.facts, self.weights = list(lines), views, facts, weights

    def accuracy(self, features: str = "encoder", protocol: str = "linear", share: float = 1.0) -> Quantity:
        """One of the accuracies. Raises UsageError for one that is not there."""
        labels = self.facts["labels"].get(share)
        for line in self.lines:
            if (line.features, line.protocol, line.labels) == (features, protocol, labels):
                return line.accuracy
        raise UsageError("there is no such accuracy", f"got {features}, {protocol}, {share}", "see .table()")

    def table(self) -> str:
        """Text: features down, protocols across."""
        heads = ["features", "d"]
        columns = list(dict.fromkeys((line.protocol, line.labels) for line in self.lines))
        heads += [f"{protocol}, {labels:,} labels" for protocol, labels in columns]
        rows = [heads, ["-" * len(head) for head in heads]]
        for features in dict.fromkeys(line.features for line in self.lines):
            mine = {(x.protocol, x.labels): x for x in self.lines if x.features == features}
            d = next(iter(mine.values())).d
            rows.append([features, f"{d:,}", *(f"{mine[key].accuracy!r}" for key in columns)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        lines = [
            {
                "features": x.features,
                "d": x.d,
                "protocol": x.protocol,
                "labels": x.labels,
                "accuracy": x.accuracy.to_dict(),
                "gain": None if x.gain is None else x.gain.to_dict(),
            }
            for x in self.lines
        ]
        facts = {**self.facts, "labels": {str(k): v for k, v in self.facts["labels"].items()}}
        views = {name: accuracy.to_dict() for name, accuracy in self.views.items()}
        return {"lines": lines, "views": views, "weights": self.weights, **facts}

    def __repr__(self) -> str:
        return self.table()


def probe(
    fitted: Fitted,
    rows: Any,
    *,
    label: Any = None,
    shares: Sequence[float] = SHARES,
    views: Any = None,
    seed: int = 0,
) -> Probe:
    """Accuracies of linear and nearest-neighbour classifiers on features of `rows`, the encoder's and three baselines'.

    `rows`: Rows with one class a row as their context, or anything that `jensen.rows` reads with `label` naming them: a
    column, "label" of an example, an array, a file. Classifiers see the training part, the penalty is chosen on the
    validation part, accuracies are of the test part. The encoder is in eval mode and gets no gradient, and its weights
    and buffers are compared before and after. `shares`: of the training labels; every class keeps one. `views`: those
    whose effect on labels is looked at, as the contrastive objective takes them; None for those that the encoder was
    trained on, or, where they are not known, what suits the rows. The `seed` draws labels, views and the
    untrained weights.

    Raises Cannot for a model that does not embed or is told a context, DataError for labels that are not classes or not one a row,
    UsageError for an encoder that changes while it embeds.

    >>> import jensen
    >>> fitted = jensen.fit("encoder", jensen.rows("wine"), steps=20)
    >>> found = jensen.probe(fitted, "wine", label="label", shares=[1.0])
    >>> found.accuracy("raw rows")
    = 0.889 [0.739, 0.969]
    """
    if Can.EMBED not in fitted.can:
        raise fitted.model.cannot(Can.EMBED)
    if fitted.context_codec is not None:
        raise Cannot(
            "a probe asks what features of the rows alone know",
            f"{fitted.name} is told {', '.join(fitted.context_codec.names)}",
            "fit without context",
        )
    seed = whole("seed", seed, 0, 2**32 - 1)
    plain = (
        isinstance(shares, (list, tuple)) and shares and all(isinstance(one, (int, float)) for one in shares)
    )
    if not plain or not all(0 < share <= 1 for share in shares):
        raise UsageError("shares of labels lie above 0 and up to 1", f"got {said(shares)}", "1.0 takes all")
    data = _labelled(fitted, rows, label, seed)
    labels, names = labelled_parts(data)
    before = digest(fitted)
    sets = feature_sets(fitted, (data.train, data.valid, data.test), seed)
    if digest(fitted) != before:
        raise UsageError(
            "the encoder changed while it was looked at: it is not frozen",
            "its weights or buffers differ before and after",
            "write embed so that it changes nothing in eval mode",
        )
    chosen = {share: _some(labels[0], share, seed) for share in shares}
    found = {name: _hits(parts, labels, chosen, len(names)) for name, parts in sets.items()}
    lines = [
        Line(name, sets[name][0].shape[1], *key, _accuracy(hits), _gain(found, name, key))
        for name, all_hits in found.items()
        for key, hits in all_hits.items()
    ]
    facts = {
        "rows": data.name,
        "hash": data.hash,
        "n": len(data.test),
        "classes": names,
        "labels": {share: len(places) for share, places in chosen.items()},
        "seed": seed,
        "seen": _seen(fitted, data),
    }
    if views is None:
        views = trained_views(fitted) or "auto"
    kept = labels_kept(fitted, (data.train, data.test), (labels[0], labels[2]), views, seed)
    return Probe(lines, kept, facts, before)


def digest(fitted: Fitted) -> str:
    """A hash of every weight and buffer of a model."""
    found = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(fitted.model.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _seen(fitted: Fitted, data: Rows) -> str:
    """What speaks against calling the test rows held out; empty where nothing is known to."""
    known = fitted.record.get("data", {})
    if known.get("hash") == data.hash and known.get("train_hash") != data.train_hash:
        return "the encoder was fitted, without labels, to another split of these rows, some test rows among them"
    return ""


def _labelled(fitted: Fitted, rows: Any, label: Any, seed: int) -> Rows:
    if isinstance(rows, Rows):
        if label is not None or rows.context is None:
            raise UsageError(
                "a probe needs rows that were read with their labels",
                "got label beside Rows" if label is not None else "got Rows without",
                "pass jensen.rows(source, context='label')",
            )
        return rows
    if label is None:
        raise UsageError("a probe needs one label a row", "got none", "pass label='name of the column'")
    known = fitted.record.get("data", {})
    return read_rows(rows, space=fitted.space, context=label, seed=known.get("split_seed", seed))


def labelled_parts(data: Rows) -> tuple[tuple[NDArray[np.int64], ...], list[str]]:
    """The labels of the three parts as 0 .. classes - 1, and the names of the classes.

    Raises DataError for a context that is not one class a row.
    """
    given = data.context
    assert given is not None
    column = given.space.column(0)
    if given.space.dims != 1 or column.kind == "real":
        raise DataError(
            "a probe needs one class a row",
            f"got {given.describe()}",
            "name one column of classes; for a number, pass kinds={'name': 'categorical'} if it counts classes",
        )
    parts = (given.train, given.valid, given.test)
    for rows, labels in zip((data.train, data.valid, data.test), parts):
        if len(rows) != len(labels):
            raise DataError(
                "expected one label a row",
                f"got {len(labels)} labels for {len(rows)} rows",
                "pair them again",
            )
    values, codes = np.unique(np.concatenate(parts), return_inverse=True)
    if len(values) < 2:
        raise DataError("a probe needs two classes or more", f"got {len(values)}", "choose another label")
    names = [column.labels[int(v)] if column.labels else f"{v:g}" for v in values]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    first, second, third = np.split(codes.reshape(-1).astype(np.int64), ends)
    return (first, second, third), names


def _some(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.intp]:
    """Positions of a share of the labels, drawn class by class, at least one of each."""
    if share == 1:
        return np.arange(len(labels))
    generator = np.random.default_rng(seed)
    taken = []
    for label in np.unique(labels):
        places = generator.permutation(np.flatnonzero(labels == label))
        taken.append(places[: max(round(share * len(places)), 1)])
    return np.sort(np.concatenate(taken))


def _hits(
    parts: tuple[NDArray[np.float32], ...],
    labels: tuple[NDArray[np.int64], ...],
    chosen: dict[float, NDArray[np.intp]],
    classes: int,
) -> dict[tuple[str, int], NDArray[np.bool_]]:
    """Whether each test row was right, by protocol and number of labels."""
    train, valid, test = parts
    found = {}
    for places in chosen.values():
        given = linear_probe((train[places], labels[0][places]), (valid, labels[1]), test)
        found["linear", len(places)] = given == labels[2]
    k = min(NEIGHBOURS, len(train))
    near, cosines = nearest_by_angle(torch.from_numpy(test), torch.from_numpy(train), k)
    votes = vote(torch.from_numpy(labels[0])[near], cosines, classes)
    found[f"{k} nearest", len(train)] = votes.numpy() == labels[2]
    return found


def _accuracy(hits: NDArray[np.bool_]) -> Quantity:
    right, n = int(hits.sum()), len(hits)
    return Quantity(
        right / n, interval=clopper_pearson(right, n), how={"n": n, "interval": "Clopper-Pearson over rows"}
    )


def _gain(
    found: dict[str, dict[tuple[str, int], NDArray[np.bool_]]], name: str, key: tuple[str, int]
) -> Quantity | None:
    if name == "encoder":
        return None
    more = found["encoder"][key].astype(float) - found[name][key]
    return Quantity(
        float(more.mean()), Kind.EXACT, interval=mean_interval(more), how={"interval": "paired, over rows"}
    )
