"""Taint by storage: what is known of every piece of memory that torch has written to.

A view shares the memory of its base, so taint laid out like that memory, `(slots, elements)`, is right for views and
for writes through them without a rule for either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

SWEEP_EVERY = 64  # operations between two removals of dead storages


@dataclass
class Memory:
    """The taint of one storage, `(slots, elements)`, or None where nothing in it varies."""

    alive: StorageWeakRef  # holding it also keeps the storage's key from being used again
    itemsize: int
    taint: Tensor | None = None

    def refine(self, itemsize: int) -> None:
        """Smaller units, when the same bytes are read under a smaller type (the parts of complex numbers)."""
        if 0 < itemsize < self.itemsize:
            if self.taint is not None:
                self.taint = self.taint.repeat_interleave(self.itemsize // itemsize, 1)
            self.itemsize = itemsize

    def window(self, tensor: Tensor) -> Tensor:
        """The taint of a tensor's elements and of the units within each: a view, `(slots, *shape, units)`."""
        assert self.taint is not None
        units = tensor.element_size() // self.itemsize
        strides = (self.taint.stride(0), *(stride * units for stride in tensor.stride()), 1)
        start = self.taint.storage_offset() + tensor.storage_offset() * units
        return self.taint.as_strided((len(self.taint), *tensor.shape, units), strides, start)


class Store:
    """The taint of all tensors, and the old values of those that were there before and are written to."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.largest = 1  # elements of the largest tensor that varied
        self._memory: dict[int, Memory] = {}
        self._before: list[tuple[torch.UntypedStorage, torch.UntypedStorage]] = []
        self._count = 0

    def taint(self, tensor: Tensor) -> Tensor | None:
        """The taint of a tensor, `(slots, *shape)`, as a view of the store; None where nothing varies."""
        memory = self._memory.get(key(tensor))
        if memory is None or memory.taint is None:
            return None
        memory.refine(tensor.element_size())
        window = memory.window(tensor)
        return window[..., 0] if window.shape[-1] == 1 else window.any(-1)

    def put(self, tensor: Tensor, taint: Tensor | None) -> None:
        """Sets the taint of the elements of `tensor`, in whatever storage they lie. The store keeps `taint` itself."""
        memory = self._memory.get(key(tensor))
        if memory is None:
            memory = Memory(StorageWeakRef(tensor.untyped_storage()), max(tensor.element_size(), 1))
            self._memory[key(tensor)] = memory
        memory.refine(tensor.element_size())
        if taint is None or not bool(taint[0].any()):
            if memory.taint is not None:
                memory.window(tensor).fill_(False)
            return
        self.largest = max(self.largest, tensor.numel())
        elements = tensor.untyped_storage().nbytes() // memory.itemsize
        if memory.taint is None and tensor.is_contiguous() and elements == tensor.numel():
            memory.taint = taint.reshape(self.slots, -1).contiguous()
            return
        if memory.taint is None or memory.taint.shape[1] < elements:
            memory.taint = _grown(memory.taint, self.slots, elements, tensor.device)
        memory.window(tensor).copy_(taint.unsqueeze(-1))

    def memory_of(self, tensors: Iterable[Tensor]) -> set[int]:
        """Where the taint of these tensors itself is kept: what is put there must be a copy."""
        kept = (self._memory[key(t)].taint for t in tensors if key(t) in self._memory)
        return {key(taint) for taint in kept if taint is not None}

    def protect(self, written: Iterable[Tensor]) -> None:
        """Remembers tensors from outside before they are written to: buffers, caches, running statistics."""
        for tensor in written:
            if key(tensor) not in self._memory:
                storage = tensor.untyped_storage()
                self._before.append((storage, storage.clone()))
                self.put(tensor, None)

    def restore(self) -> None:
        """Undoes the writes to tensors from outside."""
        for storage, copy in reversed(self._before):
            storage.copy_(copy, non_blocking=False)
        self._before.clear()

    def sweep(self) -> None:
        """Forgets dead storages, every now and then."""
        self._count += 1
        if self._count % SWEEP_EVERY == 0:
            for dead in [key for key, memory in self._memory.items() if memory.alive.expired()]:
                del self._memory[dead]


def key(tensor: Tensor) -> int:
    """The identity of a tensor's storage."""
    return int(tensor.untyped_storage()._cdata)


def has_memory(tensor: Tensor) -> bool:
    """Whether the elements lie in one plain storage: not so in sparse and nested tensors."""
    try:
        return key(tensor) >= 0
    except (RuntimeError, NotImplementedError):
        return False


def _grown(taint: Tensor | None, slots: int, elements: int, device: torch.device) -> Tensor:
    grown = torch.zeros(slots, elements, dtype=torch.bool, device=device)
    if taint is not None:
        grown[:, : taint.shape[1]] = taint
    return grown
