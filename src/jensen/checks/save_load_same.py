"""Does a model that was saved and built again say the same?"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from jensen.checks.subject import can, indices, some_rows
from jensen.checks.verdict import Verdict
from jensen.functional.module_state import device_of
from jensen.model import Can, Model
from jensen.space import Space
from jensen.store import build, load_tensors, load_weights, model_record, save_tensors

NAME = "save_load_same"
ROWS = 16
FEW = 2
"""Samples drawn: a row can cost a pass a site."""


def needs(module: nn.Module, space: Space | None) -> str:
    """Why the check does not apply, or an empty string."""
    if not isinstance(module, Model):
        return "the module is no jensen.Model: it has no record to save"
    return "the networks are somebody else's: they are saved where they come from" if module.borrowed else ""


def check(module: nn.Module, rows: Tensor | None, space: Space | None, seed: int) -> Verdict:
    """Write record and weights to a temporary folder, build the model from them, and compare.

    The weights must be bitwise equal, log_prob and embed equal within rounding (the evidence says whether bitwise), and
    samples equal from the same generator. Whatever lives outside the arguments and the state dict is found this way.
    """
    assert isinstance(module, Model)
    try:
        again = _round_trip(module, seed)
    except Exception as error:
        return Verdict(NAME, False, f"saving and loading raises {type(error).__name__}: {error}")
    faults = _other_state(module, again) + _other_record(module, again)
    values, exact = _other_values(
        module, again, some_rows(module, rows, indices(module.space), ROWS, seed), seed
    )
    faults += values
    if faults:
        return Verdict(NAME, False, f"after loading, {'; '.join(faults)}", {"bitwise": False})
    what = ", ".join(
        ["weights", *_deterministic(module), *(["samples"] if Can.SAMPLE in can(module) else [])]
    )
    bitwise = "bit for bit" if exact else "weights and samples bit for bit, the rest within rounding"
    return Verdict(NAME, True, f"{what} are the same after saving and loading, {bitwise}", {"bitwise": exact})


def _round_trip(module: Model, seed: int) -> Model:
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        path = Path(folder) / "model.safetensors"
        record = json.loads(json.dumps(model_record(module, None)))
        save_tensors(path, module.state_dict())
        # other random numbers than at the first construction: what is drawn there must be in the state
        torch.manual_seed(seed + 7919)
        again = build(record, type(module))
        load_weights(again, load_tensors(path), path)
    again.train(module.training)
    return again.to(device_of(module))


def _other_state(module: Model, again: Model) -> list[str]:
    mine, theirs = module.state_dict(), again.state_dict()
    bad = [
        name for name, tensor in mine.items() if name not in theirs or not _same_bits(tensor, theirs[name])
    ]
    return [f"{len(bad)} of {len(mine)} tensors differ, first {bad[0]}"] if bad else []


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def _other_record(module: Model, again: Model) -> list[str]:
    mine, theirs = (json.dumps(model_record(m, None), sort_keys=True) for m in (module, again))
    return [] if mine == theirs else ["arguments or space differ"]


def _deterministic(module: Model) -> list[str]:
    pairs = (("log_prob", Can.LOG_PROB), ("embed", Can.EMBED))
    return [name for name, ability in pairs if ability in can(module)]


def _other_values(module: Model, again: Model, x: Tensor, seed: int) -> tuple[list[str], bool]:
    faults, exact = [], True
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for name in _deterministic(module):
            a, b = getattr(module, name)(x), getattr(again, name)(x)
            exact &= _same_bits(a, b)
            # the layout of weights in memory may change the order of sums: 1e-5 is a hundred roundings in float32
            if not torch.allclose(a, b, rtol=1e-5, atol=1e-5, equal_nan=True):
                faults.append(f"{name} differs by {float((a - b).abs().max()):.2g}")
        if Can.LOG_PROB_LOWER in can(module) and not torch.equal(*_seeded(module, again, x, seed)):
            faults.append("log_prob_lower differs with the same noise")
        if Can.SAMPLE in can(module):
            a, b = (m.sample(FEW, generator=torch.Generator().manual_seed(seed)) for m in (module, again))
            if not _same_bits(a, b):
                faults.append("samples differ from the same generator")
    return faults, exact


def _seeded(module: Model, again: Model, x: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    values = []
    for model in (module, again):
        torch.manual_seed(seed)
        values.append(model.log_prob_lower(x))
    return values[0], values[1]
