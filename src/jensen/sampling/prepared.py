"""A stack made ready for sampling: bounds of the image checked, gates folded into one tanh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from jensen.sampling.stack import Link, Node, Stack


def folded(stack: Stack) -> Stack:
    """The same network with tanh(a) sigmoid(b) as half of tanh(a) (1 + tanh(b / 2)).

    The halves go into weights: pre-activations b are halved, and so is what reads a gate. Both are exact in floating
    point, and a gate then is one tanh and one multiply-add in place (`gate_`). Nodes that add a gate directly would
    see twice its value: stacks reach gates through links.
    """
    found = Stack(stack.features, stack.groups)
    for number in range(1, stack.output + 1):
        node = stack[number]
        if any(source and stack[source].activation == "gate" for source in node.add):
            raise AssertionError("a gate is read through a link")
        links = tuple(_scaled(link, stack, node) for link in node.links)
        found.nodes.append(replace(node, links=links, bias=_halved(node.bias, node)))
    return found


def finisher(value: Tensor, node: Node, out: Tensor) -> Callable[[], object]:
    """A function that writes the activation of `value` (..., out) into `out`, destroying `value`; gates are doubled."""
    if node.activation == "gate":
        a, b = value.chunk(2, -1)

        def gate() -> None:
            value.tanh_()
            torch.addcmul(a, a, b, out=out)

        return gate
    if node.activation == "relu":
        return partial(torch.clamp_min, value, 0, out=out)
    return partial(out.copy_, value)


def _scaled(link: Link, stack: Stack, node: Node) -> Link:
    weight = _halved(link.weight, node)
    if link.source and stack[link.source].activation == "gate":
        weight = weight * 0.5
    return replace(link, weight=weight)


def _halved(parameter: Tensor, node: Node) -> Tensor:
    if node.activation != "gate":
        return parameter
    a, b = parameter.chunk(2, -1)
    return torch.cat([a, b * 0.5], -1)
