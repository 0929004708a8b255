"""One module under study: the rows it is run on, the chunks of sources, and what may be concluded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from jensen.arguments import number, one_of, said, sizes
from jensen.errors import Cannot, JensenError, UsageError
from jensen.functional.module_state import device_of, float_type
from jensen.functional.taint import Taint, first_line
from jensen.functional.taint_context import following

Forward = Callable[[Tensor], Tensor]
CHECKED = 8  # inputs that are also changed, one at a time, as a check of the proof
# Slots times elements of the largest tensor in one run: bounds memory, and stays near the caches.
CELLS = 2**22
UNSEEN = "values change where no path was seen: a kernel or a thread outside torch's dispatcher"


@dataclass(frozen=True)
class Dependence:
    """Which outputs of one row may depend on which inputs of that row.

    `matrix`: bool `(outputs, inputs)`, both flattened. False is proven for every input with which nothing overflows
    or is nan; None if nothing is proven.
    `proven`: False if some operation has no rule; `reasons` names them.
    `rows_mix`: whether an output row may depend on another input row (BatchNorm in training); None if not proven.
    `notes`: what made the answer coarser than it might be.
    """

    matrix: Tensor | None
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    proven: bool
    reasons: tuple[str, ...] = ()
    rows_mix: bool | None = None
    notes: tuple[str, ...] = ()

    def require(self) -> Tensor:
        """The matrix; raises `Cannot` naming the operations if nothing is proven."""
        if self.matrix is None:
            raise Cannot(
                "the dependence of this module is not proven",
                "no rule for " + "; ".join(self.reasons),
                "replace the operation by plain torch ones, or use jacobian_lower_bound, which proves links only",
            )
        return self.matrix

    def sites(self, count: int) -> Tensor:
        """The matrix between sites, `(count, count)`: OR over the channels, which come before the sites."""
        return fold_sites(self.require(), count)


class Study:
    """One module under study. The first run, on two rows with a slot each, finds the output's shape, whether rows
    mix, and what has no rule; the further runs carry one slot per input."""

    def __init__(
        self,
        module: Forward,
        input_shape: Sequence[int],
        dtype: torch.dtype | None,
        example: Tensor | None,
        bound: float,
    ) -> None:
        one_of("dtype", dtype, (torch.dtype, type(None)), "a type of torch", "pass torch.float32, say")
        if not callable(module):
            raise UsageError("expected a module to call", f"got {said(module)}", "pass a torch.nn.Module")
        self.module, self.bound = module, number("bound", bound, 0, inside=True)
        self.input_shape = _checked_shape(input_shape)
        self.row = _row(module, self.input_shape, dtype, example)
        self.reasons: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        seeds = torch.zeros(3, 2, self.row.numel(), dtype=torch.bool)
        seeds[0] = seeds[1, 0] = seeds[2, 1] = True
        shape, taint, self.largest = self._follow(seeds)
        self.output_shape = shape[1:]
        self.rows_mix = bool(taint[1, 1].any() | taint[2, 0].any())

    def run(self, keep: Callable[[Tensor], Tensor]) -> Dependence:
        """All inputs in chunks; `keep` takes the taint of one output row, `(slots, outputs)`, and may reduce it."""
        inputs = self.row.numel()
        chunk = max(16, CELLS // self.largest)
        parts = []
        for first in range(0, inputs, chunk):
            if self.reasons:
                break
            sources = torch.arange(first, min(first + chunk, inputs))
            parts.append(keep(self._chunk(sources)))
        matrix = torch.cat(parts).T.contiguous() if not self.reasons else None
        if matrix is not None and self._contradicted(matrix, keep):
            matrix, self.reasons[UNSEEN] = None, None
        return Dependence(
            matrix,
            self.input_shape,
            tuple(self.output_shape),
            not self.reasons,
            tuple(self.reasons),
            None if self.reasons else self.rows_mix,
            tuple(self.notes),
        )

    def _chunk(self, sources: Tensor) -> Tensor:
        # A row is studied alone where rows do not mix, and as row 0 of two where they do (or where one is refused).
        for rows in (2,) if self.rows_mix else (1, 2):
            seeds = torch.zeros(len(sources) + 1, rows, self.row.numel(), dtype=torch.bool)
            seeds[0] = True
            seeds[torch.arange(1, len(sources) + 1), 0, sources] = True
            try:
                shape, taint, _ = self._follow(seeds)
            except UsageError:
                if rows == 2:
                    raise
                continue
            if shape == (rows, *self.output_shape):
                break
        return taint[1:, 0]

    def _contradicted(self, matrix: Tensor, keep: Callable[[Tensor], Tensor]) -> bool:
        """Whether a change of one input moves an output that is said not to depend on it.

        No part of the proof: it catches what torch's dispatcher never saw. Tried on a few inputs, with room for
        rounding, and passed over where the module refuses the changed value (an index out of range), or where an
        output changes anyway (noise from outside torch).
        """
        generator = torch.Generator().manual_seed(0)
        try:
            before = self._value(self.row)
            steady = ~_differ(before, self._value(self.row))
            for place in torch.randperm(self.row.numel(), generator=generator)[:CHECKED].tolist():
                row = self.row.clone()
                row.view(-1)[place] = _other(row.view(-1)[place])
                moved = _differ(before, self._value(row)) & steady
                if bool((keep(moved[None])[0] & ~matrix[:, place]).any()):
                    return True
        except Exception:
            return False
        return False

    def _value(self, row: Tensor) -> Tensor:
        """The output of `row` beside the study's own; written buffers are given back and random draws repeat."""
        with following(Taint(1, self.bound), row.device):
            torch.manual_seed(0)
            out = self.module(torch.stack([row, self.row]))[0]
        return out.detach().flatten().cpu()

    def _follow(self, seeds: Tensor) -> tuple[tuple[int, ...], Tensor, int]:
        """Runs the module on rows whose elements carry `seeds`, `(slots, rows, inputs)`; the output's taint likewise."""
        slots, rows, _ = seeds.shape
        x = self.row.expand(rows, *self.input_shape).clone()
        taint = Taint(slots, self.bound)
        out = self._forward(x, taint, seeds)
        found = None if taint.reasons else taint.store.taint(out)
        self.reasons |= taint.reasons
        self.notes |= taint.notes
        bits = torch.zeros(slots, *out.shape, dtype=torch.bool) if found is None else found.cpu()
        return tuple(out.shape), bits.reshape(slots, rows, -1), taint.store.largest

    def _forward(self, x: Tensor, taint: Taint, seeds: Tensor) -> Tensor:
        taint.store.put(x, seeds.view(len(seeds), *x.shape).to(x.device))
        try:
            with following(taint, x.device):
                out = self.module(x)
        except JensenError:
            raise
        except Exception as error:
            out = self._plainly(x, error)
            taint.unproven(f"{type(error).__name__} ({first_line(error)})")
        return _checked_output(out, len(x))

    def _plainly(self, x: Tensor, error: Exception) -> Any:
        """Without following: if this works, the following is what failed; if not, the module refuses the input."""
        try:
            with torch.no_grad():
                return self.module(x)
        except Exception:
            raise UsageError(
                "expected a module that accepts a batch of this input",
                f"got {type(error).__name__} on a {x.dtype} batch of shape {tuple(x.shape)}: {error}",
                "check input_shape (one row, without the batch axis) and dtype, or pass an example row",
            ) from error


def _differ(before: Tensor, after: Tensor) -> Tensor:
    far = ~torch.isclose(before, after, rtol=1e-3, atol=1e-5)
    return far & before.isfinite() & after.isfinite()


def _other(value: Tensor) -> Tensor:
    if value.dtype == torch.bool:
        return ~value
    if value.is_floating_point() or value.is_complex():
        return torch.where(value == 0, 0.5, value / 2).to(value.dtype)
    return torch.where(value == 0, 1, 0).to(value.dtype)


def _checked_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    return sizes("input_shape", input_shape, do="pass one row's shape, such as (1, 28, 28)")


def _checked_output(out: Any, rows: int) -> Tensor:
    if not isinstance(out, Tensor):
        raise UsageError(
            "expected a module that returns one tensor",
            f"got {type(out).__name__}",
            "wrap it: lambda x: module(x)[0]",
        )
    if out.ndim == 0 or len(out) != rows:
        raise UsageError(
            "expected one output row for each input row",
            f"got an output of shape {tuple(out.shape)} for {rows} rows",
            "return a batch whose first axis is the rows",
        )
    return out


def _row(module: Any, shape: tuple[int, ...], dtype: torch.dtype | None, example: Tensor | None) -> Tensor:
    if example is not None:
        one_of("example", example, Tensor, "a tensor", "pass one row, without the batch axis")
    device = device_of(module, None if example is None else example.device)
    if example is not None:
        if tuple(example.shape) != shape:
            raise UsageError(
                "expected an example row of the input's shape",
                f"got {tuple(example.shape)} for {shape}",
                "pass one row, without the batch axis",
            )
        return example.detach().to(device, dtype)
    dtype = dtype or float_type(module)
    if not dtype.is_floating_point and not dtype.is_complex:
        return torch.zeros(shape, dtype=dtype, device=device)
    # Inside (0, 1), all different: legal for logit, log and sqrt. No rule looks at a value that varies.
    return torch.linspace(0.1, 0.9, prod(shape), device=device).view(shape).to(dtype)


def fold_sites(matrix: Tensor, count: int) -> Tensor:
    """OR over the channels of a matrix `(a * count, b * count)` whose channels come before the sites: `(count, count)`.

    >>> fold_sites(torch.eye(4, dtype=torch.bool), 2).int().tolist()
    [[1, 0], [0, 1]]
    """
    if count < 1 or matrix.ndim != 2 or any(size % count for size in matrix.shape):
        raise UsageError(
            "expected a matrix whose sides are multiples of the number of sites",
            f"got {tuple(matrix.shape)} and {count} sites",
            "count the sites of one channel: height times width",
        )
    return matrix.bool().view(matrix.shape[0] // count, count, -1, count).any(2).any(0)
