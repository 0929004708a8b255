"""All problems: the literal list of the files that hold them."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from pathlib import Path

from problem import FAMILIES, Problem

FILES = (
    "sums_over_all_rows",
    "heads_in_closed_form",
    "areas_under_densities",
    "changes_of_variable",
    "gaussian_latents",
    "weighted_bounds",
    "finite_laws",
    "target_integrals",
    "sets_of_features",
    "forms_of_contrast",
    "units_and_codecs",
    "tables_of_quantiles",
    "intervals_of_scores",
    "intervals_of_divergences",
    "intervals_of_integrals",
    "intervals_of_shares",
    "intervals_of_features",
    "bounds_and_certificates",
    "false_orders",
)


@cache
def problems() -> dict[str, Problem]:
    """Every problem by its name, in the order of the files."""
    laws = str(Path(__file__).parents[1] / "laws")
    if laws not in sys.path:
        sys.path.append(laws)  # its small models and known pairs serve here as well
    found: dict[str, Problem] = {}
    for name in FILES:
        for one in import_module(name).PROBLEMS:
            if one.name in found or one.family not in FAMILIES:
                raise ValueError(f"{name}: {one.name!r} is there twice, or of no family ({one.family})")
            found[one.name] = one
    return found
