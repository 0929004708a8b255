"""What a torch module's output may depend on, proven: the receptive field of one output, and all pairs.

The proof runs the module once on a few rows while `taint` follows every operation. Nothing is sampled: a weight of
1e-30 counts, a ReLU that happens to be dead does not hide anything. Whatever has no rule is named, never passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional.taint_study import Dependence, Forward, Study, fold_sites

__all__ = ["Dependence", "dependence", "fold_sites", "output_index", "receptive_field"]

Position = int | Sequence[int | slice | None]


def receptive_field(
    module: Forward,
    input_shape: Sequence[int],
    position: Position,
    *,
    dtype: torch.dtype | None = None,
    example: Tensor | None = None,
    bound: float = 1e30,
) -> NDArray[np.bool_]:
    """The inputs that the output at `position` may depend on: a bool array of shape `input_shape`.

    `module`: any callable from a batch `(n, *input_shape)` to a batch; wrap further arguments in a lambda.
    `input_shape`: one row, without the batch axis: (1, 28, 28).
    `position`: from 0, in the output's map. As many numbers as the output has axes are a full index; fewer index
    its last axes, OR over the channels before them: (2, 2) is pixel row 2, column 2. For an output `(length,
    channels)` of an input `(length,)` one number is the place in the sequence. `slice(None)` takes a whole axis.
    `dtype`, `example`, `bound`: as in `dependence`.

    False is proven; True means there is a path of non-zero weights. Raises `Cannot` if an operation has no rule.

    >>> conv = torch.nn.Conv2d(1, 1, 3, padding=1)
    >>> receptive_field(conv, (1, 3, 3), (0, 0)).astype(int)[0].tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    study = Study(module, input_shape, dtype, example, bound)
    chosen = torch.zeros(study.output_shape, dtype=torch.bool)
    chosen[output_index(position, study.output_shape, study.input_shape)] = True
    chosen = chosen.flatten()
    found = study.run(lambda taint: taint[:, chosen].any(1, keepdim=True)).require()
    return np.asarray(found.view(study.input_shape).numpy())


def dependence(
    module: Forward,
    input_shape: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    example: Tensor | None = None,
    bound: float = 1e30,
) -> Dependence:
    """All pairs: which output of a row may depend on which of its inputs.

    `dtype`: of the input; by default that of the module's first floating parameter or buffer. Integers and bool are zeros.
    `example`: one row to run on instead, `input_shape`; its values decide nothing, but must be legal for the module. It
    goes to the device of the module's state; where the module is a function, which has none, it stays where it is.
    `bound`: constants of at least this size act as infinite in sums and in a softmax. Lower it (1e8) to accept
    -1e9 as an attention mask; the proof then holds for scores below it.

    Cost: about inputs times one forward pass of twice the usual arithmetic, in chunks of bounded memory. A module in
    training mode is judged in training mode; its buffers are left as they were.

    >>> found = dependence(torch.nn.Linear(2, 3), (2,))
    >>> found.proven, found.rows_mix, found.matrix.int().tolist()
    (True, False, [[1, 1], [1, 1], [1, 1]])
    """
    return Study(module, input_shape, dtype, example, bound).run(lambda taint: taint)


def output_index(
    position: Position, output: tuple[int, ...], given: tuple[int, ...]
) -> tuple[int | slice, ...]:
    """The position as a full index of one `output` row, for an input row of shape `given`. Raises UsageError."""
    parts = _parts(position)
    missing = len(output) - len(parts)
    leading = len(parts) == 1 and len(output) == 2 and _sequence_first(output, given)
    sizes = output if leading else output[max(missing, 0) :]
    legal = parts and missing >= 0 and all(isinstance(p, slice) or 0 <= p < n for p, n in zip(parts, sizes))
    if not legal:
        raise UsageError(
            "expected a position inside the output's map, counted from 0",
            f"got {parts} for an output row of shape {output}",
            "index its last axes, or all of them with slice(None) for a whole axis",
        )
    whole = (slice(None),) * missing
    return (*parts, *whole) if leading else (*whole, *parts)


def _parts(position: Position) -> tuple[int | slice, ...]:
    try:
        parts = tuple(position) if isinstance(position, Sequence) else (position,)
        return tuple(p if isinstance(p, slice) else slice(None) if p is None else index(p) for p in parts)
    except TypeError:
        raise UsageError(
            "expected a position of whole numbers", f"got {position!r}", "pass ints, such as (2, 2)"
        ) from None


def _sequence_first(output: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Whether an output of two axes is (length, channels): told by the input, and refused where it tells nothing."""
    first, last = output[0] == given[0], output[-1] == given[-1]
    if first and last and len(given) == 2 and output[0] != 1:
        raise UsageError(
            "expected a full index: one number is ambiguous here",
            f"got one number for an output row of shape {output} and an input row of shape {given}",
            "pass (place, slice(None)) or (slice(None), place)",
        )
    return first and (len(given) == 1 or not last)
