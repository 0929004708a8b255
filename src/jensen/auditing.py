"""`jensen.audit`: run the checks on a fitted model, a model, or any torch module, and leave no trace.

The file is not called audit: importing a module `jensen.audit` would hide the function of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jensen.adapt import AUTOENCODERS, view
from jensen.adapt.peer import Peer
from jensen.arguments import one_of, said, sizes, texts, whole
from jensen.checks import check_names, run
from jensen.checks.fixed import first_context, fixed, fixed_at
from jensen.checks.mode_coverage import NAME as MODE_COVERAGE
from jensen.checks.mode_coverage import Known
from jensen.checks.subject import Bare
from jensen.checks.verdict import Verdict
from jensen.codec import as_tensor
from jensen.data.known_modes import Modes, known_modes, modes_of_target
from jensen.errors import UsageError, nearest
from jensen.fitted import Fitted
from jensen.functional.module_state import device_of, float_type
from jensen.model import Model
from jensen.nn.precision import full_float32
from jensen.probing.verdict import NAME as LABELS
from jensen.probing.verdict import views_verdict
from jensen.space import Space

ROWS = 256
"""Rows that the checks look at, the first ones given."""


def audit(
    fitted_or_module: Any,
    rows: Any = None,
    *,
    space: Space | None = None,
    input_shape: Sequence[int] | None = None,
    channel_order: bool = False,
    seed: int = 0,
    checks: Sequence[str] | None = None,
    adapt: str | None = None,
    modes: str | Modes | None = None,
) -> list[Verdict]:
    """Check what a model promises: one `Verdict` a check, in the order of `jensen.checks.CHECKS`.

    `fitted_or_module`: a Fitted, a Model, or any torch module or callable from rows (n, *input_shape) to a batch.
    `rows`: what the checks look at beside rows of their own making. For a Fitted, anything it can score, in the user's
    units; otherwise a tensor or array of what the module itself sees.
    `space`: of a model's rows, by default its own. `input_shape`: of one row, needed for a bare module without rows.
    `channel_order`: of a bare module, the channels of one position come one after the other (R before G before B).
    `checks`: some names only. `adapt`: `fitted_or_module` is a flow, distribution or transform of that library, "zuko",
    "nflows", "normflows", "torchflows" or "torch" (torch.distributions, and modules that return (z, log_det)), or a pair
    of a conditional flow and the context (size,) at which to look at it; or an autoencoder of "pythae". `modes`: of the law whose rows the model should
    draw, a name of `jensen.data.known_modes` (ring, grid, stacked-digits) or Modes; known by itself where the model was
    fitted to a target that has them.

    Everything runs in eval mode; the modes of all submodules, buffers and torch's random state are as before afterwards.
    A check that does not apply, or that itself breaks, gives a verdict of None that says so. A conditional model is
    looked at under one context, the first of the rows' own or else the first class and the mean, as its evidence says.
    For a fitted encoder and Rows with one class a row as their context, `views_keep_labels` says what its views do to
    the labels of raw rows' nearest neighbours.
    Raises UsageError for unknown names and a bare module without a shape.

    >>> from torch import nn
    >>> blur = nn.Conv2d(1, 1, 3, padding=1)
    >>> [v.holds for v in audit(blur, input_shape=(1, 4, 4), checks=["no_leak"])]
    [False]
    """
    seed = whole("seed", seed, 0)
    one_of("space", space, (Space, type(None)), "a Space", "leave it out for the model's own")
    if input_shape is not None:
        input_shape = sizes("input_shape", input_shape, do="pass one row's shape, such as (1, 28, 28)")
    one_of("modes", modes, (str, Modes, type(None)), "a name or Modes", "pass 'ring', say")
    names = _chosen(checks)
    labels = views_verdict(fitted_or_module, rows, seed) if checks is None or LABELS in checks else None
    if adapt is not None:
        fitted_or_module = _viewed(adapt, fitted_or_module, rows, input_shape)
    module, x, space = subject_of(fitted_or_module, rows, space, input_shape, channel_order)
    known = _modes(fitted_or_module, module, modes)
    verdicts = []
    for name in names:
        looked_at = Known(module, known) if known is not None and name == MODE_COVERAGE else module
        with no_trace(module, seed):
            verdicts.append(_one(name, looked_at, x, space, seed))
    return [
        *(_said(verdict, fixed_at(module)) for verdict in verdicts),
        *([] if labels is None else [labels]),
    ]


def _viewed(library: str, given: Any, rows: Any, input_shape: Sequence[int] | None) -> Peer | Fitted:
    context = None
    if isinstance(given, tuple) and len(given) == 2:
        given, context = given[0], torch.as_tensor(given[1])
    if input_shape is None and rows is not None and library not in AUTOENCODERS:
        input_shape = rows.shape[1:]
    return view(library, given, context=context, input_shape=input_shape)


def _modes(given: Any, module: nn.Module, asked: str | Modes | None) -> Modes | None:
    """The modes that samples should have, as the module's own rows show them; None where none are known."""
    own = given.space if hasattr(given, "space") else getattr(module, "space", None)
    data = getattr(given, "record", {}).get("data", {})
    if isinstance(asked, str):
        found: Modes | None = known_modes(asked, own.dims if own is not None else 2)
    elif asked is None and data.get("target"):
        found = modes_of_target(str(data["target"]), given.space.dims)
    else:
        found = asked
    if found is None:
        return None
    if own is not None and tuple(own.shape) != tuple(found.space.shape):
        raise UsageError(
            f"the modes of {found.name} are those of rows of shape {found.space.shape}",
            f"the model draws rows of shape {tuple(own.shape)}",
            "name the law that the model was fitted to",
        )
    codec = getattr(given, "codec", None)
    return found if codec is None else found.seen_by(lambda z: codec.decode(torch.as_tensor(z)).numpy())


def _at_one_context(given: Any, module: nn.Module, rows: Any) -> nn.Module:
    """A conditional model at one context; any other module as it is."""
    if not isinstance(module, Model) or module.context is None:
        return module
    from jensen.data.given import contexts_of

    codec = getattr(given, "context_codec", None)
    own = None if codec is None or rows is None else contexts_of(rows, codec.space)
    c = first_context(module, None if codec is None or own is None else codec.encode(own.values[:1]))
    return fixed(module, c, f"c = {[float(one) for one in c[:8]]}" if codec is None else codec.say(c))


def _said(verdict: Verdict, given: str) -> Verdict:
    if not given or not verdict.details.get("applies", True):
        return verdict
    details = {**verdict.details, "given": given}
    return replace(verdict, evidence=f"{verdict.evidence}; all of it given {given}", details=details)


def _chosen(checks: Sequence[str] | None) -> list[str]:
    checks = None if checks is None else texts("checks", checks, f"known: {', '.join(check_names())}")
    unknown = [name for name in checks or [] if name not in (*check_names(), LABELS)]
    if unknown:
        raise UsageError("unknown check", f"got {unknown[0]!r}", nearest(unknown[0], check_names()))
    return [name for name in check_names() if checks is None or name in checks]


def subject_of(
    given: Any, rows: Any, space: Space | None, input_shape: Sequence[int] | None, channel_order: bool
) -> tuple[nn.Module, Tensor | None, Space | None]:
    """The module under audit, the rows it sees, and their space; a conditional model at one context."""
    if isinstance(getattr(given, "model", None), nn.Module) and hasattr(given, "codec"):
        x = None if rows is None else _encoded(given, rows)
        module = _at_one_context(given, given.model, rows)
        return module, _placed(module, x), space or given.codec.model_space
    x = None if rows is None else _as_seen(rows)
    if isinstance(given, (Model, Peer)):
        own = space or given.space
        if x is not None:
            own.check_shape(x.shape)
        return _at_one_context(given, given, None), _placed(given, x, own), own
    if not callable(given):
        raise UsageError(
            "expected a fitted model, a model, a torch module or a callable",
            f"got {type(given).__name__}",
            "pass what jensen.fit returned, or a torch.nn.Module",
        )
    return _bare(given, x, input_shape, channel_order), None, None


def _as_seen(rows: Any) -> Tensor:
    """Rows of what the module itself sees: the first ones, as a tensor. Raises UsageError for anything else."""
    plain = isinstance(rows, (Tensor, np.ndarray)) and rows.ndim > 0 and len(rows) > 0
    if plain and isinstance(rows, np.ndarray):
        plain = rows.dtype.kind in "biuf"
    if not plain or (isinstance(rows, Tensor) and (rows.is_meta or rows.layout is not torch.strided)):
        raise UsageError(
            "rows for a module are what it sees, one row or more",
            f"got {said(rows)}",
            "pass a tensor (n, *input_shape)",
        )
    return rows[:ROWS] if isinstance(rows, Tensor) else as_tensor(np.asarray(rows[:ROWS]))


def _encoded(fitted: Any, rows: Any) -> Tensor:
    from jensen.context import rows_alone

    source = rows_alone(getattr(fitted, "context_codec", None), rows, fitted.codec.space)
    x, _ = fitted.codec.encode(as_tensor(source[:ROWS]), torch.Generator().manual_seed(0))
    return x if isinstance(x, Tensor) else torch.as_tensor(x)


def _placed(module: nn.Module, x: Tensor | None, space: Space | None = None) -> Tensor | None:
    if x is None:
        return None
    if space is not None and space.measure == "mass" and not x.is_floating_point():
        x = x.long()
    return x.to(device_of(module), float_type(module)) if x.is_floating_point() else x.to(device_of(module))


def _bare(
    function: Callable[[Tensor], Tensor],
    x: Tensor | None,
    input_shape: Sequence[int] | None,
    channel_order: bool,
) -> Bare:
    if input_shape is None and x is None:
        raise UsageError(
            "a module that is no jensen.Model does not say what it takes",
            f"got {type(function).__name__} and no input_shape",
            "pass input_shape, one row without the batch axis, such as (1, 28, 28)",
        )
    shape = tuple(input_shape) if input_shape is not None else tuple(x.shape[1:])  # type: ignore[union-attr]
    device = None if x is None else x.device
    if x is None or x.is_floating_point():
        return Bare(function, shape, channel_order=channel_order, device=device)
    levels = max(2, int(x.max()) + 1)
    return Bare(function, shape, channel_order=channel_order, dtype=x.dtype, levels=levels, device=device)


def _one(name: str, module: nn.Module, x: Tensor | None, space: Space | None, seed: int) -> Verdict:
    try:
        return run(name, module, x, space, seed)
    except UsageError:
        raise
    except Exception as error:
        return Verdict(name, None, f"the check broke off: {type(error).__name__}: {error}")


@contextmanager
def no_trace(module: nn.Module, seed: int) -> Iterator[None]:
    """Eval mode and a seeded random state within; modes, buffers and random state as before afterwards."""
    modes = {part: part.training for part in module.modules()}
    device = device_of(module)
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), full_float32(device):
            torch.manual_seed(seed)
            module.eval()
            yield
    finally:
        for part, training in modes.items():
            part.training = training
        for buffer, before in buffers:
            buffer.detach().copy_(before)
