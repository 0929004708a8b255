"""The same random numbers on every device: what a GPU would draw is drawn on the CPU and moved there.

For comparisons alone: two devices have different generators, and without this nothing that draws could be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CPU = torch.device("cpu")
MADE = {"rand", "randn", "randint", "randperm", "normal"}
LIKE = {"rand_like", "randn_like", "randint_like"}
WRITTEN = {
    "uniform_",
    "normal_",
    "bernoulli_",
    "exponential_",
    "random_",
    "cauchy_",
    "log_normal_",
    "geometric_",
}
READ = {"bernoulli", "multinomial", "poisson", "_standard_gamma", "binomial"}


class SameNoise(TorchDispatchMode):
    """Within the block all draws come from the CPU's generators, in float64, and are then moved and rounded.

    So two devices see the same numbers, and float32 those of float64, rounded. A generator of a GPU stands for one of the
    CPU with its seed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.twins: dict[int, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.partition("::")[2]
        if name not in MADE | LIKE | WRITTEN | READ | {"native_dropout"}:
            return func(*args, **kwargs)
        kwargs = {key: self._twin(value) for key, value in kwargs.items()}
        args = tree_map(self._twin, args)
        if name == "native_dropout":
            return _dropout(*args, **kwargs)
        if name in WRITTEN:
            own = torch.empty_like(
                args[0], device=CPU, dtype=_wide(args[0].dtype)
            )  # of its layout, in its order
            func(own, *tree_map(_here, args[1:]), **kwargs)
            return args[0].copy_(own)
        tensors = [one for one in tree_leaves(args) if isinstance(one, Tensor)]
        place = kwargs.get("device") or (tensors[0].device if tensors else CPU)
        if name in READ or (name == "normal" and tensors):
            return func(*tree_map(_here, args), **kwargs).to(place)
        like = (
            tensors[0].dtype if tensors else torch.int64 if name == "randperm" else torch.get_default_dtype()
        )
        dtype = kwargs.get("dtype") or (torch.int64 if name == "randint" else like)
        drawn = func(*tree_map(_here, args), **{**kwargs, "device": CPU, "dtype": _wide(dtype)})
        return drawn.to(place, dtype)

    def _twin(self, value: Any) -> Any:
        if not isinstance(value, torch.Generator) or value.device.type == "cpu":
            return value
        seed = value.initial_seed()
        if value.get_offset() == 0:  # it has not been asked yet
            self.twins[seed] = torch.Generator().manual_seed(seed)
            value.set_offset(4)
        return self.twins[seed]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype.is_floating_point else dtype


def _here(one: Any) -> Any:
    return one.cpu() if isinstance(one, Tensor) else one


def _dropout(x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """What torch does on a CPU, where it has no fused kernel: a mask of Bernoulli numbers in the layout of x."""
    if not train:
        return x, torch.ones_like(x, dtype=torch.bool)
    kept = torch.empty_like(x, device=CPU, dtype=torch.float64).bernoulli_(1 - p).to(x)
    return x * kept / (1 - p), kept.bool()


def repeated(seed: int, work: Callable[..., Any], *given: Any) -> Any:
    """What `work(*given)` gives with the CPU's generator at `seed`, on whichever device it runs."""
    torch.manual_seed(seed)
    with SameNoise():
        return work(*given)
