"""A second device for machines that have one: values are kept and computed on the CPU, devices are told apart as CUDA does.

Tensors on it say that they are on "meta", and hold a tensor of the CPU inside. An operation on tensors of two devices, a
generator of one device for numbers on another, a NumPy view or a CPU index into what lies elsewhere fail as they do
on a GPU; whatever works gives the numbers of the CPU, bit for bit. Not shown by it: other kernels, their rounding, their memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
"""Autograd refuses the name of a device that torch was not built for, and this one is always there."""
CPU = torch.device("cpu")

CROSSES = {"_to_copy", "copy_", "copy", "_foreach_copy_", "set_", "lift_fresh"}
"""Operations that may read one device and write another."""
UNTAGGED = {"__ior__", "__iand__", "__or__", "__and__", "masked_fill", "masked_fill_", "fill_"}
"""Elementwise operations that torch does not tag so; a number beside the tensor comes to them as one of the CPU."""
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
"""Operations whose index may lie on the CPU where the values do not."""


class Elsewhere(Tensor):
    """A tensor on the pretended device, with its values in `inside`."""

    inside: Tensor

    @staticmethod
    def __new__(cls, inside: Tensor) -> Elsewhere:
        """Shape, strides and type are those of the values."""
        made: Elsewhere = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inside.size(),
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            device=DEVICE,
        )
        made.inside = inside
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        """The values, and that they are elsewhere."""
        return f"Elsewhere({self.inside})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Outside the mode too: a hook or a backward pass may run there."""
        return _run(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Constructors(TorchFunctionMode):
    """Lists and arrays become tensors on the CPU, then move: otherwise their values are lost on "meta"."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor, torch.asarray) and _elsewhere(kwargs.get("device")):
            kwargs.pop("device")
            return func(*args, **kwargs).to(DEVICE)
        if func is Tensor.new_tensor and isinstance(args[0], Elsewhere):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs}).to(DEVICE)
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], tree_map(_index, args[1], is_leaf=lambda one: isinstance(one, list)), *args[2:])
        if func is Tensor.tolist:
            return values(args[0]).tolist()
        if func in (Tensor.numpy, Tensor.__array__) and isinstance(args[0], Elsewhere):
            raise TypeError("can't convert a tensor that is not on the CPU to numpy")
        if func == Tensor.is_meta.__get__:  # type: ignore[attr-defined]
            return False
        if func == Tensor.data.__set__ and isinstance(args[0], Elsewhere):  # type: ignore[attr-defined]
            args[0].inside = args[1].inside
        return func(*args, **kwargs)


class _Generator(torch._C.Generator):
    """A generator that may live on the pretended device."""

    places: dict[int, torch.device] = {}

    def __new__(cls, device: Any = "cpu") -> _Generator:
        """One of the CPU, whose place is noted."""
        made = super().__new__(cls, device="cpu")
        cls.places[made._cdata] = DEVICE if _elsewhere(device) else CPU  # type: ignore[attr-defined]
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where it lives."""
        return self.places[self._cdata]  # type: ignore[attr-defined]


@contextmanager
def pretended() -> Iterator[torch.device]:
    """The device, within the block."""
    with pytest.MonkeyPatch.context() as patch, _Operations(), _Constructors():
        autocast, enabled = torch.autocast, torch.is_autocast_enabled
        patch.setattr(torch, "autocast", lambda device, *a, **k: autocast(_known(device), *a, **k))
        patch.setattr(torch, "is_autocast_enabled", lambda device="cpu": enabled(_known(device)))
        patch.setattr(torch, "Generator", _Generator)
        patch.setattr(_Generator, "places", {})
        yield DEVICE


def values(x: Any) -> Any:
    """What tensors hold, wherever they are; of nested tuples, lists and dictionaries too."""
    return tree_map(lambda one: one.inside if isinstance(one, Elsewhere) else one, x)


def _elsewhere(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def _index(one: Any) -> Any:
    """A list of places as a tensor of the CPU: torch puts it on the device of the values, where it would be lost."""
    return torch.tensor(one) if isinstance(one, list) else one


def _known(device: str) -> str:
    return "cpu" if _elsewhere(device) else device


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    # within another mode `to` comes as it was called, its device among the arguments
    named = [one for one in args if isinstance(one, torch.device)]
    asked = named[0] if named else kwargs.get("device")
    args = tuple(CPU if isinstance(one, torch.device) else one for one in args) if named else args
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    target = _place(func, args, tensors) if asked is None else torch.device(asked)
    _check_generator(func, (args, kwargs), target)
    inner = {**values(kwargs), "device": CPU} if "device" in kwargs and asked is not None else values(kwargs)
    out = func(*values(args), **inner)
    if func.name() == "aten::_to_copy" and out is values(args)[0]:
        out = out.clone()
    if target.type != DEVICE.type:
        return out if not any(isinstance(one, Elsewhere) for one in tensors) else values(out)
    wrapped = tree_map(lambda one: Elsewhere(one) if isinstance(one, Tensor) else one, out)
    if asked is not None or not tensors:
        return wrapped
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _place(func: Any, args: Any, tensors: list[Tensor]) -> torch.device:
    """The device of the result. Raises RuntimeError for tensors on two of them, but for numbers beside others and indices."""
    name = func.name().split("::")[1].split(".")[0]
    here = [one for one in tensors if not isinstance(one, Elsewhere)]
    if len(here) == len(tensors):
        return CPU
    if name in CROSSES:
        return DEVICE if isinstance(_first(args), Elsewhere) else CPU
    if name in INDEXES and isinstance(args[0], Elsewhere):
        here = [one for one in here if not any(one is index for index in args[1])]
    if _elementwise(func, name) or name in INDEXES or name.startswith("_foreach"):
        here = [one for one in here if one.ndim]
    if here and len(here) < len(tensors):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found two")
    return DEVICE


def _elementwise(func: Any, name: str) -> bool:
    return torch.Tag.pointwise in func.tags or name in UNTAGGED


def _first(args: Any) -> Any:
    return args[0][0] if isinstance(args[0], (list, tuple)) else args[0]


def _check_generator(func: Any, given: Any, target: torch.device) -> None:
    for one in tree_flatten(given)[0]:
        if isinstance(one, torch._C.Generator):
            lives = _Generator.places.get(one._cdata, CPU)  # type: ignore[attr-defined]
            if lives.type != target.type:
                raise RuntimeError(f"{func}: expected a generator of {target}, found one of {lives}")
