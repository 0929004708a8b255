"""A matplotlib figure as inline SVG that takes its colours and its font from the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# matplotlib wants colours, the page wants variables that follow its light or dark theme: these stand in for them
INK, MUTED, RULE, PAPER = "#010000", "#020000", "#030000", "#040000"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAPER: "var(--paper)"}
SERIES = 8  # the number of colours the style sheet has for models

_THEME: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "jensen",
    "text.parse_math": False,  # a model may be called $x$
    "axes.unicode_minus": False,
    "font.family": [
        "DejaVu Sans"
    ],  # comes with matplotlib and is wide: what fits in it fits in the page's font
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.edgecolor": RULE,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
}


def series(index: int) -> str:
    """The stand-in for the colour of model `index`; the style sheet holds the colour itself."""
    return f"#05{index % SERIES:02x}00"


def draw(paint: Callable[[Figure], None], size: tuple[float, float], label: str, key: str) -> Markup:
    """Paint a figure of `size` inches and return it as SVG; `label` is read out, `key` is unique on the page."""
    import matplotlib
    from matplotlib.figure import Figure

    stream = io.StringIO()
    with matplotlib.rc_context(_THEME), warnings.catch_warnings():
        # a name in a script the measuring font lacks: the browser's font will have it
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*missing")
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        figure.savefig(stream, format="svg", transparent=True)
    return Markup(_inline(stream.getvalue(), size[0], label, key))


def short(text: str, most: int = 20) -> str:
    """A name as a plot can hold it: printable, and cut when long.

    >>> short("a_very_long_name_of_a_model")
    'a_very_long_name_of…'
    """
    text = "".join(c if c.isprintable() and not 0xD800 <= ord(c) < 0xE000 else " " for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _inline(svg: str, inches: float, label: str, key: str) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', body)
    assert box is not None, "matplotlib writes a viewBox"
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag.group(), key), body)
    body = re.sub(r">\s*\n\s*<", "><", body[body.index(">") + 1 :]).strip()
    head = (
        f'<svg class="plot" role="img" aria-label="{escape(label)}" {box.group()} '
        f'style="--natural:{inches * 96:.0f}px">'
    )
    return head + body


def _tag(tag: str, key: str) -> str:
    # text between tags is the user's and is left alone; a tag holds only matplotlib's numbers and names
    tag = re.sub(r"#0[1-5][0-9a-f]{2}00", lambda found: _colour(found.group()), tag)
    tag = re.sub(r" font-family: [^;\"]*;?", "", tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found.group()):.2f}".rstrip("0").rstrip("."), tag)
    if tag.startswith("<g"):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = re.sub(r' id="([^"]*)"', rf' id="{key}-\1"', tag)
    tag = re.sub(r'(xlink:)?href="#', f'href="#{key}-', tag).replace("url(#", f"url(#{key}-")
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    tag = re.sub(r"\s+", " ", tag)
    if tag.startswith("<path"):
        tag = re.sub(r"M (\S+) (\S+) L \1 \2(?= )", r"M\1 \2h0", tag)  # a dot: a line without length
        tag = re.sub(r" ?([MLCQ]) ", r"\1", tag)
    return tag


def _colour(stand_in: str) -> str:
    if stand_in in _VARIABLES:
        return _VARIABLES[stand_in]
    return f"var(--series-{int(stand_in[3:5], 16)})"
