"""Batch normalisation by the statistics of a whole batch that several processes hold."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from jensen.functional.gather import mean_of_batch, processes


def normalised(module: _BatchNorm, x: Tensor) -> Tensor:
    """What `module` makes in training of the rows x (n, channels, ...) of one process, all holding as many.

    Mean and variance are those of the rows of all processes, with their gradient, and so are the running ones.
    """
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1, *(1 for _ in axes[1:])]
    wide = x if x.dtype == torch.float64 else x.float()
    mean = mean_of_batch(wide.mean(axes))
    centred = wide - mean.view(shape)
    variance = mean_of_batch(centred.square().mean(axes))
    if module.track_running_stats:
        _track(module, mean.detach(), variance.detach(), x.numel() // x.shape[1] * processes())
    y = centred * (variance + module.eps).rsqrt().view(shape)
    if module.affine:
        y = torch.addcmul(module.bias.view(shape), y, module.weight.view(shape))
    return y.to(x.dtype)


@torch.no_grad()
def _track(module: _BatchNorm, mean: Tensor, variance: Tensor, numbers: int) -> None:
    """Move the running statistics towards those of a batch of so many numbers a channel, as torch does."""
    own_mean, own_variance, seen = module.running_mean, module.running_var, module.num_batches_tracked
    if own_mean is None or own_variance is None:
        return
    if seen is not None:
        seen.add_(1)
    factor = module.momentum if module.momentum is not None or seen is None else 1.0 / float(seen)
    own_mean.lerp_(mean.to(own_mean.dtype), factor or 0.0)
    own_variance.lerp_((variance * (numbers / max(numbers - 1, 1))).to(own_variance.dtype), factor or 0.0)
