"""Every check of flows finds the faults it is there for, and accuses no sound flow of full size."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from jensen.checks import run
from jensen.checks.goodness import jumps
from jensen.checks.maps import pattern_order
from jensen.checks.weighed import Around, integral, weighed
from jensen.models import model_class
from jensen.models.maf import MAF
from jensen.models.planar_flow import PlanarFlow
from jensen.models.realnvp import RealNVP
from jensen.models.spline_flow import SplineFlow
from jensen.space import Space

D = 3


def shaken(cls: type, d: int = D, **hyper: Any) -> Any:
    """A small flow with random weights, as trained ones have."""
    torch.manual_seed(0)
    model = cls(Space.real(d), 2, **hyper)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model.eval()


def verdict(name: str, model: Any) -> Any:
    return run(name, model, None, model.space, seed=2)


CHECKS = ("log_det", "round_trip", "direction_agreement", "triangular", "monotone", "onto", "mass_sums")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("d", [2, 8])
@pytest.mark.parametrize("name", ["realnvp", "maf", "spline-flow", "planar-flow"])
def test_a_flow_of_full_size_is_not_accused(name: str, d: int, check: str) -> None:
    """At its default size with shaken weights, every check that applies decides, and none says no."""
    if (name == "realnvp" and d == 1) or (name == "planar-flow" and check in ("triangular", "monotone")):
        return
    torch.manual_seed(0)
    model = model_class(name)(Space.real(d)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    found = verdict(check, model)
    assert found.holds, found.evidence


class Region(RealNVP):
    """States a log-determinant off by a thousandth in one half of space."""

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().encode(x, c)
        return z, log_det + 1e-3 * (x[:, 0] > 0)


class Tail(RealNVP):
    """Is off by a thousandth five units out, where few rows are."""

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().encode(x, c)
        return z, log_det + 1e-3 * (x[:, 0] > 5)


class Unsigned(MAF):
    """Decodes with the log-determinant of encode."""

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = super().decode(z, c)
        return x, -log_det


class Offset(RealNVP):
    """Draws with a log q that is not its log_prob, by a thousandth."""

    def sample_with_log_prob(
        self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        x, log_q = super().sample_with_log_prob(n, c, generator)
        return x, log_q + 1e-3


class Squashed(RealNVP):
    """Never leaves a box: its density lacks what the base has beyond."""

    bound = 2.0

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().encode(x, c)
        y = torch.tanh(z / self.bound)
        return self.bound * y, log_det + torch.log1p(-y.square()).sum(0)

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y = (z / self.bound).clamp(-1 + 1e-9, 1 - 1e-9)
        x, log_det = super().decode(self.bound * torch.atanh(y), c)
        return x, log_det - torch.log1p(-y.square()).sum(0)


class Folded(RealNVP):
    """Folds the first feature: two rows are one base point."""

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().encode(torch.cat([x[:, :1].abs(), x[:, 1:]], 1), c)
        return z, log_det


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (Region, "log_det"),
        (Region, "direction_agreement"),
        (Region, "mass_sums"),
        (Tail, "log_det"),
        (Unsigned, "log_det"),
        (Unsigned, "direction_agreement"),
        (Offset, "direction_agreement"),
        (Squashed, "onto"),
        (Folded, "log_det"),
    ],
)
def test_a_planted_fault_is_found(cls: type, check: str) -> None:
    honest = next(base for base in (RealNVP, MAF) if issubclass(cls, base))
    assert verdict(check, shaken(honest, hidden=(8,))).holds
    found = verdict(check, shaken(cls, hidden=(8,)))
    assert found.holds is False, found.evidence


def test_a_map_that_is_not_onto_lacks_what_the_base_has_beyond() -> None:
    """In two dimensions: the square of the probability of a standard normal within two deviations."""
    found = verdict("mass_sums", shaken(Squashed, 2, hidden=(8,)))
    assert found.holds is False
    assert found.details["total"] == pytest.approx(math.erf(2 / math.sqrt(2)) ** 2, abs=1e-4)


def test_a_lost_sign_is_named() -> None:
    assert "the sign is lost" in verdict("direction_agreement", shaken(Unsigned, hidden=(8,))).evidence


class Scaled(MAF):
    """A density that integrates to `total`."""

    total = 1.0

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().log_prob(x, c) + math.log(self.total)


@pytest.mark.parametrize("total", [0.17, 0.98, 0.999, 1.02])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_flow_that_does_not_integrate_to_one_fails(d: int, total: float) -> None:
    flow = shaken(Scaled, d, hidden=(8,))
    assert verdict("mass_sums", flow).holds
    flow.total = total
    found = verdict("mass_sums", flow)
    assert found.holds is False
    assert abs(found.details["total"] - total) <= found.details["allowed"]


def test_a_mask_that_leaks_next_to_nothing_is_found() -> None:
    model = shaken(MAF, hidden=(8,))
    assert verdict("triangular", model).holds
    last = model.maps[3].network.layers[-1]
    with torch.no_grad():
        last.mask.fill_(1.0)
        last.weight.mul_(1e-9)
    found = verdict("triangular", model)
    assert found.holds is False
    assert "map 4" in found.evidence
    # too small for any density to show
    assert verdict("log_det", model).holds


def test_a_map_that_turns_back_is_not_monotone() -> None:
    model = shaken(SplineFlow, hidden=(8,))
    assert verdict("monotone", model).holds
    moves = model.maps[1]

    smooth = moves.each.forward

    def waves(x: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        y, log_slope = smooth(x, logits)
        return y + 0.5 * torch.sin(8 * x), log_slope

    moves.each = replace(moves.each, forward=waves)
    assert verdict("monotone", model).holds is False
    assert verdict("log_det", model).holds is False


def test_links_that_go_round_have_no_order() -> None:
    chain = torch.tensor([[0, 0, 1], [0, 0, 0], [0, 1, 0]]).bool()
    assert pattern_order(chain) == [1, 2, 0]
    assert pattern_order(chain | chain.T) is None


def test_draws_weigh_a_density_and_say_when_they_cannot() -> None:
    """Known integrals: a banana in five dimensions times 0.98, and rows that miss one of two far lumps."""

    def banana(x: Tensor) -> Tensor:
        bent = torch.cat([x[:, :1], x[:, 1:2] - 0.3 * x[:, :1] ** 2, x[:, 2:]], 1)
        return -0.5 * (bent.square().sum(1) + x.shape[1] * math.log(2 * math.pi)) + math.log(0.98)

    generator = torch.Generator().manual_seed(0)
    u = torch.randn(1000, 5, generator=generator, dtype=torch.float64)
    u[:, 1] += 0.3 * u[:, 0] ** 2
    found = integral(banana, Around(u), 20_000, 1)
    assert found.sound
    assert abs(found.total - 0.98) < found.error < 0.05
    heavy = weighed(-2 * torch.rand(4000, generator=generator, dtype=torch.float64).log())
    assert not heavy.sound


def test_a_jump_of_a_density_is_seen_and_a_kink_is_not() -> None:
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert jumps(lambda rows: (rows[:, 0] > 0).double(), x)
    assert not jumps(lambda rows: -rows.abs().sum(1), x)


def test_planar_flows_have_no_triangle() -> None:
    found = verdict("triangular", shaken(PlanarFlow))
    assert found.details["applies"] is False
