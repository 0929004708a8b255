"""Taint rules of arithmetic: pointwise operations, and sums over dims."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jensen.functional.taint_call import Call, Traced, any_at_all, any_over, axes, rule, spread

ALSO_POINTWISE = frozenset({"max", "min"})  # over dims, or of two tensors: torch tags the latter pointwise
FINITE_MASK = -1e4  # a constant below this in a softmax was probably meant as -inf


# --- pointwise -----------------------------------------------------------------------------------------------------


@rule(
    "_to_copy",
    "native_dropout",
    "bernoulli",
    "normal",
    "poisson",
    "hardswish",
    "log_sigmoid_forward",
    "_prelu_kernel",
    "complex",
    "polar",
    "dropout",
    "_fused_dropout",
    "real",
    "imag",
    "_conj",
    "_neg_view",
    "_standard_gamma",
    "binomial",
)
def pointwise(call: Call) -> Tensor:
    """Every output element depends on the elements at its own place."""
    result = call.none()
    for traced in call.traced():
        if traced.taint is not None:
            result |= spread(traced.taint, call.out.shape)
    return result


@rule("rrelu_with_noise")
def random_slopes(call: Call) -> Tensor:
    """Pointwise; the slopes it leaves in `noise` depend on the sign of the input."""
    bits = call.bits(call["self"]).clone()
    call.side = [(call["noise"].tensor, bits)]
    return bits


@rule("mul", "multiply", "logical_and", "bitwise_and", "__and__")
def product(call: Call) -> Tensor:
    """A constant zero (or False) removes what it multiplies: this is how `weight * mask` is seen."""
    return _product(call, call["self"], call["other"])


def _product(call: Call, a: Any, b: Any) -> Tensor:
    result = call.none()
    for this, other in ((a, b), (b, a)):
        if isinstance(this, Traced) and this.taint is not None:
            alive = other.may_be_nonzero() if isinstance(other, Traced) else torch.tensor(other != 0)
            result |= spread(this.taint, call.out.shape) & alive.to(result.device)
    return result


@rule("addcmul")
def plus_product(call: Call) -> Tensor:
    return _product(call, call["tensor1"], call["tensor2"]) | spread(call.bits(call["self"]), call.out.shape)


@rule("div", "divide", "true_divide")
def quotient(call: Call) -> Tensor:
    top, below = call["self"], call["other"]
    result = call.none() | spread(call.bits(top), call.out.shape)
    if isinstance(below, Traced) and below.taint is not None:
        result |= spread(below.taint, call.out.shape) & top.may_be_nonzero()
    return result


@rule("add", "sub", "subtract", "rsub")
def total(call: Call) -> Tensor:
    """A constant -inf absorbs what is added to it: this is how an additive attention mask is seen."""
    result = pointwise(call)
    for traced in call.traced():
        result &= ~spread(traced.infinite(call.bound)[None], call.out.shape)
    return result


@rule("where")
def choose(call: Call) -> Tensor:
    return _choose(call, call["condition"], call["self"], call["other"])


@rule("masked_fill")
def masked_fill(call: Call) -> Tensor:
    return _choose(call, call["mask"], call["value"], call["self"])


def _choose(call: Call, condition: Traced, yes: Any, no: Any) -> Tensor:
    """Only the branch a constant condition takes; both branches and the condition where it varies."""
    varies, result = condition.varies(), call.none() | spread(call.bits(condition), call.out.shape)
    for branch, taken in ((yes, condition.value.bool()), (no, ~condition.value.bool())):
        if isinstance(branch, Traced) and branch.taint is not None:
            result |= spread(branch.taint, call.out.shape) & (taken | varies)
    return result


@rule("copy", "fill")
def overwrite(call: Call) -> Tensor:
    """The old values are gone: only what is written counts."""
    source = call.args.get("src", call.args.get("value"))
    if not isinstance(source, Traced):
        return call.none()
    return call.none() | spread(call.bits(source), call.out.shape)


@rule(
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like"),
    *("new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided", "zero", "uniform", "random"),
    *("exponential", "cauchy", "log_normal", "geometric"),
)
def shape_only(call: Call) -> Tensor:
    """Only the shape of the argument is used; what random numbers add is noted by the caller of the rule."""
    return call.none()


@rule("bucketize", "searchsorted")
def bucket(call: Call) -> Tensor:
    """Pointwise among constant boundaries; among others every bucket depends on all of them."""
    result, points = call.none(), call["self"]
    for traced in call.traced():
        bits = call.bits(traced)
        result |= spread(bits, call.out.shape) if traced is points else call.fill(any_at_all(bits), call.out)
    return result


@rule("glu")
def gated(call: Call) -> Tensor:
    first, second = call.bits(call["self"]).chunk(2, axes(call["dim"], call["self"].value.ndim)[0])
    return first | second


# --- over dims -----------------------------------------------------------------------------------------------------


@rule(
    *(
        "sum",
        "nansum",
        "mean",
        "prod",
        "amax",
        "amin",
        "aminmax",
        "max",
        "min",
        "any",
        "all",
        "argmax",
        "argmin",
    ),
    *("logsumexp", "var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "count_nonzero"),
    *("median", "nanmedian", "mode", "kthvalue", "_is_all_true", "_is_any_true"),
)
def reduced(call: Call) -> Tensor:
    """OR over the dims that are summed (or searched)."""
    bits = call.bits(call["self"])
    over = any_over(bits, axes(call.args.get("dim"), bits.ndim - 1))
    return over.reshape(call.slots, *call.out.shape)


@rule("sort", "argsort", "topk", "renorm", "_fft_r2c", "_fft_c2r", "_fft_c2c")
def mixed(call: Call) -> Tensor:
    """Every element along the dims depends on all of them."""
    bits = call.bits(call["self"])
    return any_over(bits, axes(call["dim"], bits.ndim - 1)).expand(-1, *call.out.shape).clone()


@rule("multinomial")
def drawn(call: Call) -> Tensor:
    return any_over(call.bits(call["self"]), [-1]).expand(-1, *call.out.shape).clone()


@rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "_cummax_helper", "_cummin_helper")
def accumulated(call: Call) -> Tensor:
    """OR over the prefix."""
    bits = call.bits(call["self"])
    if bits.ndim == 1:
        return bits.clone()
    return bits.byte().cummax(axes(call["dim"], bits.ndim - 1)[0]).values.bool()


@rule("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax")
def softmax(call: Call) -> Tensor:
    """OR over the dim, except where the argument is a constant -inf, or nothing else is left beside it.

    A finite constant counts as -inf from `bound` on, and only if something else is left in the sum.
    """
    scores, dim = call["self"], call["dim"]
    masked = scores.infinite(call.bound) & (scores.value < 0)
    if scores.value.ndim:
        masked = masked & ~masked.all(dim, keepdim=True)
    finite = ~scores.varies() & (scores.value < FINITE_MASK) & ~masked
    if bool(finite.any()):
        value = scores.value[finite].max().item()
        call.notes[
            f"softmax met a finite mask value, {value:.3g}: it hides nothing for certain; use -inf, or pass bound=1e8"
        ] = None
    bits = call.bits(scores)
    along = axes(dim, bits.ndim - 1)
    alone = (~masked).sum(dim, keepdim=True) == 1 if along else ~masked  # a sum of one: the result is 1
    return any_over(bits, along).expand_as(bits) & ~masked & ~alone


@rule("nll_loss_forward", "nll_loss2d_forward")
def picked(call: Call) -> list[Tensor]:
    """Minus the score of a class: OR over all classes, and over everything if it is reduced."""
    if any(isinstance(w, Traced) and w.taint is not None for w in (call["weight"],)):
        raise NotImplementedError("class weights that depend on the input")
    target, scores = call.bits(call["target"]), call.bits(call["self"])
    picked = scores.any(min(2, scores.ndim - 1)) | target
    weight = call.fill(any_at_all(target), call.outs[1])
    return [picked if call["reduction"] == 0 else call.fill(any_at_all(picked), call.out), weight]
