"""The context in which a taint follows a module: what torch's dispatcher does not show, and what it shows too late."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.overrides import TorchFunctionMode

from jensen.functional.taint import Taint

ESCAPES = {
    getattr(Tensor, name)
    for name in (
        "numpy",
        "tolist",
        "__array__",
        "data_ptr",
        "__dlpack__",
        "storage",
        "untyped_storage",
        "__reduce_ex__",
        "apply_",
        "map_",
    )
}


class Escapes(TorchFunctionMode):
    """Sees values that leave torch, where no rule can follow them, and calls whose checks read values."""

    def __init__(self, taint: Taint) -> None:
        super().__init__()
        self.following = taint

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in ESCAPES and self.following.store.taint(args[0]) is not None:
            self.following.unproven(f"Tensor.{func.__name__} (values leave torch)")
        if func is torch.nn.functional.one_hot:
            return _one_hot(func, *args, **kwargs)
        if func in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu):
            # The fused kernels of oneDNN hide the steps; without them the steps are plain matrix products.
            with torch.backends.mkldnn.flags(enabled=False):
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _one_hot(func: Any, tensor: Tensor, num_classes: int = -1) -> Tensor:
    """One-hot without the check of the range, which reads values and would look like a branch on them."""
    if num_classes < 1:
        result: Tensor = func(tensor, num_classes)
        return result
    return tensor.unsqueeze(-1).eq(torch.arange(num_classes, device=tensor.device)).long()


@contextmanager
def following(taint: Taint, device: torch.device) -> Iterator[None]:
    """Within this context, `taint` follows every operation; random state and old tensors are given back after it.

    Fused kernels are switched to the plain operations that they stand for: they compute the same function.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # where warnings are errors, one would end the proof
        stack.callback(taint.store.restore)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        # Argument checks of distributions branch on values; they can only raise.
        stack.callback(Distribution.set_default_validate_args, Distribution._validate_args)
        Distribution.set_default_validate_args(False)
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        stack.enter_context(torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH))
        stack.enter_context(torch.no_grad())
        if "torch._dynamo" in sys.modules:  # a compiled module's kernels bypass the dispatcher
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(Escapes(taint))
        stack.enter_context(taint)
        yield
