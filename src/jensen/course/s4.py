"""S4: what each part of the recipe is worth, on digits as if photographed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import above, mean
from jensen.course.figures import dots
from jensen.course.photographed import BOTH, COLOUR, GEOMETRY, learned, probed
from jensen.quantity import Quantity

Array = NDArray[np.float64]
LABELS, SUBSETS = 299, 3
"""A third of the labels, each third in turn."""

VARIANTS: dict[str, Mapping[str, Any]] = {
    "the whole recipe": {"views": BOTH},
    "geometry alone": {"views": GEOMETRY},
    "colour alone": {"views": COLOUR},
    "temperature 5": {"temperature": 5.0},
    "batch of 16": {"batch": 16},
    "linear head": {"depth": 1},
    "no head": {"depth": 0},
}
Z = "z in place of h"
RUNS = {"the whole recipe": 10, "linear head": 6, "no head": 6}
"""Of variants that differ by little, and so need more runs than the others."""


def show(seed: int = 0, *, steps: int = 400, most: int = 10, few: int = 5, subsets: int = SUBSETS) -> Shown:
    """Every variant is trained from the same seeds, and judged by a linear classifier; `few` runs of what differs by much."""
    found: dict[str, list[float]] = {name: [] for name in (*VARIANTS, Z)}
    for name, options in VARIANTS.items():
        for number in range(min(RUNS.get(name, few), most)):
            h, z = learned(seed + 1000 * number, steps, **options)
            found[name].append(probed(h, LABELS, subsets))
            if name == "the whole recipe":
                found[Z].append(probed(z, LABELS, subsets))
    accuracy = {name: np.array(of) for name, of in found.items()}
    whole = accuracy["the whole recipe"]
    findings = (
        _more("views composed beat geometry alone", whole, accuracy["geometry alone"]),
        _more("views composed beat colour alone", whole, accuracy["colour alone"]),
        _more("h beats z", whole, accuracy[Z]),
        _more("temperature matters: 0.2 beats 5", whole, accuracy["temperature 5"]),
        _more("batch size matters: 128 beats 16 at as many steps", whole, accuracy["batch of 16"]),
        _more("a linear head beats none", accuracy["linear head"], accuracy["no head"]),
        _more("a non-linear head beats a linear one", whole, accuracy["linear head"]),
    )  # fmt: skip
    undecided = [finding.what for finding in findings if finding.holds is not True]
    told = ", ".join(f"{name} {of.mean():.3f}" for name, of in accuracy.items())
    rows = {name: {"accuracy": mean(of, unit="")} for name, of in accuracy.items()}
    figure = dots(
        f"Accuracy of a linear classifier from {LABELS} labels, {few} to {most} runs of {steps} steps each",
        "share right, with 95 % intervals over runs", rows,
    )  # fmt: skip
    left = f"; not shown here: {'; '.join(undecided)}" if undecided else ""
    return Shown(findings, f"{told}{left}", (figure,))


def _gain(one: Array, other: Array) -> Quantity:
    """The paired difference over runs with the same seeds."""
    both = min(len(one), len(other))
    return mean(one[:both] - other[:both], unit="")


def _more(what: str, one: Array, other: Array) -> Finding:
    return above(what, _gain(one, other), **{"with": mean(one, unit=""), "without": mean(other, unit="")})
