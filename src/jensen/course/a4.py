"""A4: the causal mask of a Transformer, proven by the audit that proves masked convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jensen.auditing import audit
from jensen.course.claim import Finding, Shown
from jensen.course.deciding import counted
from jensen.course.figures import maps, one_map
from jensen.functional.receptive import dependence
from jensen.links import site_links
from jensen.models.transformer import Transformer
from jensen.space import Space

LEGEND = {
    "#": "earlier (or itself, where the output is about the next place), seen",
    "-": "earlier, not seen",
    "o": "the place itself",
    "!": "later, seen: a leak",
    ".": "later, not seen",
}


def show(seed: int = 0, *, places: int = 10) -> Shown:
    """All pairs of places: of the library's Transformer, of torch's own, and of two that are masked wrongly."""
    model = Transformer(Space.categorical(places, 4), 16, 2, 2).eval()
    earlier = torch.ones(places, places, dtype=torch.bool).tril(-1)
    ours = site_links(model).matrix
    assert ours is not None
    torchs = {name: _attends(mask, places) for name, mask in _masks(places).items()}
    verdict = next(one for one in audit(model, checks=["no_leak"]) if one.name == "no_leak")
    itself = torch.eye(places, dtype=torch.bool)
    findings = (
        counted("every place of the library's Transformer sees all earlier places and nothing else", int((ours != earlier).sum()), places**2),
        Finding("the audit of masked convolutions proves it", verdict.holds, {"evidence": verdict.evidence}),
        counted("so do the layers of torch under its causal mask, a place itself included", int((torchs["causal"] != earlier | itself).sum()), places**2),
        Finding("without the mask, or with it off by one, the same routine finds the later places", _leaks(torchs),
                {name: f"{int(found.triu(1).sum())} pairs see a later place" for name, found in torchs.items()}),
    )  # fmt: skip
    figure = maps(
        "Who sees whom: a row for each output, a column for each input",
        [one_map("jensen's Transformer", _signs(ours), "The library's Transformer: earlier places only"),
         *(one_map(f"torch, {name}", _signs(found, True), f"Layers of torch, {name}") for name, found in torchs.items())],
        LEGEND,
    )  # fmt: skip
    seen = int((ours & earlier).sum())
    return Shown(
        findings, f"{seen} of {int(earlier.sum())} earlier pairs seen, {int(ours.triu().sum())} others", (figure,)
    )  # fmt: skip


def _masks(places: int) -> dict[str, Tensor | None]:
    """Which pairs each attention leaves out."""
    whole = torch.ones(places, places, dtype=torch.bool)
    return {"causal": whole.triu(1), "mask off by one": whole.triu(2), "no mask": None}


def _attends(mask: Tensor | None, places: int) -> Tensor:
    """Which places' inputs reach which places' outputs through two layers, (places, places)."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation="gelu")
    body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    found = dependence(lambda x: body(x, mask=mask), (places, 4)).require()
    return found.view(places, 4, places, 4).any(3).any(1)


def _leaks(found: dict[str, Tensor]) -> bool:
    later = {name: int(links.triu(1).sum()) for name, links in found.items()}
    return later["causal"] == 0 and later["mask off by one"] > 0 and later["no mask"] > 0


def _signs(links: Tensor, attends_itself: bool = False) -> list[str]:
    """Attention lets a place see itself where the output is about the next one: nothing to mark there."""

    def sign(output: int, place: int) -> str:
        if output == place:
            return (
                "#"
                if attends_itself and bool(links[output, place])
                else "!"
                if bool(links[output, place])
                else "o"
            )
        seen, not_seen = "#-" if place < output else "!."
        return seen if bool(links[output, place]) else not_seen

    return ["".join(sign(output, place) for place in range(len(links))) for output in range(len(links))]
