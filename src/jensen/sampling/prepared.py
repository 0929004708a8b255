"""A stack made ready for sampling: gates folded into one sigmoid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from jensen.sampling.stack import Link, Node, Stack


def folded(stack: Stack) -> Stack:
    """The same network with a gate tanh(a) sigmoid(b) as (2 sigmoid(2a) - 1) sigmoid(b), negated.

    The factors go into weights: pre-activations a are doubled, and what reads a gate changes its sign. Both are exact in
    floating point. A gate then is one sigmoid of both halves, a quarter of the time of a tanh, and one multiply-add,
    sigmoid(b) - 2 sigmoid(2a) sigmoid(b). Its rounding error is absolute, about 1e-7 of the gate's range. Nodes that
    add a gate directly would see its negative: stacks reach gates through links.
    """
    found = Stack(stack.features, stack.groups)
    for number in range(1, stack.output + 1):
        node = stack[number]
        if any(source and stack[source].activation == "gate" for source in node.add):
            raise AssertionError("a gate is read through a link")
        links = tuple(_scaled(link, stack, node) for link in node.links)
        found.nodes.append(replace(node, links=links, bias=_doubled(node.bias, node)))
    return found


def finisher(value: Tensor, node: Node, out: Tensor) -> Callable[[], object]:
    """A function that writes the activation of `value` (..., out) into `out`, destroying `value`; gates are negated."""
    if node.activation == "gate":
        a, b = value.chunk(2, -1)

        def gate() -> None:
            value.sigmoid_()
            torch.addcmul(b, a, b, value=-2, out=out)

        return gate
    if node.activation == "relu":
        return partial(torch.clamp_min, value, 0, out=out)
    return partial(out.copy_, value)


def _scaled(link: Link, stack: Stack, node: Node) -> Link:
    weight = _doubled(link.weight, node)
    if link.source and stack[link.source].activation == "gate":
        weight = -weight
    return replace(link, weight=weight)


def _doubled(parameter: Tensor, node: Node) -> Tensor:
    if node.activation != "gate":
        return parameter
    a, b = parameter.chunk(2, -1)
    return torch.cat([a * 2, b], -1)
