"""A batch in several hands: which of its rows these are, and random numbers that are the same as if one had all of them.

A batch is cut among processes, or goes through in pieces for want of memory. Whatever is drawn a row is then drawn for the
whole batch, from one stream of random numbers, and every share takes its own rows of it: losses and gradients are those
of the whole batch, to rounding. Outside a share everything is as torch does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Rows `start` to `stop` of a batch of `total`.

    `generator`: the stream common to all shares; None: torch's own. `processes`: how many hold the batch together; the other
    rows can be asked for where they are several (`gather`).
    """

    start: int
    stop: int
    total: int
    generator: torch.Generator | None = None
    processes: int = 1

    def part(self, number: int, of: int) -> Share:
        """One of `of` pieces of this share, of sizes that differ by one row at most, as tensor_split cuts them."""
        size, longer = divmod(self.stop - self.start, of)
        first = self.start + number * size + min(number, longer)
        return replace(self, start=first, stop=first + size + (number < longer))


_held: ContextVar[Share | None] = ContextVar("share", default=None)


def share_now() -> Share | None:
    """The share that is being worked on, or None: the whole batch."""
    return _held.get()


@contextmanager
def holding(share: Share) -> Iterator[None]:
    """Run a block on the rows of a share."""
    token = _held.set(share)
    try:
        yield
    finally:
        _held.reset(token)


def own_rows(batch: Tensor) -> Tensor:
    """The rows (n, ...) of this share, out of those of the whole batch (total, ...)."""
    share = _held.get()
    return batch if share is None else batch[share.start : share.stop]


def rand(
    *shape: int,
    rows: int = 0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1); axis `rows` runs over the rows of the batch, or over several of each row, side by side.

    Drawn where the generator lives, given on `device`; by default where the generator is.

    >>> whole = rand(6, 2, generator=torch.Generator().manual_seed(0))
    >>> with holding(Share(1, 3, 6)):
    ...     mine = rand(2, 2, generator=torch.Generator().manual_seed(0))
    >>> torch.equal(mine, whole[1:3])
    True
    """
    return _drawn(partial(torch.rand, dtype=dtype), shape, rows, generator, device)


def randn(
    *shape: int,
    rows: int = 0,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Standard normal numbers, as `rand`."""
    return _drawn(partial(torch.randn, dtype=dtype), shape, rows, generator, device)


def randint(
    low: int,
    high: int,
    *shape: int,
    rows: int = 0,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Whole numbers from `low` to below `high`, int64, as `rand`."""
    return _drawn(partial(torch.randint, low, high), shape, rows, generator, device)


def dropout(x: Tensor, rate: float, training: bool, whole_channels: bool = False) -> Tensor:
    """x (n, ...) with a share `rate` of its numbers, or of its channels (n, c), set to 0 and the others divided by 1 - rate."""
    if not training or rate == 0:
        return x
    share = _held.get()
    if share is None:
        how = torch.nn.functional.dropout2d if whole_channels else torch.nn.functional.dropout
        return how(x, rate)
    shape = (*x.shape[:2], *(1 for _ in x.shape[2:])) if whole_channels else tuple(x.shape)
    wide, mine = _widened(shape, 0)
    source = share.generator
    kept = torch.empty(wide, device=x.device, dtype=x.dtype).bernoulli_(1 - rate, generator=source)
    return x * kept[mine].div_(1 - rate)


def _drawn(
    draw: Callable[..., Tensor],
    shape: tuple[int, ...],
    rows: int,
    generator: torch.Generator | None,
    device: torch.device | None,
) -> Tensor:
    """`draw` of numbers for the whole batch, and this share's of them."""
    share = _held.get()
    source = share.generator if generator is None and share is not None else generator
    wide, mine = _widened(shape, rows)
    drawn = draw(wide, generator=source, device=device if source is None else source.device)
    if mine != slice(None):
        drawn = drawn[(slice(None),) * rows + (mine,)].contiguous()
    return drawn if device is None else drawn.to(device)


def _widened(shape: tuple[int, ...], rows: int) -> tuple[tuple[int, ...], slice]:
    """The shape for the whole batch, and where in it this share lies.

    There may be several draws a row, or one for several rows; what cannot be told apart by rows is drawn alike by all.
    """
    share = _held.get()
    if share is None:
        return shape, slice(None)
    size, own = shape[rows], share.stop - share.start
    whole, rest = divmod(size * share.total, own)
    first, odd = divmod(size * share.start, own)
    if rest or odd:
        return shape, slice(None)
    return (*shape[:rows], whole, *shape[rows + 1 :]), slice(first, first + size)
