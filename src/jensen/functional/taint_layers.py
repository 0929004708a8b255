"""Taint rules of norms, pooling and resizing."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from jensen.functional.taint_call import Call, Traced, any_over, rule, spread

NORMS_WITH_STATISTICS = frozenset(
    {"native_batch_norm", "_native_batch_norm_legit", "_batch_norm_with_update", "cudnn_batch_norm"}
)


@rule("native_layer_norm", "_fused_rms_norm")
def layer_norm(call: Call) -> list[Tensor | None]:
    """OR over the normalised dims; mean and 1/std keep the other dims."""
    bits, width = call.bits(call["input"]), len(call["normalized_shape"])
    over = any_over(bits, range(bits.ndim - width, bits.ndim))
    return [
        _affine(call, over.expand_as(bits).clone(), None),
        *(over.view(call.slots, *o.shape) for o in call.outs[1:]),
    ]


@rule("native_group_norm")
def group_norm(call: Call) -> list[Tensor | None]:
    """OR over the channels of a group and over all positions: over space it is the classic leak."""
    rows, groups = call["N"], call["group"]
    over = call.bits(call["input"]).reshape(call.slots, rows, groups, -1).any(-1)
    normed = over.repeat_interleave(call["C"] // groups, 2)
    normed = normed.view(*normed.shape, *[1] * (call.out.ndim - 2)).expand(-1, *call.out.shape).clone()
    return [_affine(call, normed, 1), *(over.view(call.slots, *o.shape) for o in call.outs[1:])]


@rule(*NORMS_WITH_STATISTICS, "_native_batch_norm_legit_no_training")
def batch_norm(call: Call) -> list[Tensor | None]:
    """In training OR over the batch and all positions; with running statistics pointwise."""
    bits = call.bits(call["input"])
    training = call.args.get("training", call.base == "_batch_norm_with_update")
    if call.base == "_native_batch_norm_legit_no_training":
        training = False
    statistics = call.bits(call["input"]).any(tuple(d for d in range(1, bits.ndim) if d != 2))
    running = [call.args.get(name) for name in ("running_mean", "running_var")]
    result = bits.clone()
    if training:
        result |= _by_channel(statistics, bits.ndim)
    for traced in running if not training else ():
        if isinstance(traced, Traced) and traced.taint is not None:
            result |= _by_channel(traced.taint, bits.ndim)
    call.side = [(r.tensor, statistics if training else r.taint) for r in running if isinstance(r, Traced)]
    saved = [
        statistics if o.shape == statistics.shape[1:] else call.fill(statistics.any(1), o)
        for o in call.outs[1:]
    ]
    return [_affine(call, result, 1), *saved]


def _by_channel(bits: Tensor, ndim: int) -> Tensor:
    return bits.view(bits.shape[0], 1, -1, *[1] * (ndim - 3))


def _affine(call: Call, normed: Tensor, channel: int | None) -> Tensor:
    """Adds the taint of a scale and a shift: per channel, or over the trailing dims."""
    for traced in (call.args.get("weight"), call.args.get("bias")):
        if isinstance(traced, Traced) and traced.taint is not None:
            taint = traced.taint
            normed |= spread(taint, normed.shape[1:]) if channel is None else _by_channel(taint, normed.ndim)
    return normed


@rule(
    *(
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "adaptive_avg_pool1d",
        "_adaptive_avg_pool2d",
        "adaptive_avg_pool2d",
    ),
    *("_adaptive_avg_pool3d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d"),
    *("adaptive_max_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d_with_indices"),
    *("max_pool3d_with_indices", "max_pool2d", "max_pool3d", "upsample_linear1d", "upsample_bilinear2d"),
    *("upsample_trilinear3d", "_upsample_bilinear2d_aa"),
)
def resized(call: Call) -> Tensor:
    """The operation itself, on 0 and 1: all its weights have one sign, so nothing cancels."""
    flat, run = _spatial(call)
    out = run(flat)
    return (out[0] if isinstance(out, tuple) else out).ne(0).view(call.slots, *call.out.shape)


@rule("col2im")
def folded(call: Call) -> Tensor:
    """Sums of elements that were moved: the operation itself, on 0 and 1."""
    bits = call.bits(call["self"])
    options = [call[name] for name in ("output_size", "kernel_size", "dilation", "padding", "stride")]
    flat = bits.reshape(-1, *bits.shape[-2:]).float()
    return torch.ops.aten.col2im(flat, *options).gt(0.5).view(call.slots, *call.out.shape)


@rule("upsample_bicubic2d", "_upsample_bicubic2d_aa", "_upsample_lanczos2d_aa")
def bicubic(call: Call) -> Tensor:
    """Weights of both signs may cancel on 0 and 1: take the linear map itself and ask which weights are not zero."""
    flat, run = _spatial(call)
    pixels = prod(flat.shape[2:])
    each = torch.eye(pixels, device=flat.device, dtype=flat.dtype).view(pixels, 1, *flat.shape[2:])
    weights = run(each).view(pixels, -1).ne(0)
    return (flat.view(-1, pixels).float() @ weights.float()).gt(0.5).view(call.slots, *call.out.shape)


def _spatial(call: Call) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """The taint as a batch of maps of one channel, and the operation on such a batch.

    In the precision of the input: a weight that rounds to 0 in float32 may be 1e-17 in float64.
    """
    name = next(iter(call.args))
    bits, width = call.bits(call[name]), next(int(c) for c in call.base if c.isdigit())
    dtype = torch.float64 if call[name].value.dtype == torch.float64 else torch.float32
    flat = bits.reshape(-1, 1, *bits.shape[bits.ndim - width :]).to(dtype)
    schema = call.func._schema.arguments[1:]
    options = {a.name: call[a.name] for a in schema if not (a.alias_info and a.alias_info.is_write)}
    return flat, lambda x: call.func(x, **options)
