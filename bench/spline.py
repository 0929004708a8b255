"""The element-wise rational-quadratic spline: jensen's, with its own gradient, against plain torch and against peers.

Every side gets its parameters in the layout that it prefers, contiguous: (3K-1, features, batch) here, (batch, features,
3K-1) elsewhere. 8 bins, bound 5, float32, 4 % of x outside the bound. Peers that are not installed are left out:
`pip install zuko nflows` (never into the environment of jensen).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from interleave import Line, command, conditions, interleave, options, passive, report, speed
from record import Record, left_out

if TYPE_CHECKING:
    from torch import Tensor

BINS, BOUND, BATCH, UNITS = 8, 5.0, 512, 10
Map = Callable[["Tensor", "Tensor"], "tuple[Tensor, Tensor]"]


def maps(inverse: bool) -> dict[str, tuple[Map, bool]]:
    """Name -> (map from x and parameters to image and log slope, whether parameters come first)."""
    from jensen.functional import spline, spline_plain

    fast, plain = (
        (spline.inverse, spline_plain.inverse) if inverse else (spline.forward, spline_plain.forward)
    )
    found: dict[str, tuple[Map, bool]] = {
        "jensen": (lambda x, p: fast(x, p, bound=BOUND), True),
        "jensen, plain version with autograd": (lambda x, p: plain(x, p, BOUND, 1e-3), True),
    }
    for name, peer in {"zuko": _zuko, "nflows": _nflows}.items():
        try:
            found[name] = (peer(inverse), False)
        except ImportError:
            left_out(name)
    return found


def _zuko(inverse: bool) -> Map:
    from zuko.transforms import MonotonicRQSTransform

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        transform = MonotonicRQSTransform(*p.split([BINS, BINS, BINS - 1], -1), bound=BOUND)
        return transform.inv.call_and_ladj(x) if inverse else transform.call_and_ladj(x)

    return run


def _nflows(inverse: bool) -> Map:
    from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline

    def run(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        parts = p.split([BINS, BINS, BINS - 1], -1)
        return unconstrained_rational_quadratic_spline(x, *parts, inverse=inverse, tail_bound=BOUND)

    return run


def measure(features: int, inverse: bool, train: bool, rounds: int, seed: int) -> list[Line]:
    """One table: the map alone, or with the gradients of x and of the parameters."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    x = 2.4 * torch.randn(BATCH, features, generator=generator)
    parameters = torch.randn(BATCH, features, 3 * BINS - 1, generator=generator)
    variants = {}
    for name, (run, first) in maps(inverse).items():
        at = (x.T if first else x).contiguous().requires_grad_(train)
        given = (parameters.permute(2, 1, 0) if first else parameters).contiguous().requires_grad_(train)
        grads = torch.ones_like(at), torch.ones_like(at)
        variants[name] = _slice(run, at, given, grads, train)
    return interleave(variants, "jensen", rounds=rounds, units=UNITS, seed=seed, twice=["jensen"])


def _slice(
    run: Map, x: Tensor, parameters: Tensor, grads: tuple[Tensor, Tensor], train: bool
) -> Callable[[], object]:
    import torch

    def work() -> None:
        with torch.set_grad_enabled(train):
            for _ in range(UNITS):
                found = run(x, parameters)
                if train:
                    torch.autograd.grad(found, (x, parameters), grads)

    return work


def check_same_map() -> None:
    """The two of jensen compute one function, or their times say nothing; peers bound their parameters otherwise."""
    import torch

    from jensen.functional import spline, spline_plain

    x, logits = torch.randn(4, 100), torch.randn(3 * BINS - 1, 4, 100)
    torch.testing.assert_close(
        spline.forward(x, logits), spline_plain.forward(x, logits, 5.0, 1e-3), rtol=1e-3, atol=1e-3
    )


def records(tables: dict[str, list[Line]]) -> list[Record]:
    """jensen's over plain torch and over each peer."""
    return [
        speed(
            lines,
            "jensen",
            one.name,
            name=f"spline, {title.rpartition(', ')[0]}",
            goal=None,
            command=command(),
        )
        for title, lines in tables.items()
        for one in lines
        if one.name in ("zuko", "nflows") or "plain" in one.name
    ]


def main() -> None:
    """Print one table for every size and use."""
    passive()
    given = options(__doc__ or "", rounds=21, features=int, use=str)
    import torch

    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    check_same_map()
    uses = {
        "forward and gradients": (False, True),
        "forward": (False, False),
        "inverse": (True, False),
        "inverse and gradients": (True, True),
    }
    tables = {
        f"{features} x {BATCH} elements, {use}, {given.rounds} rounds of {UNITS}": measure(
            features, inverse, train, given.rounds, given.seed
        )
        for features in ([given.features] if given.features else [8, 21, 63])
        for use, (inverse, train) in uses.items()
        if given.use in (None, use)
    }
    report(tables, conditions(given.threads), unit="call", as_json=given.json, records=records(tables))


if __name__ == "__main__":
    main()
