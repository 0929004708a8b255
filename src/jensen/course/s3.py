"""S3: a linear classifier on frozen features, beside the features that give its accuracy a meaning."""

from __future__ import annotations

import hashlib
import warnings

import torch

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import above
from jensen.course.figures import dots
from jensen.course.photographed import BOTH, fresh_encoder, photographs, unlabelled
from jensen.errors import JensenWarning
from jensen.fitted import Fitted
from jensen.fitting import fit
from jensen.objectives.contrastive import Contrastive
from jensen.plan import Plan
from jensen.probing import Line, Probe, probe

FEW = 0.1
"""The share of labels of the second protocol."""


def show(seed: int = 0, *, steps: int = 600) -> Shown:
    """An encoder fitted without labels, probed with all of them and with a tenth."""
    data = photographs()
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JensenWarning)  # a short fit may say that it is one
        fitted = fit(
            fresh_encoder(), unlabelled(), objective=Contrastive(views=BOTH), plan=Plan(steps=steps, checks=4, patience=0), seed=seed
        )  # fmt: skip
    before = _digest(fitted)
    found = probe(fitted, data, shares=[1.0, FEW], seed=seed)
    lines = [line for line in found.lines if line.protocol == "linear"]
    few = min(line.labels for line in lines)
    findings = (
        Finding("the encoder is frozen: its weights and running means are the same afterwards", before == _digest(fitted), {"tensors": len(fitted.model.state_dict())}),
        _beats(lines, "untrained encoder", max(line.labels for line in lines), "training without labels has taught what a linear classifier can read"),
        _beats(lines, "untrained encoder", few, "with a tenth of the labels too"),
        _beats(lines, "raw rows", few, "with a tenth of the labels h beats the raw pixels"),
        _beats(lines, "PCA", few, "and their principal components"),
    )  # fmt: skip
    table = {
        f"{name}, {line.labels} labels": {"accuracy": line.accuracy}
        for name in dict.fromkeys(line.features for line in lines)
        for line in lines
        if line.features == name
    }
    figure = dots(
        "Accuracy of a linear classifier on 700 test rows",
        "share right, with 95 % intervals over rows",
        table,
    )
    return Shown(findings, _summary(found, few), (figure,))


def _beats(lines: list[Line], other: str, labels: int, what: str) -> Finding:
    """The paired difference over test rows."""
    line = next(one for one in lines if one.features == other and one.labels == labels)
    ours = next(one for one in lines if one.features == "encoder" and one.labels == labels)
    assert line.gain is not None
    return above(what, line.gain, labels=labels, encoder=ours.accuracy, **{other: line.accuracy})


def _summary(found: Probe, few: int) -> str:
    told = [
        f"{line.features} {line.accuracy.value:.3f}"
        for line in found.lines
        if line.protocol == "linear" and line.labels == few
    ]
    return f"accuracy from {few} labels: {', '.join(told)}"


def _digest(fitted: Fitted) -> str:
    state = fitted.model.state_dict()
    return hashlib.blake2b(b"".join(tensor.numpy().tobytes() for tensor in state.values())).hexdigest()
