"""The row-cached sampler of a causal stack: every activation is computed once, most of them a row at a time.

Row by row: (1) what the output needs from the rows above is summed for all columns at once, as products of
width x n rows. (2) Pixel by pixel, the left neighbours of all layers enter in one batched product, then the layers
follow one another at the pixel, which is drawn. (3) Nodes that the output needs from rows above only (a vertical
stack) are computed for the whole row when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from jensen.errors import Cannot
from jensen.sampling.prepared import finisher, folded
from jensen.sampling.stack import Stack, Tap
from jensen.sampling.walk import Walk

Features = Callable[[Tensor], Tensor]
"""Sites of one pixel (n, groups) as the features (n, features) of node 0; what is not drawn yet holds 0."""


@dataclass
class _Push:
    """One batched product a pixel: `count` targets from `first` on, read `column` to the left; weight (count, in, out)."""

    column: int
    channels: int
    source: int
    out: int
    first: int
    count: int
    weights: list[Tensor] = field(default_factory=list)


class RowSampler:
    """Draws the sites of images (groups, height, width) with the stack's last node as parameters of a pixel.

    `size`: parameters a site. Memory: nodes x depth of the taps x width x n x channels numbers.
    """

    def __init__(self, stack: Stack, shape: tuple[int, int, int], features: Features, size: int) -> None:
        self.stack, self.shape, self.features, self.size = stack, shape, features, size
        needed, sees = stack.needed_at_once(), stack.sees_row()
        numbers = range(1, stack.output + 1)
        self.within = [v for v in numbers if needed[v] and sees[v]]
        self.before = [v for v in numbers if needed[v] and not sees[v]]
        self.after = [v for v in numbers if not needed[v]]
        self.pad = stack.reach
        for v in self.within:
            if any(row == 0 and column > 0 for _, (row, column) in stack.inputs(v)):
                raise Cannot(
                    "an output looks at pixels to its right", f"node {v}", "shift or mask the first layer"
                )

    @torch.no_grad()
    def __call__(self, walk: Walk) -> None:
        """Draw all sites of the walk."""
        run = _Run(self, len(walk.x), walk.x.device)
        groups, height, width = self.shape
        sites = torch.arange(groups * height * width, device=walk.x.device).split(1)
        for row in range(height):
            run.above()
            for column in range(width):
                run.push_left(column)
                for group in range(groups):
                    run.pixel(column, keep=group < groups - 1)
                    out = run.now[self.stack.output][self.pad + column]
                    own = out.view(-1, groups, self.size)[:, group : group + 1]
                    site = (group * height + row) * width + column
                    walk.draw(own, sites[site])
                    index = walk.go_on()
                    if index is not None:
                        run.choose(index)
                    pixel = walk.x.view(-1, groups, height * width)[..., row * width + column]
                    run.cells[0][column].copy_(self.features(pixel))
            run.row_done()


def _layer(
    total: Tensor | None,
    value: Tensor,
    products: list[tuple[Tensor, Tensor]],
    adds: list[Tensor],
    finish: Callable[[], object],
) -> None:
    if total is not None:
        value.copy_(total)
    for cell, weight in products:
        value.addmm_(cell, weight)
    for cell in adds:
        value.add_(cell)
    finish()


class _Run:
    """The caches of one batch, and the steps over them."""

    def __init__(self, sampler: RowSampler, n: int, device: torch.device) -> None:
        self.stack, self.pad, self.n = folded(sampler.stack), sampler.pad, n
        self.within, self.before, self.after = sampler.within, sampler.before, sampler.after
        self.width = sampler.shape[2]
        self.dtype = self.stack[self.stack.output].bias.dtype
        self.device = device
        wide = self.width + 2 * self.pad
        self._place(wide)
        self.past = {
            v: [self._zeros(wide, n, self.stack.channels(v)) for _ in range(self.stack.depth(v))]
            for v in range(self.stack.output + 1)
        }
        self.cells = [now.unbind(0)[self.pad : self.pad + self.width] for now in self.now]
        self.pushes = self._pushes()
        self.kernels = {v: _kernels(self.stack, v, self.dtype) for v in range(1, self.stack.output + 1)}
        # every view of the loop over pixels is made here, once
        self.steps = [
            [self._step(v, column, keep=False) for v in self.within] for column in range(self.width)
        ]
        groups = self.stack.groups > 1
        self.kept = [
            [self._step(v, column, keep=groups) for v in self.within] for column in range(self.width)
        ]

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def _place(self, wide: int) -> None:
        """Values of the present row: nodes of the same width side by side, so that a product can take many at once."""
        seen = [0, *self.within]
        self.slot: dict[int, tuple[int, int]] = {}
        for v in seen:
            channels = self.stack.channels(v)
            self.slot[v] = (channels, sum(1 for c, _ in self.slot.values() if c == channels))
        counts: dict[int, int] = {}
        for channels, _ in self.slot.values():
            counts[channels] = counts.get(channels, 0) + 1
        self.store = {c: self._zeros(wide, count, self.n, c) for c, count in counts.items()}
        self.now = [
            self.store[self.slot[v][0]][:, self.slot[v][1]]
            if v in self.slot
            else self._zeros(wide, self.n, self.stack.channels(v))
            for v in range(self.stack.output + 1)
        ]
        self.place: dict[int, tuple[int, int]] = {}
        for v in self.within:
            out = self.stack[v].bias.shape[-1]
            self.place[v] = (out, sum(1 for o, _ in self.place.values() if o == out))
        totals: dict[int, int] = {}
        for out, _ in self.place.values():
            totals[out] = totals.get(out, 0) + 1
        self.total = {out: self._zeros(self.width, count, self.n, out) for out, count in totals.items()}

    def _sum(self, v: int) -> Tensor:
        out, index = self.place[v]
        return self.total[out][:, index]

    def _pushes(self) -> list[list[tuple[Tensor, Tensor, Tensor]]]:
        """The batched products of every column: (sums, values to the left, weights)."""
        plan: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in range(self.width)]
        for push in self._batches():
            totals = self.total[push.out][:, push.first : push.first + push.count].unbind(0)
            values = self.store[push.channels][:, push.source : push.source + push.count].unbind(0)
            weight = torch.stack(push.weights).to(self.dtype)
            for column, products in enumerate(plan):
                products.append((totals[column], values[self.pad + column + push.column], weight))
        return plan

    def _batches(self) -> list[_Push]:
        """Links to the left, grouped into products that take many layers at once."""
        found: list[_Push] = []
        for v in self.within:
            out, target = self.place[v]
            for link in self.stack[v].links:
                for (row, column), weight in zip(link.taps, link.weight):
                    if row or column >= 0 or link.source not in self.slot:
                        continue
                    channels, source = self.slot[link.source]
                    key = (column, channels, out)
                    push = next(
                        (
                            p
                            for p in found
                            if (p.column, p.channels, p.out) == key
                            and (p.source + p.count, p.first + p.count) == (source, target)
                        ),
                        None,
                    )
                    if push is None:
                        push = _Push(column, channels, source, out, target, 0)
                        found.append(push)
                    push.count += 1
                    push.weights.append(weight)
        return found

    def _step(self, v: int, column: int, keep: bool) -> Callable[[], object]:
        """The layer of node v at a column: a function of no arguments over the caches."""
        node, total = self.stack[v], self._sum(v)[column]
        products = [
            (self.cells[link.source][column], weight.to(self.dtype))
            for link in node.links
            if link.source not in self.before
            for tap, weight in zip(link.taps, link.weight)
            if tap == (0, 0)
        ]
        value = torch.empty_like(total) if keep else total
        adds, out = [self.cells[source][column] for source in node.add], self.cells[v][column]
        finish = finisher(value, node, out)
        if adds and node.activation == "none":
            finish = partial(torch.add, value, adds.pop(), out=out)
        return partial(_layer, total if keep else None, value, products, adds, finish)

    def above(self) -> None:
        """Start a row: everything that does not depend on its own sites, for all columns."""
        for v in self.before:
            self._whole_row(v)
        for v in self.within:
            found = self._collect(v, lambda source, tap: tap[0] < 0 or source in self.before)
            self._sum(v).copy_(found)

    def push_left(self, column: int) -> None:
        """Add what the layers see of the pixels to the left, all layers in one product."""
        for totals, values, weight in self.pushes[column]:
            totals.baddbmm_(values, weight)

    def pixel(self, column: int, keep: bool) -> None:
        """The layers at one pixel, in order. `keep`: the sums are needed again, for the next channel."""
        for step in self.kept[column] if keep else self.steps[column]:
            step()

    def row_done(self) -> None:
        """Finish a row: the nodes that only later rows look at; then every cache moves a row up."""
        for v in self.after:
            self._whole_row(v)
        for v, rows in self.past.items():
            if rows:
                rows.insert(0, rows.pop().copy_(self.now[v]))

    def choose(self, index: Tensor) -> None:
        """Go on with some rows of the batch, (n,)."""
        for store in (*self.store.values(), *self.total.values()):
            store.copy_(store[:, :, index])
        for v, now in enumerate(self.now):
            if v not in self.slot:
                now.copy_(now[:, index])
            for past in self.past[v]:
                past.copy_(past[:, index])

    def _whole_row(self, v: int) -> None:
        value = self._collect(v, lambda source, tap: True)
        for source in self.stack[v].add:
            value.add_(self.now[source][self.pad : self.pad + self.width])
        finisher(value, self.stack[v], self.now[v][self.pad : self.pad + self.width])()

    def _collect(self, v: int, take: Callable[[int, Tap], bool]) -> Tensor:
        """Bias and some taps of a node for all columns of the row, (width, n, out)."""
        found = None
        for row, column, kernel in self.kernels[v]:
            source, up = row
            if take(source, (up, column)):
                seen = self.now[source] if up == 0 else self.past[source][-up - 1]
                first = self.pad + column
                product = _along(seen[first : first + self.width + kernel.shape[2] - 1], kernel)
                found = product if found is None else found.add_(product)
        bias = self.stack[v].bias.to(self.dtype)
        if found is None:
            return bias.expand(self.width, self.n, bias.shape[-1]).clone()
        return found.add_(bias)


def _along(window: Tensor, kernel: Tensor) -> Tensor:
    """The kernel (out, in, columns, 1) along the columns of a row (width + columns - 1, n, in): (width, n, out).

    A cache row is an image of that height and of width n, channels last: on some CPUs a convolution then takes half the
    time of a product a tap. A kernel of one column is a convolution of `width` images of height 1, since torch leaves
    batches below 16 images to a slow path.
    """
    if kernel.shape[2] == 1:
        if len(window) < 16:
            return window @ kernel[:, :, 0, 0].T
        return F.conv2d(window.transpose(1, 2).unsqueeze(2), kernel)[:, :, 0].transpose(1, 2)
    return F.conv2d(window.permute(2, 0, 1).unsqueeze(0), kernel)[0].permute(1, 2, 0)


def _kernels(stack: Stack, v: int, dtype: torch.dtype) -> list[tuple[tuple[int, int], int, Tensor]]:
    """The links of a node as convolutions: ((source, row), first column, kernel (out, in, columns, 1))."""
    found = []
    for link in stack[v].links:
        for row in sorted({tap[0] for tap in link.taps}):
            columns = [tap[1] for tap in link.taps if tap[0] == row]
            first, last = min(columns), max(columns)
            kernel = link.weight.new_zeros(link.weight.shape[2], link.weight.shape[1], last - first + 1, 1)
            for tap, weight in zip(link.taps, link.weight):
                if tap[0] == row:
                    kernel[:, :, tap[1] - first, 0] = weight.T
            found.append(
                ((link.source, row), first, kernel.to(dtype).contiguous(memory_format=torch.channels_last))
            )
    return found
