"""Batches of encoded rows on the device, in an order that follows from the seed and the step alone."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.binarisation import Binarisation
from jensen.codec import Codec, as_tensor
from jensen.data.binarise import Bits
from jensen.data.stream import shards
from jensen.errors import DataError, UsageError
from jensen.functional import share
from jensen.functional.share import Share, holding
from jensen.scoring import RowSource, on_device

SHARD_BYTES = 64 << 20

STALLED = 300.0
"""Seconds after which a source that gives no rows is taken to hang: a shard of 64 MB takes a slow network disk one."""


class Feed:
    """An endless stream of batches for training: rows (batch, *shape) and their contexts (batch, d), or None.

    Rows that lie in memory are encoded once and stay on the device, levels in a byte each; an epoch is one shuffle, a batch
    a slice of it.
    Rows on disk come in shards of random blocks, the next one read while the present one is used. A codec with noise
    encodes every batch afresh, and dynamic bits are drawn afresh for every batch: their raw rows stay on the CPU, where
    the noise is drawn, the same for every device. The last rows of an epoch that fill
    no batch wait for another epoch's shuffle. `context` (n, d) holds the encoded contexts in the order of the rows; all
    of them stay on the device.

    Of several `processes` the one of number `rank` gets its rows of each batch, `batch` out of `whole`. The order of the
    rows does not depend on how many processes there are, and from disk each reads its own rows alone. Raises UsageError
    where a process would get none.
    """

    def __init__(
        self,
        rows: RowSource,
        codec: Codec,
        batch: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        context: Tensor | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.codec, self.seed = codec, seed
        self.device, self.dtype = device, dtype
        self.rows = rows
        self.rank, self.processes = rank, processes
        self.whole = share_of(min(batch, len(rows)), processes) * processes
        self.batch = self.whole // processes
        self.context = None if context is None else on_device(context, device, dtype)
        self.bits = rows if isinstance(rows, Bits) and rows.fresh else None
        self.source: RowSource = rows if self.bits is None else cast(RowSource, self.bits.grey)
        self.reading = threading.Lock()  # a source need not stand two readers
        self.random = codec.random or self.bits is not None
        self.resident = self._prepare(self.source) if isinstance(self.source, np.ndarray) else None

    def batches(self, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Batches (x, c) from step `start` on: the same ones as an uninterrupted run would see."""
        for first, shard, context in self._shuffled_shards(start):
            size = min(self.batch, len(shard))
            for i in range(max(start - first, 0), len(shard) // size):
                part = slice(i * size, (i + 1) * size)
                x, c = shard[part], None if context is None else context[part]
                yield self._with_noise(x, first + i) if self.random else _unpacked(x), c

    def sample(self, limit: int) -> tuple[Tensor, Tensor | None]:
        """Up to `limit` encoded rows and contexts for a model that solves itself, drawn without replacement."""
        if len(self.rows) <= limit:
            raw, c = as_tensor(self.rows[:]), self.context
        else:
            chosen = np.sort(np.random.default_rng(self.seed).choice(len(self.rows), limit, replace=False))
            raw, c = as_tensor(self.rows[chosen]), self._contexts(chosen)
        z, _ = self.codec.encode(raw, torch.Generator().manual_seed(self.seed))
        return on_device(z, self.device, self.dtype), c

    def _shuffled_shards(self, start: int) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        """(first step of the shard, this process's rows of it in random order, their contexts), from the one that holds
        `start`."""
        if self.resident is not None:
            size = max(len(self.resident) // self.whole, 1)
            for epoch in count(start // size):
                order = self._order(len(self.resident), epoch, 0)
                context = None if self.context is None else self.context[order.to(self.device)]
                yield epoch * size, self.resident[order.to(self.resident.device)], context
        waiting: deque[tuple[int, NDArray[np.intp], Future[Tensor]]] = deque()
        for first, epoch, number, index in self._plan(start):
            chosen = index[self._order(len(index), epoch, number).numpy()]
            waiting.append((first, chosen, in_background(self._read, chosen)))
            if len(waiting) > 1:
                ready, chosen, rows = waiting.popleft()
                yield ready, _waited(rows, chosen), self._contexts(chosen)

    def _plan(self, start: int) -> Iterator[tuple[int, int, int, NDArray[np.intp]]]:
        """(first step, epoch, number, indices) of the shards on disk, from the one that holds step `start`."""
        row_bytes = int(np.prod(self.rows.shape[1:])) * 8
        rows_a_shard = max(SHARD_BYTES // row_bytes, self.whole)
        block = getattr(self.rows, "block", None)  # rows that the file stores together, read together
        step = 0
        for epoch in count():
            for number, index in enumerate(shards(len(self.rows), rows_a_shard, self.seed, epoch, block)):
                size = max(len(index) // self.whole, 1)
                if step + size > start:
                    yield step, epoch, number, index
                step += size

    def _order(self, rows: int, epoch: int, number: int) -> Tensor:
        """The rows of a shard of so many in random order: of every batch those that this process gets."""
        order = torch.randperm(rows, generator=self._generator(1, epoch, number))
        if self.processes == 1:
            return order
        whole = min(self.whole, rows)
        each = max(whole // self.processes, 1)  # of fewer rows than processes every one gets the first
        first = min(self.rank * each, whole - each)
        return order[: rows // whole * whole].view(-1, whole)[:, first : first + each].reshape(-1)

    def _read(self, chosen: NDArray[np.intp]) -> Tensor:
        """Rows in the order of `chosen`, read in that of the file."""
        places = np.argsort(chosen)
        with self.reading:
            rows = self._prepare(self.source[chosen[places]])
        back = np.empty_like(places)
        back[places] = np.arange(len(places))
        return rows[torch.from_numpy(back).to(rows.device)]

    def _prepare(self, rows: NDArray[Any]) -> Tensor:
        """Rows encoded, on the device; or raw, on the CPU, where every batch gets noise of its own."""
        raw = as_tensor(rows)
        if self.random:
            return raw
        return _packed(on_device(self.codec.encode(raw)[0], self.device, self.dtype))

    def _contexts(self, index: NDArray[np.intp]) -> Tensor | None:
        return None if self.context is None else self.context[torch.from_numpy(index).to(self.device)]

    def _with_noise(self, x: Tensor, step: int) -> Tensor:
        """Raw rows encoded, with the noise that they would get in one process."""
        raw, generator, n = x, self._generator(2, step), len(x)
        with holding(Share(self.rank * n, (self.rank + 1) * n, self.processes * n)):
            if self.bits is not None:
                raw = draw_bits(raw, self.bits.binarisation, generator)
            z, _ = self.codec.encode(raw, generator)
        return self._sent(z)

    def _sent(self, z: Tensor) -> Tensor:
        """Encoded rows on the device. A GPU takes them from pinned memory, while the CPU goes on: `to` alone would wait
        for all that the GPU still has to do."""
        if self.device.type != "cuda":
            return on_device(z, self.device, self.dtype)
        z = z.to(self.dtype) if z.is_floating_point() else z
        return z.pin_memory().to(self.device, non_blocking=True)

    def _generator(self, *key: int) -> torch.Generator:
        """A generator of its own for every shuffle and every batch, so that a resumed run needs no state."""
        state = np.random.SeedSequence([self.seed, *key]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0]) >> 1)


def share_of(batch: int, processes: int) -> int:
    """How many rows of a batch each process gets. Raises UsageError where it is none."""
    if batch < processes:
        raise UsageError(
            "every process needs a row of each batch",
            f"got batches of {batch} rows for {processes} processes",
            "raise batch, or use fewer devices",
        )
    return batch // processes


def in_background(read: Callable[[NDArray[np.intp]], Tensor], index: NDArray[np.intp]) -> Future[Tensor]:
    """Read in a thread of its own that nobody waits for at the end: a source that hangs does not keep the process."""
    future: Future[Tensor] = Future()

    def work() -> None:
        try:
            future.set_result(read(index))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def _waited(rows: Future[Tensor], index: NDArray[np.intp]) -> Tensor:
    """The rows of a shard, or DataError where their source hangs."""
    try:
        return rows.result(STALLED)
    except TimeoutError:
        if rows.done():
            raise  # of the source's own
        raise DataError(
            f"the source of the rows gave nothing for {STALLED:g} s",
            f"asked for {len(index)} rows, from {index[0]} on",
            "check the disk or the network, then resume from the last checkpoint",
        ) from None


def _packed(z: Tensor) -> Tensor:
    """Indices of up to 256 levels in a byte each: a shuffle of an epoch moves an eighth of the memory."""
    small = z.dtype == torch.int64 and z.numel() > 0 and int(z.min()) >= 0 and int(z.max()) < 256
    return z.to(torch.uint8) if small else z


def _unpacked(z: Tensor) -> Tensor:
    return z.long() if z.dtype == torch.uint8 else z


def draw_bits(grey: Tensor, binarisation: Binarisation, generator: torch.Generator) -> Tensor:
    """Bits (n, *shape), uint8: one with the grey value's share of the range as its probability, to 2^-24."""
    chance = (grey.float() - binarisation.low) / (binarisation.high - binarisation.low)
    return (share.rand(*chance.shape, generator=generator) < chance).to(torch.uint8)
