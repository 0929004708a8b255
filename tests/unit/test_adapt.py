"""Views of other libraries' flows: lookalikes with their call conventions, and the libraries themselves where installed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from torch.distributions import (
    Beta,
    Categorical,
    Distribution,
    Independent,
    LogNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)
from torch.distributions.transforms import AffineTransform, LowerCholeskyTransform

import jensen
from jensen.adapt import VIEWS, view
from jensen.adapt.switches import validation_kept, validation_off
from jensen.checks.verdict import Verdict
from jensen.errors import UsageError
from jensen.model import Can

D = 3
CHECKS = ["mass_sums", "log_det", "round_trip", "direction_agreement", "triangular", "monotone", "onto"]


def verdicts(thing: Any, library: str, checks: list[str] | None = None, **more: Any) -> dict[str, Verdict]:
    return {one.name: one for one in jensen.audit(thing, adapt=library, checks=checks, **more)}


# --- lookalikes: one triangular map, rows to base, in the call convention of each library ------------------------------


class Triangle(nn.Module):
    """z = x S + x strictly-lower, shifted by the context; `wrong` nats where x_0 > 0."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.lower = nn.Parameter(torch.randn(D, D, generator=generator).tril(-1))
        self.log_scale = nn.Parameter(0.3 * torch.randn(D, generator=generator))
        self.wrong = wrong

    def to_base(self, x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        shift = 0 if c is None else c.sum(-1, keepdim=True)
        log_det = self.log_scale.sum() + self.wrong * (x[:, 0] > 0).to(x)
        return x @ self._matrix().T + shift, log_det

    def to_rows(self, z: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        shift = 0 if c is None else c.sum(-1, keepdim=True)
        x = torch.linalg.solve_triangular(self._matrix(), (z - shift).T, upper=False).T
        return x, -self.log_scale.sum().expand(len(z))

    def _matrix(self) -> Tensor:
        return self.lower.tril(-1) + self.log_scale.exp().diag()


def standard(z: Tensor) -> Tensor:
    return -0.5 * (z.square().sum(-1) + D * math.log(2 * math.pi))


class ZukoLike(nn.Module):
    """flow(c) is a distribution with transform, base and rsample_and_log_prob."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.map = Triangle(wrong)
        self.register_buffer("zero", torch.zeros(D))

    def forward(self, c: Tensor | None = None) -> Any:
        assert not Distribution._validate_args
        there = SimpleNamespace(call_and_ladj=lambda x: self.map.to_base(x, c))
        there.inv = SimpleNamespace(call_and_ladj=lambda z: self.map.to_rows(z, c))
        base = Independent(Normal(self.zero, torch.ones_like(self.zero)), 1)

        def drawn(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
            z = base.rsample(shape)
            x, log_det = self.map.to_rows(z, c)
            return x, base.log_prob(z) - log_det

        def log_prob(x: Tensor) -> Tensor:
            z, log_det = self.map.to_base(x, c)
            return base.log_prob(z) + log_det

        return SimpleNamespace(
            transform=there,
            base=base,
            event_shape=(D,),
            log_prob=log_prob,
            rsample_and_log_prob=drawn,
            sample=lambda shape: drawn(shape)[0].detach(),
        )


class NflowsLike(nn.Module):
    """_transform(x, context) to noise, _distribution, and (1, n, D) samples for one context."""

    class Transform(Triangle):
        def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.to_base(inputs, context)

        def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.to_rows(inputs, context)

    class Base(nn.Module):
        _shape = torch.Size([D])

        def log_prob(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
            return standard(inputs)

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self._transform, self._distribution = self.Transform(wrong), self.Base()
        self._embedding_net = nn.Identity()

    def log_prob(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        z, log_det = self._transform(inputs, context=context)
        return standard(z) + log_det

    def sample(self, num_samples: int, context: Tensor | None = None) -> Tensor:
        return self.sample_and_log_prob(num_samples, context)[0]

    def sample_and_log_prob(self, num_samples: int, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = torch.randn(num_samples, D)
        x, log_det = self._transform.inverse(
            z, context=None if context is None else context.expand(num_samples, -1)
        )
        found = x, standard(z) - log_det
        return found if context is None else (found[0][None], found[1][None])


class NormflowsLike(nn.Module):
    """flows from base to rows; sample gives rows and log q."""

    class Layer(Triangle):
        def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.to_rows(z, context)

        def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.to_base(z, context)

    class Base(nn.Module):
        shape = (D,)

        def log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
            return standard(z)

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.q0, self.flows = self.Base(), nn.ModuleList([self.Layer(), self.Layer(wrong)])

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        total = torch.zeros(len(x), dtype=x.dtype)
        for layer in reversed(self.flows):
            x, log_det = layer.inverse(x, context)
            total = total + log_det
        return standard(x) + total

    def sample(self, num_samples: int = 1, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = torch.randn(num_samples, D)
        log_q = standard(x)
        for layer in self.flows:
            x, log_det = layer(x, context)
            log_q = log_q - log_det
        return x, log_q


class TorchflowsLike(nn.Module):
    """bijection.forward to base; event_shape; sample(n, return_log_prob=True)."""

    class Bijection(Triangle):
        event_shape = (D,)

        def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.to_base(x, context)

        def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.to_rows(z, context)

    event_shape = (D,)

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.bijection = self.Bijection(wrong)

    def base_log_prob(self, z: Tensor) -> Tensor:
        return standard(z)

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        z, log_det = self.bijection.forward(x, context=context)
        return standard(z) + log_det

    def sample(self, n: int, context: Tensor | None = None, return_log_prob: bool = False) -> Any:
        z = torch.randn(n, D)
        x, log_det = self.bijection.inverse(z, context=context)
        return (x, standard(z) - log_det) if return_log_prob else x


LIKE: dict[str, Callable[..., nn.Module]] = {
    "zuko": ZukoLike,
    "nflows": NflowsLike,
    "normflows": NormflowsLike,
    "torchflows": TorchflowsLike,
}


@pytest.mark.parametrize("library", LIKE)
@pytest.mark.parametrize("context", [None, (0.5, -1.0)])
def test_a_sound_flow_holds_in_every_librarys_convention(library: str, context: Any) -> None:
    thing = LIKE[library]()
    found = verdicts(thing if context is None else (thing, context), library, CHECKS)
    assert {name: one.holds for name, one in found.items()} == dict.fromkeys(CHECKS, True), found


@pytest.mark.parametrize("library", LIKE)
def test_a_log_determinant_off_by_a_thousandth_is_found_in_every_convention(library: str) -> None:
    found = verdicts(LIKE[library](1e-3), library, CHECKS)
    assert {name for name, one in found.items() if one.holds is False} >= {
        "mass_sums",
        "log_det",
        "direction_agreement",
    }


def test_a_leak_of_a_library_is_a_cycle_that_its_determinant_ignores() -> None:
    class Leaks(NflowsLike.Transform):
        def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            z, log_det = super().forward(inputs, context)
            return z + 1e-4 * inputs.flip(1), log_det

    found = verdicts(Leaks(), "nflows", ["triangular"], input_shape=(D,))["triangular"]
    assert found.holds is None  # the diagonal itself has moved: it may be any map
    assert found.details["applies"] is False

    class Looks(NflowsLike.Transform):
        def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            z, log_det = super().forward(inputs, context)
            return z + 1e-4 * inputs.roll(1, 1), log_det

    found = verdicts(Looks(), "nflows", ["triangular"], input_shape=(D,))["triangular"]
    assert found.holds is False
    assert "feature 0 moves with feature 2" in found.evidence


@pytest.mark.parametrize("library", LIKE)
def test_a_view_says_the_density_of_the_original_and_draws_by_its_generator(library: str) -> None:
    """Closed form: the map is linear, so rows are normal with precision A'A."""
    thing = LIKE[library]()
    peer = view(library, thing)
    x = peer.sample(20_000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(x, peer.sample(20_000, generator=torch.Generator().manual_seed(1)))
    z, log_det = peer.encode(x)
    assert torch.allclose(peer.log_prob(x), standard(z.T) + log_det, atol=1e-5)
    # 4 standard errors of a variance of 20,000 draws
    assert torch.allclose(z.var(1), torch.ones(D), atol=4 * math.sqrt(2 / 20_000))
    assert Can.SAMPLE_WITH_LOG_PROB in peer.can
    log_q = peer.log_prob(x).detach()
    kl = jensen.functional.divergence.kl(at_p=(log_q, log_q))
    assert kl.value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("library", VIEWS)
def test_what_a_library_does_not_make_is_refused(library: str) -> None:
    with pytest.raises(UsageError, match="pass "):
        view(library, object())


@pytest.mark.parametrize("library", VIEWS)
def test_a_module_of_another_kind_is_refused_when_it_is_used(library: str) -> None:
    with pytest.raises(UsageError, match=r"Conv2d|shape|module"):
        jensen.audit(nn.Conv2d(1, 1, 3), input_shape=(1, 3, 3), adapt=library)


def test_an_unknown_library_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean nflows"):
        view("nflow", nn.Linear(1, 1))


def test_a_missing_context_is_said() -> None:
    class Needs(NflowsLike):
        def log_prob(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
            return super().log_prob(inputs, context + 0)  # type: ignore[operator]

    with pytest.raises(UsageError, match="a pair"):
        view("nflows", Needs())


# --- torch.distributions ---------------------------------------------------------------------------------------------


def test_a_distribution_on_a_part_of_space_is_looked_at_on_all_of_it() -> None:
    """The log of a log-normal number is normal."""
    peer = view("torch", Independent(LogNormal(torch.zeros(2), torch.ones(2)), 1))
    x = torch.tensor([[0.3, -0.2]])
    assert torch.allclose(peer.log_prob(x), Normal(0.0, 1.0).log_prob(x).sum(1), atol=1e-6)
    beta = verdicts(Independent(Beta(2 * torch.ones(2), 3 * torch.ones(2)), 1), "torch", ["mass_sums"])
    assert beta["mass_sums"].holds


def test_a_transformed_distribution_is_a_flow_and_is_copied_in_float64() -> None:
    base = MultivariateNormal(torch.zeros(2), torch.eye(2))
    scale = torch.tensor([2.0, 0.5], requires_grad=True) * 1.0
    thing = TransformedDistribution(base, [AffineTransform(torch.ones(2), scale, event_dim=1)])
    found = verdicts(thing, "torch", CHECKS)
    assert all(one.holds for one in found.values()), found
    assert found["log_det"].details["largest_error"] < 1e-12


class Lopsided(AffineTransform):
    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return super().log_abs_det_jacobian(x, y) + 1e-3 * (x[:, 0] > 1)


def test_a_transform_that_states_a_wrong_determinant_is_found() -> None:
    thing = Lopsided(torch.ones(2), 2 * torch.ones(2), event_dim=1)
    assert verdicts(thing, "torch", ["log_det"], input_shape=(2,))["log_det"].holds is False


def test_a_module_that_returns_both_is_a_map() -> None:
    class Scale(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return 2 * x, torch.full((len(x),), 2 * math.log(2), dtype=x.dtype)

    found = verdicts(Scale(), "torch", ["log_det", "onto", "monotone"], input_shape=(2,))
    assert all(one.holds for one in found.values()), found


@pytest.mark.parametrize(
    ("thing", "word"),
    [
        (Normal(torch.zeros(3), torch.ones(3)), "Independent"),
        (Categorical(torch.ones(3)), "continuous"),
        (LowerCholeskyTransform(), "codomain"),
        (AffineTransform(0.0, 1.0), "input_shape"),
    ],
)
def test_what_is_no_density_of_real_rows_is_refused_with_what_to_do(thing: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        view("torch", thing)


def test_validation_is_switched_back() -> None:
    before = {name: vars(Distribution)[name] for name in ("_validate_args", "arg_constraints")}
    with validation_off():
        assert Distribution._validate_args is False
    with validation_kept():
        Distribution._validate_args = not before["_validate_args"]
    assert {name: vars(Distribution)[name] for name in before} == before


# --- the command line ------------------------------------------------------------------------------------------------

FILE = """
import torch
from torch.distributions import *

class Wrong(AffineTransform):
    def log_abs_det_jacobian(self, x, y):
        return super().log_abs_det_jacobian(x, y) + 1e-3

def make(kind=AffineTransform):
    Distribution._validate_args = False  # as one library does
    base = MultivariateNormal(torch.zeros(2), torch.eye(2))
    return TransformedDistribution(base, [kind(torch.ones(2), 2 * torch.ones(2), event_dim=1)])

def wrong():
    return make(Wrong)

ready = make()
"""


def test_the_command_line_audits_a_distribution_of_a_file(tmp_path: Path) -> None:
    from jensen.cli import cli

    (tmp_path / "myflow.py").write_text(FILE)
    words = ["audit", "--adapt", "torch", "--checks", "log_det,direction_agreement", "--json"]
    before = Distribution._validate_args
    try:
        for name, code in (("make", 0), ("ready", 0), ("wrong", 1)):
            result = CliRunner().invoke(cli, [*words, f"{tmp_path / 'myflow.py'}:{name}"])
            assert result.exit_code == code, result.output
        assert '"holds": false' in result.output
    finally:
        sys.modules.pop("myflow", None)
    assert Distribution._validate_args is before


# --- the libraries themselves ----------------------------------------------------------------------------------------


def _zuko() -> Any:
    zuko = pytest.importorskip("zuko")
    return zuko.flows.NSF(D, transforms=2, hidden_features=(8,))


def _nflows() -> Any:
    flows = pytest.importorskip("nflows.flows")
    return flows.MaskedAutoregressiveFlow(D, 8, 2, 1).eval()


def _normflows() -> Any:
    nf = pytest.importorskip("normflows")
    layers = [nf.flows.AutoregressiveRationalQuadraticSpline(D, 1, 8), nf.flows.LULinearPermute(D)]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(D), layers)


def _torchflows() -> Any:
    pytest.importorskip("torchflows.flows")
    from torchflows.bijections.finite.autoregressive.architectures import MAF
    from torchflows.flows import Flow

    return Flow(MAF((D,), n_layers=2))


@pytest.mark.parametrize("library", ["zuko", "nflows", "normflows", "torchflows"])
def test_a_flow_of_the_library_itself_holds(library: str) -> None:
    with validation_kept():
        thing = {"zuko": _zuko, "nflows": _nflows, "normflows": _normflows, "torchflows": _torchflows}[
            library
        ]()
    found = verdicts(thing, library, CHECKS)
    assert not [one for one in found.values() if one.holds is False], found
    assert found["log_det"].holds and found["mass_sums"].holds
