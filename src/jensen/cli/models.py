"""`jensen models`: the catalogue."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import click

from jensen.cli import options
from jensen.cli.output import emit, pairs
from jensen.cli.terminal import echo, style
from jensen.cli.verb import verb
from jensen.cli.wording import folded

if TYPE_CHECKING:
    from jensen.model import Model
    from jensen.space import Space

KINDS = ("binary", "levels", "categorical", "real", "mixed")


@verb("models", examples=["jensen models pixelcnn"])
@click.argument("name", metavar="[NAME]", required=False)
@options.as_json
def models(name: str | None, as_json: bool) -> None:
    """The models there are: what they are, the rows they take, what they can do, their arguments."""
    from jensen.cli.start import start_torch

    start_torch(1)
    from jensen.models import CATALOGUE, model_class

    facts = [_facts(one, model_class(one)) for one in ([name] if name else CATALOGUE)]
    if as_json:
        emit(facts[0] if name else facts)
        return
    for place, one in enumerate(facts):
        if place:
            echo()
        _print(one)
    if name:
        echo(f"\n{facts[0]['doc']}\n\nFit it: jensen fit ROWS --model {name} --set KEY=VALUE")
    else:
        echo("\nMore on one of them: jensen models NAME")


def _facts(name: str, cls: type[Model]) -> dict[str, Any]:
    from jensen.model import abilities

    doc = inspect.cleandoc(cls.__doc__ or "")
    about, _, rest = doc.partition("\n\n")
    built = _built(cls)
    cheap = getattr(built, "cheap", None)
    parameters = [p for p in inspect.signature(cls).parameters.values() if p.name not in ("space", "context")]
    return {
        "name": name,
        "about": " ".join(about.split()),
        "accepts": [kind for kind in KINDS if kind in cls.accepts],
        "by_bound": _bounded(cls),
        "can": [] if built is None else list(abilities(built.can)),
        "cheap": None if cheap is None else sorted(cheap),
        "takes_context": cls.takes_context,
        "arguments": [
            {
                "name": p.name,
                "default": None if p.default is p.empty else p.default,
                "type": str(p.annotation),
            }
            for p in parameters
        ],
        "doc": rest,
    }


def _images() -> dict[str, Space]:
    """A small space of each kind, that of images: every model takes it if it takes the kind."""
    from jensen.space import Column, Space

    shape = (1, 4, 4)
    return {
        "binary": Space.binary(shape),
        "levels": Space.levels(shape, 3),
        "categorical": Space(shape, (Column("categorical", 3),)),
        "real": Space.real(shape),
    }


def _built(cls: type[Model]) -> Model | None:
    """A small instance of the class: what it can do, and which way is cheap, may depend on the instance."""
    from jensen.errors import JensenError

    for kind, space in _images().items():
        if kind in cls.accepts:
            try:
                return cls(space)
            except JensenError:
                continue
    return None


def _bounded(cls: type[Model]) -> list[str]:
    """Kinds of rows whose score is a bound, because a codec with noise brings them to the model."""
    import torch

    from jensen.codec import codec_for
    from jensen.errors import SpaceError
    from jensen.quantity import Kind

    found = []
    for kind, space in _images().items():
        try:
            codec = codec_for(
                cls.accepts, space, torch.arange(2).repeat(4, 8).reshape(4, *space.shape).float()
            )
        except SpaceError:
            continue
        if codec.kind is not Kind.EXACT:
            found.append(kind)
    return found + [kind for kind in ("categorical", "mixed") if _spread(cls, kind)]


def _spread(cls: type[Model], kind: str) -> bool:
    """Whether a model takes such a table as real numbers with noise."""
    import torch

    from jensen.codec import codec_for
    from jensen.errors import JensenError
    from jensen.quantity import Kind
    from jensen.space import Column, Space

    columns = (Column("categorical", 2), Column("real" if kind == "mixed" else "binary"))
    try:
        codec = codec_for(cls.accepts, Space((2,), columns), torch.eye(2).repeat(4, 1))
        cls(codec.model_space)
    except JensenError:
        return False
    return codec.kind is not Kind.EXACT


def _print(facts: dict[str, Any]) -> None:
    echo(f"{style(facts['name'], bold=True)}: {folded(facts['about'], len(facts['name']) + 2, sys.stdout)}")
    arguments = ", ".join(f"{one['name']}={_value(one['default'])}" for one in facts["arguments"])
    bounded = f"; by a lower bound {', '.join(facts['by_bound'])}" if facts["by_bound"] else ""
    given = "; given a class or vector with --context" if facts["takes_context"] else ""
    lines = [("rows", ", ".join(facts["accepts"]) + bounded + given), ("can", ", ".join(facts["can"]))]
    if facts["cheap"] is not None:
        lines.append(("fast", _ways(facts["cheap"])))
    pairs([*lines, ("set", folded(arguments or "nothing", 8, sys.stdout))])


def _ways(cheap: list[str]) -> str:
    """Which directions of a flow, as set by default, are one pass."""
    slow = [way for way in ("score", "sample") if way not in cheap]
    text = f"{' and '.join(cheap[::-1])} in one pass" if cheap else ""
    many = f"{' and '.join(slow)} in many steps" if slow else ""
    return "; ".join(part for part in (text, many) if part)


def _value(default: Any) -> str:
    """A default as --set would take it."""
    import json

    try:
        return json.dumps(default)
    except TypeError:
        return str(default)
