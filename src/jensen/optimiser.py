"""How a step moves the weights: Adam, stochastic gradients with momentum, or these with LARS's trust ratios."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jensen.parts import local

MOMENTUM = 0.9
TRUST = 1e-3
"""LARS moves a tensor by this share of its length, times the rate."""


class Adam:
    """AdamW, by the kernel of torch.optim.AdamW(fused=True).

    The class around the kernel costs a small model a fifth of its step, and its construction imports torch's compiler
    (three seconds). The weights are bit for bit the same. Every parameter keeps its own count of steps.
    """

    def __init__(
        self, parameters: Sequence[Tensor], decay: float, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        self.decay, self.betas = decay, betas
        self.steps = [torch.zeros((), device=p.device) for p in parameters]
        self.first = [torch.zeros_like(p) for p in parameters]
        self.second = [torch.zeros_like(p) for p in parameters]
        self._first, self._second = ([local(one) for one in of] for of in (self.first, self.second))

    def step(
        self,
        moved: Sequence[int],
        parameters: list[Tensor],
        gradients: list[Tensor],
        rate: float,
        scale: Tensor,
        bad: Tensor,
    ) -> None:
        """Move `parameters`, those at the places `moved`, against gradients / scale; nothing where `bad` is 1."""
        first, second, steps = ([of[i] for i in moved] for of in (self._first, self._second, self.steps))
        torch._foreach_add_(steps, 1 - bad)
        # the kernel writes scaled gradients back, a fifth of its time: on a CPU, where a look is free, not for nothing
        unscaled = scale.device.type == "cpu" and float(scale) == 1
        torch._fused_adamw_(
            parameters,
            gradients,
            first,
            second,
            [],
            steps,
            lr=rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
            grad_scale=None
            if unscaled
            else scale.float(),  # the kernel reads float32, whatever the weights are
            found_inf=bad,
        )

    def state(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        tensors: dict[str, Tensor] = {}
        for i, (step, first, second) in enumerate(zip(self.steps, self.first, self.second)):
            tensors |= {f"{i}.step": step, f"{i}.exp_avg": first, f"{i}.exp_avg_sq": second}
        return tensors


class Momentum:
    """Stochastic gradients with Nesterov momentum 0.9, by torch's fused kernel; with `lars`, each matrix by its own rate.

    LARS (You, Gitman, Ginsburg 2017): the step of a tensor of two or more axes is scaled to 0.001 of its length; biases
    and the scales of a normalisation are moved as they are, without decay. Rates near 1 suit it, near 0.1 plain momentum.
    """

    def __init__(self, parameters: Sequence[Tensor], decay: float, lars: bool = False) -> None:
        self.decay, self.lars = decay, lars
        self.velocity = [torch.zeros_like(p) for p in parameters]
        self._velocity = [local(one) for one in self.velocity]

    def step(
        self,
        moved: Sequence[int],
        parameters: list[Tensor],
        gradients: list[Tensor],
        rate: float,
        scale: Tensor,
        bad: Tensor,
    ) -> None:
        """Move `parameters`, those at the places `moved`, against gradients / scale; nothing where `bad` is 1."""
        if self.lars:
            gradients = [self._trusted(p, g / scale) for p, g in zip(parameters, gradients)]
            scale = torch.ones_like(scale)
        torch._fused_sgd_(
            parameters,
            gradients,
            [self._velocity[i] for i in moved],
            weight_decay=0.0 if self.lars else self.decay,
            momentum=MOMENTUM,
            lr=rate,
            dampening=0.0,
            nesterov=True,
            maximize=False,
            is_first_step=False,
            grad_scale=scale.float(),
            found_inf=bad,
        )

    def _trusted(self, p: Tensor, gradient: Tensor) -> Tensor:
        if p.ndim < 2:
            return gradient
        gradient = gradient.add(p, alpha=self.decay)
        length, steepness = torch.linalg.vector_norm(p), torch.linalg.vector_norm(gradient)
        return gradient * torch.where((length > 0) & (steepness > 0), TRUST * length / steepness, 1.0)

    def state(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        return {f"{i}.velocity": velocity for i, velocity in enumerate(self.velocity)}
