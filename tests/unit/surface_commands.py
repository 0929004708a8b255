"""Doors of the command line: every verb with strange words for each of its options and arguments, in a folder of its own."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import torch
from click.testing import CliRunner, Result
from strange_values import Strange
from strange_words import NUMBERS, PATHS, SETTINGS, TEXTS
from surface_kit import Case, Kit

from jensen.cli import VERBS, cli
from jensen.errors import UsageError

PLAIN = {
    "fit": "fit rows.csv --model independent --steps 1 -q --out new",
    "fit a density": "fit --target mine.py:density --dim 2 --model realnvp --set transforms=1 --set hidden=[4] "
    "--set batch=4 --steps 1 -q --out new",
    "fit a flow": "fit e.csv --model realnvp --set transforms=1 --set hidden=[4] --steps 1 -q --out new",
    "sample": "sample run -n 2 -q",
    "sample levels": "sample levels -n 2 -q --context 1",
    "complete": "complete levels levels.npy --missing bottom --context 1 --first 2 --particles 2 -q",
    "score": "score run rows.csv -q",
    "score bounds": "score latent e.csv -k 2 -q",
    "embed": "embed encoder e.csv -q",
    "compare": "compare e.csv --models independent --steps 1 --lens none -k 2 -q",
    "tightness": "tightness latent -n 2 -k 2 --levels 0",
    "divergence": "divergence e.csv gone",
    "audit": "audit run --checks no_leak",
    "audit a module": "audit mine.py:module --input-shape 1,3,3 --checks no_leak",
    "course": "course a1",
    "models": "models made",
}
MINE = """import torch
def density(x): return -(x ** 2).sum(1)
def module(): return torch.nn.Conv2d(1, 1, 3, padding=1)
"""
MESSAGE = re.compile(r"^error: [^\n]+(\n +[^\n]+)*\ngiven: [^\n]+(\n +[^\n]+)*\ndo: ", re.MULTILINE)


def _word(dice: random.Random, parameter: click.Parameter) -> str:
    """A word for one option or argument; half of them are of its sort."""
    name, number = (
        parameter.name or "",
        isinstance(parameter.type, (click.types.IntParamType, click.types.FloatParamType)),
    )
    if name == "devices":
        return dice.choice(["0", "-1", "1", "1", "x", "", "1.5"])  # more than one starts processes
    if isinstance(parameter.type, click.Choice) and dice.random() < 0.5:
        return str(dice.choice(list(parameter.type.choices)))
    if name in ("k", "levels", "particles", "n"):
        return dice.choice([word for word in NUMBERS if len(word) < 20])  # more draws are asked for, and made
    if dice.random() < 0.2:
        return dice.choice([*NUMBERS, *TEXTS, *PATHS])
    if number or name in ("budget", "scale"):
        return dice.choice(NUMBERS)
    if name == "settings":
        return dice.choice(SETTINGS)
    return dice.choice(PATHS) if name in _OF_PATHS else dice.choice(TEXTS)


_OF_PATHS = {
    "rows",
    "run",
    "runs",
    "out",
    "report",
    "html",
    "target",
    "samples",
    "lens",
    "a",
    "b",
    "context",
    "missing",
}


def _words(some: Strange, plain: list[str]) -> list[str]:
    """A good command with one or two words changed, added or lost."""
    dice, words = some.dice, list(plain)
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None
    for _ in range(dice.choice([1, 1, 1, 2])):
        parameter = dice.choice(command.params)
        if isinstance(parameter, click.Argument):
            place = 1 + [one for one in command.params if isinstance(one, click.Argument)].index(parameter)
            words[place : place + dice.choice([0, 1, 1, 1])] = [_word(dice, parameter)]
        elif getattr(parameter, "is_flag", False):
            words.append(parameter.opts[-1])
        else:
            words += [dice.choice(parameter.opts), _word(dice, parameter)]
    if dice.random() < 0.05:
        words.pop(dice.randrange(1, len(words))) if len(words) > 1 else None
    if dice.random() < 0.05:
        words.insert(dice.randrange(len(words) + 1), dice.choice(TEXTS))
    if words[0] == "course" and "a1" not in words:
        words.insert(1, "a1")  # without a name it is all claims, which is a long way
    return (
        words[:1] + ["--json"] * (dice.random() < 0.3) + words[1:]
    )  # behind an option it would be that one's value


@contextmanager
def _in_a_folder(kit: Kit) -> Iterator[Path]:
    """A fresh folder with rows and runs, left and removed; afterwards the one around it must be as it was."""
    around = kit.folder / "commands"
    stock, place = around / "stock", around / "here"
    if not stock.exists():
        _stock(kit, stock)
    shutil.copytree(stock, place)
    threads = torch.get_num_threads()
    os.chdir(place)
    try:
        with mock.patch.dict(os.environ, HOME=str(place)):
            yield place
        assert sorted(os.listdir(around)) == ["here", "stock"], "a file outside its folder"
    finally:
        torch.set_num_threads(threads)
        os.chdir(kit.folder)
        for name in set(os.listdir(around)) - {"stock"}:
            shutil.rmtree(around / name)


def _stock(kit: Kit, stock: Path) -> None:
    rng = np.random.default_rng(0)
    (stock / "empty").mkdir(parents=True)
    for name in ("table", "levels", "encoder", "latent"):
        getattr(kit, name).save(stock / name.replace("table", "run"))
    lines = [f"{i % 7 / 3:.4f},{'abc'[i % 3]},{i % 9}" for i in range(45)]
    (stock / "rows.csv").write_text("\n".join(["c0,c1,c2", *lines]))
    np.savetxt(stock / "e.csv", rng.normal(size=(45, 3)), delimiter=",", header="a,b,c", comments="")
    np.save(stock / "levels.npy", rng.integers(0, 4, (45, 1, 3, 3)))
    (stock / "mine.py").write_text(MINE)


def _alone(devices: int | None) -> None:
    assert devices in (None, 1), "processes would start"


def _no_constant(text: str) -> Any:
    raise AssertionError(f"{text} is not JSON")


def _well_told(result: Result, as_json: bool) -> None:
    """An exit code that has a meaning, no traceback, three parts, nothing that moves a terminal."""
    code, told = result.exit_code, result.stdout + result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert code in (0, 1, 2, 3) and "Traceback" not in told, f"exit {code}: {told[-500:]}"
    assert "\x1b" not in told and "\u202e" not in told, "a control character is printed"
    if as_json and result.stdout:
        document = json.loads(result.stdout, parse_constant=_no_constant)
        assert code != 2 or {"wrong", "given", "do"} == set(document["error"]), document
    elif code == 2:  # what click itself refuses has a message of one line
        assert MESSAGE.search(result.stderr) or re.search("^Error: .", result.stderr, re.M), result.stderr


def _door(plain: str) -> Callable[[Strange, Kit], Case]:
    def command(some: Strange, kit: Kit) -> Case:
        words = _words(some, plain.split())

        def call() -> None:
            never = AssertionError("a connection")
            with (
                _in_a_folder(kit),
                mock.patch("socket.socket", side_effect=never),
                mock.patch("jensen.cli.fit.start_together", _alone),
            ):
                result = CliRunner().invoke(cli, words, prog_name="jensen")
            try:
                _well_told(result, "--json" in words)
            except BaseException as error:
                raise AssertionError(f"jensen {words!r}: {error}") from (result.exception or error)
            if result.exit_code:
                raise UsageError("refused", "as it was told", "see above")

        return [], call

    return command


COMMANDS = {f"jensen {name}": _door(plain) for name, plain in PLAIN.items()}
"""By the verb."""

assert {name.split()[0] for name in PLAIN} == set(VERBS), "a verb has no door"
