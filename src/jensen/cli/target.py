"""The other way to fit: to a density that the user's file, or jensen, knows, and what it tells of log Z."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.cli.output import pairs
from jensen.cli.terminal import echo, style
from jensen.errors import UsageError

if TYPE_CHECKING:
    from jensen.density import Density
    from jensen.fitted import Fitted

_NAMED = re.compile(r"(?P<file>.+\.py):(?P<function>[^\W\d]\w*)")


def name_of(target: str) -> str:
    """What the run is named after: the function, or the target that jensen knows.

    >>> name_of("posterior.py:log_density"), name_of("funnel")
    ('log_density', 'funnel')
    """
    found = _NAMED.fullmatch(target)
    return found["function"] if found else target


def read_target(
    target: str, dim: int | None, support: str | None, location: str | None, scale: str | None, seed: int
) -> Density:
    """The density of FILE.py:FUNCTION, which executes the file, or of a name."""
    import jensen

    found = _NAMED.fullmatch(target)
    what: str | Callable[..., Any] = target
    if found is not None:
        from jensen.cli.factory import attribute

        what = attribute(found["file"], found["function"])
    elif target.endswith(".py"):
        raise UsageError("which function of the file?", f"got {target}", f"name it: {target}:log_density")
    return jensen.pose(
        what,
        dim,
        support=None if support is None else _ends(support),
        location=_numbers(location, "--location") if location is not None else 0.0,
        scale=None if scale is None else _numbers(scale, "--scale"),
        seed=seed,
    )


def refuse_options_of_rows(given: Mapping[str, Any]) -> None:
    """Raise UsageError where options that only rows have were given."""
    wrong = [f"--{name}" for name, value in given.items() if value]
    if wrong:
        raise UsageError("a target density has no rows", f"got {', '.join(wrong)}", "leave them out")


def refuse_options_of_targets(given: Mapping[str, Any]) -> None:
    """Raise UsageError where options that only a target has were given."""
    wrong = [f"--{name}" for name, value in given.items() if value is not None]
    if wrong:
        raise UsageError(
            "rows are no target density", f"got {', '.join(wrong)}", "leave them out, or pass --target"
        )


def print_target(fitted: Fitted, how: str, folder: Path) -> None:
    """What came of the fit: log Z, its bounds, how far to trust it."""
    found = fitted.record["log_z"]
    echo(f"{style(fitted.name, bold=True)} on {fitted.record['data']['name']}, a density")
    lines = [("log Z", f"{_shown(found['value'])}  ({found['label']})"), *_bounds(found)]
    below = found["below"]
    k = (
        "not known"
        if below["k_hat"] is None
        else f"{below['k_hat']:.2f}, relied on up to {below['k_threshold']:.2f}"
    )
    lines += [
        (
            "weights",
            f"effective share {below['ess']:.1%} of {below['mean']['how']['n']:,} samples; k-hat {k}",
        ),
        ("search", _search(found["missed"])),
        *(("warning", style(doubt, fg="yellow")) for doubt in found["doubts"]),
        ("fit", how),
        ("size", f"{fitted.record['parameters']:,} parameters"),
        ("run", str(folder)),
        ("next", f"jensen sample {folder} -n 16"),
    ]
    pairs(lines)


def _bounds(found: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("bound below", f"{_shown(found['below']['mean'])}, the mean log weight")]
    if found["above"] is not None:
        lines.append(("bound above", f"{_shown(found['above']['mean'])}, at exact samples of the density"))
    if found["truth"] is not None:
        lines.append(("truth", f"= {found['truth']:.4f} nats"))
    return lines


def _search(missed: dict[str, Any]) -> str:
    if not missed["found"]:
        return f"{missed['chains']} chains from scattered starts found nothing the model leaves out, which proves nothing"
    return (
        f"{missed['found']} of {missed['chains']} chains ended where the model is thin; about {missed['share']:.2g} of the "
        "mass lies there; log Z has proposals there"
    )


def _shown(quantity: dict[str, Any]) -> str:
    value = "inf" if quantity["value"] is None else f"{quantity['value']:.4f}"
    ends = quantity["interval"]
    text = f"{quantity['sign']} {value} {quantity['unit']}"
    if ends is None or None in ends:
        return text
    return f"{text} [{ends[0]:.4f}, {ends[1]:.4f}]"


def _ends(text: str) -> tuple[Any, Any]:
    low, sign, high = text.partition(":")
    if not sign:
        raise UsageError(
            "--support takes LOW:HIGH", f"got {text!r}", "for example --support 0:1 or 0,0:1,inf"
        )
    return _numbers(low, "--support"), _numbers(high, "--support")


def _numbers(text: str, option: str) -> float | list[float]:
    """One number, or several between commas.

    >>> _numbers("0.5", "--scale"), _numbers("0,inf", "--support")
    (0.5, [0.0, inf])
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option} takes numbers, one or one a coordinate", f"got {text!r}", "put commas between them"
        ) from None
    return values[0] if len(values) == 1 else values
