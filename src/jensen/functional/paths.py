"""Gradients of bounds that keep only the path through z, the draws of q(z | x).

A `Tap` is what every drawn z passes through before it is weighed. A model that is given one takes the parameters of q as
constants in log q: what is left of the encoder's gradient runs through z, and the tap sees it.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Tap = Callable[[Tensor], Tensor]


def untouched(z: Tensor) -> Tensor:
    """The tap that changes nothing: sticking the landing (Roeder, Wu & Duvenaud 2017)."""
    return z


class WeightedPath:
    """A tap that multiplies the gradient of every draw by its `weights` (n, k), set once the draws have been weighed.

    With a loss whose gradient is -w~ dlog w this makes w~^2 of the path through z and leaves w~ for the decoder: the
    doubly reparameterised gradient (Tucker, Lawson, Gu & Maddison 2019, equation 8), in one backward pass.
    """

    weights: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        """z (n, k, d) itself, its gradient to be weighted."""
        if not z.requires_grad:
            return z
        passed = z.view_as(z)
        passed.register_hook(lambda gradient: gradient * self.weights.unsqueeze(-1).to(gradient.dtype))
        return passed


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """The number `value` with the gradient of `surrogate`: what is logged is the bound, never its surrogate.

    >>> import torch
    >>> weight = torch.tensor(3.0, requires_grad=True)
    >>> loss = with_gradient_of(torch.tensor(1.0), 2 * weight)
    >>> loss.detach().item(), torch.autograd.grad(loss, weight)[0].item()
    (1.0, 2.0)
    """
    return surrogate + (value - surrogate).detach()
