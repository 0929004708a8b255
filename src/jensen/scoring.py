"""Log-likelihoods of the user's rows, in the user's units, from a model and its codec."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import signature
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.arguments import one_of, said
from jensen.codec import Codec, as_tensor
from jensen.errors import UsageError
from jensen.functional.counts import check_draws
from jensen.functional.importance import log_mean_exp
from jensen.model import Can, Model, one_a_row
from jensen.nn.precision import full_float32
from jensen.quantity import Kind
from jensen.weighing import weighing_for


class RowSource(Protocol):
    """Rows (n, *shape) in memory or on disk: a NumPy array, or anything that reads like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, *shape)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> NDArray[Any]: ...


def log_likelihood(
    model: Model,
    codec: Codec,
    rows: RowSource,
    *,
    k: int = 64,
    seed: int = 0,
    batch: int = 512,
    watch: Callable[[int], None] | None = None,
    context: Tensor | None = None,
    quick: bool = False,
    method: str = "auto",
    width: float | None = None,
    chosen_width: float | None = None,
    levels: int | None = None,
) -> tuple[NDArray[np.float64], Kind, dict[str, Any]]:
    """One log-likelihood a row (n,), nats, its kind, and how it was made.

    An exact model behind an exact codec gives exact numbers. Behind Dequantise, k draws of the noise are averaged
    inside the logarithm, log (1/k) sum_j p(x + u_j), whose expectation is a lower bound that rises with k. The noise
    is independent from row to row. `watch` is told how many rows are done. With an encoded `context` (n, d) each
    number is log p(x | c), in the same sense. `quick`: of a model with latents, k draws a row and no more, for a look
    during training; the bound then is that for k as well. `method`, `width`, `levels`: how the rows of a model with latents
    are weighed (`weighing.Weighing`), by default exactly where the model is exact, and as wide as `chosen_width` says.
    """
    check_draws(k)
    generator = torch.Generator().manual_seed(seed)
    weigh = weighing_for(model, method, k, generator, width, chosen_width, levels)
    if quick or (method == "auto" and width is None and Can.LOG_PROB in model.can):
        weigh = None
    score, own = (weigh, Kind.LOWER) if weigh is not None else _scorer(model, k, generator, quick)
    kind = own + codec.kind
    draws = k if codec.random else 1
    device, dtype = place(model)
    values = np.empty(len(rows), dtype=np.float64)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), full_float32(device):
            for start in range(0, len(rows), batch):
                x = as_tensor(rows[start : start + batch])
                c = None if context is None else on_device(context[start : start + batch], device, dtype)
                found = torch.empty(draws, len(x), dtype=torch.float64)
                for draw in found:
                    z, log_det = codec.encode(x, generator)
                    draw.copy_(one_a_row(score(on_device(z, device, dtype), c), len(x)).cpu() + log_det)
                # the logarithm of a mean needs exact densities; of bounds, only the mean is a bound again
                mean = found.logsumexp(0) - math.log(draws) if own is Kind.EXACT else found.mean(0)
                values[start : start + len(x)] = mean.numpy()
                if watch is not None:
                    watch(start + len(x))
    finally:
        model.train(was_training)
    how: dict[str, Any] = {"seed": seed}
    if codec.random or kind is not Kind.EXACT:
        how["k"] = k
    if own is Kind.LOWER and model.bounded_by:
        how["bound"] = model.bounded_by
    if weigh is not None:
        facts = weigh.facts()
        # of rows with noise of their own, the mean over draws is not what was looked at
        how |= {
            key: facts[key]
            for key in facts
            if draws == 1 or key not in ("noise_sd", "noise_freedom", "weights")
        }
    return values, kind, how


def place(model: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """The device and the floating type of a model's state."""
    state = [*model.parameters(), *model.buffers()]
    floats = [tensor for tensor in state if tensor.is_floating_point()]
    device = state[0].device if state else torch.device("cpu")
    return device, floats[0].dtype if floats else torch.float32


def on_device(z: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Encoded rows where the model is; floats take the model's type, indices stay integers."""
    return z.to(device, dtype) if z.is_floating_point() else z.to(device)


def some_rows(rows: RowSource, n: int, seed: int) -> NDArray[Any]:
    """At most n rows (n, *shape), drawn without replacement: the first ones of a sorted file are alike."""
    return np.asarray(rows[some_places(len(rows), n, seed)])


def some_places(count: int, n: int, seed: int) -> NDArray[np.intp]:
    """The positions that `some_rows` takes from `count` rows, sorted."""
    chosen = np.random.default_rng(seed).choice(count, min(n, count), replace=False)
    return np.sort(chosen).astype(np.intp)


def _scorer(
    model: Model, k: int, generator: torch.Generator, quick: bool
) -> tuple[Callable[[Tensor, Tensor | None], Tensor], Kind]:
    if Can.LOG_PROB in model.can:
        return model.log_prob, Kind.EXACT
    if quick and Can.LOG_WEIGHTS in model.can:
        return lambda z, c: log_mean_exp(model.log_weights(z, c, k, generator)), Kind.LOWER
    if Can.LOG_PROB_LOWER in model.can:
        noise = {"generator": generator} if "generator" in signature(model.log_prob_lower).parameters else {}
        return lambda z, c: model.log_prob_lower(z, c, k=k, **noise), Kind.LOWER
    raise model.cannot(Can.LOG_PROB)


def usable_device(name: Any) -> torch.device:
    """A device that is here; "auto" is the GPU where there is one. Raises UsageError for any other."""
    try:
        if isinstance(name, str) and name == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        device = torch.device(one_of("device", name, (str, torch.device), "its name", "use auto or cpu"))
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise UsageError("that device cannot be used", f"{said(name)}: {first}", "use auto or cpu") from None
    return device
