"""The monotone rational-quadratic spline of neural spline flows, one spline per element, both ways in closed form.

Durkan, Bekasov, Murray, Papamakarios 2019, Neural spline flows. Inside the box [-B, B] x [-B, B] a smooth increasing
curve through K + 1 knots; outside the identity, with log slope 0, selected after x was clamped to the box: no value of
x and no logit that is a number of moderate size (up to 1e4 in tests) makes a NaN, in the values or in the gradients.

Layout: parameters first, whatever else after them, x (*shape) and logits (3K-1, *shape); fastest with shape (features,
batch) contiguous, so that everything over the bins is a vector operation over rows. Logits: K widths, K heights (each
through softmax), K - 1 slopes at the inner knots (through softplus, shifted so that a slope logit of 0 is a slope of
1). Logits of zero are the identity, to rounding.

Float error, round trip within the box: about 1e-12 of B in float64, 1e-4 in float32 where bins are as narrow as the
minimum. Half precision is computed, and returned, in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.functional import spline_kernel, spline_plain


def forward(x: Tensor, logits: Tensor, *, bound: float = 5.0, minimum: float = 1e-3) -> tuple[Tensor, Tensor]:
    """y and log dy/dx, both (*shape), for x (*shape) and logits (3K-1, *shape), K >= 2.

    `bound`: B > 0, half the side of the box; standardise, so that few rows lie outside. `minimum`: the least width and
    height of a bin as a share of the box, and the least slope at a knot; 0 < minimum < 1/K.
    Gradients to any order (the second and later through the plain version, more slowly). Linear in K.

    >>> logits = torch.randn(23, 2, 3, generator=torch.Generator().manual_seed(0))
    >>> x = torch.tensor([[-6.0, -1.0, 0.0], [1.0, 4.9, 7.0]])
    >>> y, log_slope = forward(x, logits)
    >>> [round(value, 2) for value in y[0].tolist()], y[1, 2].item()
    ([-6.0, -2.1, 1.68], 7.0)
    >>> log_slope[0, 0].item() == 0.0
    True
    """
    return _apply(x, logits, bound, minimum, False)


def inverse(y: Tensor, logits: Tensor, *, bound: float = 5.0, minimum: float = 1e-3) -> tuple[Tensor, Tensor]:
    """x and log dx/dy, with `forward(x)` = y: arguments, cost and gradients as for `forward`.

    >>> logits = torch.randn(23, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> y, log_slope = forward(torch.tensor([-1.0, 0.0, 7.0]).double(), logits)
    >>> x, log_back = inverse(y, logits)
    >>> bool((x - torch.tensor([-1.0, 0.0, 7.0])).abs().max() < 1e-12)
    True
    >>> bool((log_back + log_slope).abs().max() < 1e-12)
    True
    """
    return _apply(y, logits, bound, minimum, True)


def _apply(x: Tensor, logits: Tensor, bound: float, minimum: float, inverse: bool) -> tuple[Tensor, Tensor]:
    _check(x, logits, bound, minimum)
    dtype = torch.promote_types(torch.promote_types(x.dtype, logits.dtype), torch.float32)
    x, logits = x.to(dtype), logits.to(dtype)
    if torch.compiler.is_compiling() or _TRANSFORMS():
        # a compiler fuses the passes itself, and torch.func wants operations that it knows
        return _plain(x, logits, bound, minimum, inverse)
    flat, flat_logits = x.reshape(-1).contiguous(), logits.reshape(len(logits), -1).contiguous()
    if torch.is_grad_enabled() and (x.requires_grad or logits.requires_grad):
        image, log_slope = _Spline.apply(flat, flat_logits, bound, minimum, inverse)
    else:
        image, log_slope, _ = spline_kernel.spline(flat, flat_logits, bound, minimum, inverse)
    return image.view(x.shape), log_slope.view(x.shape)


_TRANSFORMS = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
"""Whether torch.func is at work. Private to torch: without it, torch.func raises its own clear error."""


def _plain(x: Tensor, logits: Tensor, bound: float, minimum: float, inverse: bool) -> tuple[Tensor, Tensor]:
    return (spline_plain.inverse if inverse else spline_plain.forward)(x, logits, bound, minimum)


class _Spline(torch.autograd.Function):
    """The kernel with its own gradient, for training 1.5 to 2.2 times as fast as autograd through the plain version.

    It keeps about 45 values per element and those of its logits (8 bins).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, logits: Tensor, bound: float, minimum: float, inverse: bool
    ) -> tuple[Tensor, Tensor]:
        image, log_slope, found = spline_kernel.spline(x, logits, bound, minimum, inverse)
        ctx.save_for_backward(x, logits, *found)
        ctx.limits = bound, minimum, inverse
        return image, log_slope

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, logits, *found = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: this gradient will be differentiated again
            return (*_again(x, logits, grads, ctx.needs_input_grad, ctx.limits), None, None, None)
        bound, minimum, inverse = ctx.limits
        at = spline_kernel.Found(*found)
        return (
            *spline_kernel.gradients(at, grads[0], grads[1], bound, minimum, inverse),
            None,
            None,
            None,
        )


def _again(
    x: Tensor, logits: Tensor, grads: tuple[Tensor, ...], needs: tuple[bool, ...], limits: tuple[Any, ...]
) -> list[Tensor | None]:
    """The gradients of x and of the logits through the plain version, as a graph."""
    wanted = [given for given, need in zip((x, logits), needs) if need]
    found = iter(torch.autograd.grad(_plain(x, logits, *limits), wanted, grads, create_graph=True))
    return [next(found) if need else None for need in needs[:2]]


def _check(x: Tensor, logits: Tensor, bound: float, minimum: float) -> None:
    rows = len(logits) if logits.dim() else 0
    if rows < 5 or rows % 3 != 2 or logits.shape[1:] != x.shape:
        raise UsageError(
            "expected logits of shape (3K-1, *shape) for x (*shape) and K >= 2 bins",
            f"got logits {tuple(logits.shape)} for x {tuple(x.shape)}",
            "parameters come first: movedim(-1, 0) if yours are last",
        )
    bins = (rows + 1) // 3
    if not 0 < minimum < 1 / bins or not 0 < bound < float("inf"):
        raise UsageError(
            "expected 0 < minimum < 1 / bins and 0 < bound < inf",
            f"got minimum {minimum} with {bins} bins, bound {bound}",
            "use 1e-3 and 5.0",
        )
    if not (x.is_floating_point() and logits.is_floating_point()):
        raise UsageError(
            "expected x and logits of a floating type", f"got {x.dtype} and {logits.dtype}", "use x.float()"
        )
