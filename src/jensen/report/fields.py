"""What the site in the middle sees, for every autoregressive model of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jensen.report.maps import LEGEND, WIDE, cell_legend, state_map

MOST = 3  # channels drawn
SMALL = 0.5  # of the width of a map that stands alone


def draw_fields(record: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    """Maps of the models that have one, in the order of `places`, and the legend of the signs they use."""
    found = {model["name"]: model["field"] for model in record["models"] if model.get("field")}
    named = {name: found[name] for name in places if name in found}
    used = {
        sign for field in named.values() for channel in field["states"] for row in channel for sign in row
    }
    words = {sign: text for sign, text in LEGEND.items() if sign in used}
    return {
        "models": [
            {"name": name, "place": places[name], "maps": _maps(name, field), "said": _said(field)}
            for name, field in named.items()
        ],
        "legend": cell_legend(words),
    }


def _maps(name: str, field: Mapping[str, Any]) -> list[Any]:
    here = (field["at"][-2] - 1 if len(field["at"]) > 1 else 0, field["at"][-1] - 1)
    said = f"Receptive field of {name}: {_said(field)}"
    channels = [np.array([list(row) for row in channel]) for channel in field["states"][:MOST]]
    cell = SMALL * WIDE / max(8, min(28, channels[0].shape[1]))
    return [state_map(states, said, here=here, cell=cell) for states in channels]


def _said(field: Mapping[str, Any]) -> str:
    text = f"{field['earlier_reached']:,} of {field['earlier']:,} earlier sites"
    if field["sees_itself"] or field["later_seen"]:
        return f"{text}, and what it must not see"
    if field["parallel_steps"] is None:
        return text
    return f"{text}; {field['parallel_steps']:,} exact parallel steps of {field['sites']:,} sites"
