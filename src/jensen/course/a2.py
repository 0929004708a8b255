"""A2: what the output at row 3, column 3 sees through two masked layers, for each way to stack them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from jensen.course.claim import Finding, Shown
from jensen.course.deciding import counted
from jensen.course.figures import SEEN, maps, one_map
from jensen.functional.jacobian import jacobian_lower_bound
from jensen.functional.masks import conv_mask
from jensen.functional.receptive import receptive_field
from jensen.functional.site_links import SiteLinks
from jensen.links import site_links
from jensen.nn.attention import CausalBlock

EXPECTED = {
    "AA": "11 12 13 14 15 / 21 22 23 / 31",
    "AB": "11 12 13 14 15 / 21 22 23 24 / 31 32",
    "BA": "11 12 13 14 15 / 21 22 23 24 / 31 32",
    "BB": "11 12 13 14 15 / 21 22 23 24 / 31 32 33",
}
"""Row and column from 1 of every pixel that is seen."""


def show(seed: int = 0, *, positions: int = 3) -> Shown:
    """Follow the four stacks, count their paths by autograd, and try the same routine on other modules."""
    links = {kinds: site_links(stack(kinds), input_shape=(1, 5, 5), at=(2, 2)) for kinds in EXPECTED}
    findings = [_as_expected(kinds, found) for kinds, found in links.items()]
    findings.append(_any_module(seed, positions))
    seen = {kinds: int(found.reached.sum()) for kinds, found in links.items()}
    leaks = [" then ".join(kinds) for kinds, found in links.items() if found.sees_itself or found.later_seen]
    counts = ", ".join(f"{' then '.join(kinds)} sees {n}" for kinds, n in seen.items())
    figure = maps(
        "What row 3, column 3 sees, two 3x3 layers on a 5x5 map",
        [_drawn(kinds, found) for kinds, found in links.items()],
        SEEN,
    )
    return Shown(tuple(findings), f"{counts}; itself seen by: {', '.join(leaks) or 'none'}", (figure,))


def stack(kinds: str) -> Callable[[Tensor], Tensor]:
    """Two convolutions of unit weights under these masks."""

    def net(x: Tensor) -> Tensor:
        for kind in kinds:
            x = conv2d(x, conv_mask(kind, 1, 1, 3).to(x), padding=1)
        return x

    return net


def _as_expected(kinds: str, found: SiteLinks) -> Finding:
    """The set is the one the claim lists, and autograd finds a path from each of its pixels and from no other."""
    listed = EXPECTED[kinds].replace("/", "").split()
    seen = [f"{row + 1}{column + 1}" for _, row, column in zip(*found.reached.nonzero())]
    x = torch.zeros(1, 1, 5, 5, requires_grad=True)
    (paths,) = torch.autograd.grad(stack(kinds)(x)[0, 0, 2, 2], x)
    walked = [f"{row + 1}{column + 1}" for row, column in paths[0, 0].nonzero().tolist()]
    valid = not (found.sees_itself or found.later_seen)
    return Finding(
        f"{' then '.join(kinds)} sees {EXPECTED[kinds]}, {'itself too' if '33' in listed else 'not itself'}",
        seen == listed == walked and valid == ("33" not in listed),
        {"seen": " ".join(seen), "paths": int(paths.sum()), "valid": valid},
    )


def _any_module(seed: int, positions: int) -> Finding:
    """Other modules, shapes and random positions: what is proven is what derivatives at random inputs find."""
    torch.manual_seed(seed)
    modules: list[tuple[nn.Module, tuple[int, ...]]] = [
        (nn.Conv2d(1, 1, 3, padding=2, dilation=2), (1, 6, 7)),
        (nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 1, (1, 5), padding=(0, 2))), (2, 4, 9)),
        (nn.Sequential(nn.Conv2d(1, 2, 2, stride=2), nn.Tanh(), nn.ConvTranspose2d(2, 1, 2, stride=2)), (1, 6, 4)),
        (CausalBlock(4, 2).eval(), (6, 4)),
    ]  # fmt: skip
    wrong = compared = 0
    for module, shape in modules:
        by_slope = jacobian_lower_bound(module, shape, seed=seed)
        outputs = module(torch.zeros(1, *shape)).shape[1:]
        places = list(product(*(range(n) for n in outputs)))
        for choice in torch.randperm(len(places))[:positions].tolist():
            field = torch.from_numpy(receptive_field(module, shape, places[choice])).flatten()
            wrong += int((field != by_slope[choice]).sum())
            compared += len(field)
    return counted(
        "the same routine follows other modules, shapes and positions", wrong, compared, modules=len(modules)
    )


def _drawn(kinds: str, found: SiteLinks) -> dict[str, object]:
    name, states = " then ".join(kinds), ["".join(row) for row in found.states[0]]
    valid = not (found.sees_itself or found.later_seen)
    seen = " ".join(f"{row + 1}{column + 1}" for _, row, column in zip(*found.reached.nonzero()))
    return one_map(name, states, f"{name}: {seen}", here=(2, 2), valid=valid)
