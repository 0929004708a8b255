"""An audit as its template wants it: every section's words and maps, nothing decided in the template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from jensen.errors import Cannot
from jensen.functional.site_links import SiteLinks, place_name
from jensen.notebook import VERDICTS
from jensen.report.maps import LEGEND, cell_legend, heat_map, state_map
from jensen.report.plot_blind import plot_blind
from jensen.report.stacks import four_stacks

MOST = 3  # channels drawn
REFERENCE = ((28, 28), (14, 14))  # the map of claim A3, where the module's own is no image
Maps = list[tuple[str, Markup]]


def audit_view(record: Mapping[str, Any], links: SiteLinks | Cannot) -> dict[str, Any]:
    """Everything the template prints."""
    known = None if isinstance(links, Cannot) else links
    return {
        "summary": _summary(record, known),
        "checks": [_check(verdict) for verdict in record["audit"] if verdict.get("applies", True)],
        "idle": [verdict["check"] for verdict in record["audit"] if not verdict.get("applies", True)],
        "why_no_field": str(links) if isinstance(links, Cannot) else "",
        "field": None if known is None else _field(known),
        "blind": _blind(known),
        "steps": None if known is None else _steps(known),
        "stacks": four_stacks(),
    }


def _summary(record: Mapping[str, Any], links: SiteLinks | None) -> str:
    verdict = next((one for one in record["audit"] if one["check"] == "no_leak"), None)
    if verdict is None or not verdict.get("applies", True):
        failed = [one["check"] for one in record["audit"] if one["holds"] is False]
        return f"These checks fail: {', '.join(failed)}." if failed else "No check fails."
    if verdict["holds"] is False:
        return "Not autoregressive: some site sees itself or a later one."
    if verdict["holds"] is None:
        return "Not proven to be autoregressive."
    text = "Proven autoregressive: no site sees itself or a later one."
    if links is None or links.steps is None or links.order is None:
        return text
    return f"{text} A row is drawn in {links.steps:,} exact parallel steps of {links.order.sites:,} sites."


def _check(verdict: Mapping[str, Any]) -> dict[str, str]:
    word, mark = VERDICTS[verdict["holds"]]
    return {"name": verdict["check"], "word": word, "mark": mark, "evidence": verdict["evidence"]}


def _field(links: SiteLinks) -> dict[str, Any]:
    states = set(links.states.flatten().tolist())
    words = {sign: LEGEND[sign] for sign in LEGEND if sign in states}
    if links.order is None:
        words = {"#": "reached", ".": "not reached"}
    where = place_name(links.at)
    here = None if links.order is None else (links.at[-2] if len(links.shape) > 2 else 0, links.at[-1])
    maps = [
        (
            name,
            state_map(
                one, f"{name} What the output at {where} sees. {_counts(one, words)}".strip(), here=here
            ),
        )
        for name, one in _channels(links, links.states)
    ]
    return {
        "where": where,
        "maps": maps,
        "legend": cell_legend(words),
        "words": [links.evidence, *links.words()],
        "left_out": _left_out(links),
    }


def _counts(states: NDArray[np.str_], words: Mapping[str, str]) -> str:
    return "; ".join(f"{text}: {int((states == sign).sum())}" for sign, text in words.items()) + "."


def _channels(
    links: SiteLinks, values: NDArray[Any], ordered_only: bool = False
) -> list[tuple[str, NDArray[Any]]]:
    """The maps (rows, columns) of the first channels; one where all channels of a place are one site."""
    maps = links.by_channel(values)
    tied = links.order is not None and links.order.sites * len(maps) == values.size
    if len(maps) == 1 or (ordered_only and tied):
        return [("", maps[0])]
    return [(f"Channel {number + 1}.", one) for number, one in enumerate(maps[:MOST])]


def _left_out(links: SiteLinks) -> str:
    channels = len(links.by_channel(links.states))
    return f"The first {MOST} of {channels} channels." if channels > MOST else ""


def _blind(links: SiteLinks | None) -> dict[str, Any]:
    maps: Maps = []
    said = ""
    if links is not None and links.shares is not None and links.order is not None:
        seen = links.shares[1:]
        low = f", the least {_whole(100 * float(seen.min()))} %" if len(seen) else ""
        full = int((seen == 1).sum())
        said = f"{full:,} of {len(seen):,} sites that have earlier ones see all of them{low}."
        shares = links.on_map(100 * links.shares)
        maps = [
            (
                name,
                heat_map(
                    one, 100.0, f"{name} Share of earlier sites reached, by place. {said}".strip(), _whole
                ),
            )
            for name, one in _channels(links, shares, ordered_only=True)
        ]
    curve, ends = _curve(links)
    return {"maps": maps, "said": said, "curve": curve, "ends": ends}


def _curve(links: SiteLinks | None) -> tuple[Markup, str]:
    """The reference at the module's own place where it is an image with earlier sites, else on claim A3's map."""
    if links is None or links.order is None or len(links.shape) != 3 or not any(links.at[-2:]):
        return plot_blind(*REFERENCE, None)
    places = torch.arange(links.shape[1] * links.shape[2]).repeat(links.shape[0])
    comparable = torch.equal(
        links.order.inputs, places
    )  # raster order, a site a position: as the curve counts
    share = links.earlier_reached / links.earlier if comparable else None
    return plot_blind(links.shape[1:], links.at[-2:], share)


def _steps(links: SiteLinks) -> dict[str, Any]:
    if links.levels is None or links.steps is None or links.order is None:
        return {"count": None, "why": links.why_no_steps, "maps": []}
    said = f"{links.steps:,} exact parallel steps of {links.order.sites:,} sites"
    top = max(links.steps, 1)
    maps = [
        (name, heat_map(one, top, f"{name} The step in which each site is drawn. {said}.".strip(), _whole))
        for name, one in _channels(links, links.on_map(links.levels + 1), ordered_only=True)
    ]
    widest = int(links.levels.bincount().max())
    return {
        "count": links.steps,
        "sites": links.order.sites,
        "said": said,
        "widest": widest,
        "maps": maps,
        "why": "",
    }


def _whole(value: float) -> str:
    return str(int(value + 1e-9))  # down: 100 % is all, not almost all
