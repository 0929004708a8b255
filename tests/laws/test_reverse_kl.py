"""A fit to a density: its gradients against closed forms, log Z against the truth, missed mass against a known miss."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.data.targets import target
from jensen.density import pose
from jensen.errors import DataError, JensenError, SpaceError, UsageError
from jensen.functional.explore import annealed_chains, local_t
from jensen.model import Model
from jensen.normaliser import log_z
from jensen.objectives import describe_objective, parse_objective
from jensen.objectives.reverse_kl import ReverseKL
from jensen.space import Space
from jensen.support import Support


class Normal(Model):
    """N(m, s^2) in one dimension, reparameterised; wider than N(0, 1), so that weights have moments."""

    accepts = frozenset({"real"})

    def __init__(self, space: Space, m: float = 0.3, log_s: float = 0.2) -> None:
        super().__init__(space)
        self.m = nn.Parameter(torch.tensor(m, dtype=torch.float64))
        self.log_s = nn.Parameter(torch.tensor(log_s, dtype=torch.float64))

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        z = (x[:, 0] - self.m) / self.log_s.exp()
        return -0.5 * z.square() - self.log_s - 0.5 * math.log(2 * math.pi)

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return self.sample_with_log_prob(n, c, generator)[0].detach()

    def sample_with_log_prob(
        self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        x = self.m + self.log_s.exp() * torch.randn(n, 1, generator=generator, dtype=torch.float64)
        return x, self.log_prob(x)


def standard(x: Tensor) -> Tensor:
    return -0.5 * x.square().sum(1)


def divergence(alpha: float, m: Tensor, log_s: Tensor) -> Tensor:
    """log E_q (p/q)^alpha / (alpha (alpha - 1)) between N(0, 1) and N(m, s^2), KL in the limits; in closed form.

    int p^a q^(1-a) = sqrt(v) s^(a-1) exp(-a (1-a) v m^2 / (2 s^2)) with 1/v = a + (1-a) / s^2.
    """
    s2 = (2 * log_s).exp()
    if alpha == 0:
        return 0.5 * (s2 + m.square() - 1) - log_s
    if alpha == 1:
        return 0.5 * ((1 + m.square()) / s2 - 1) + log_s
    v = 1 / (alpha + (1 - alpha) / s2)
    log_i = 0.5 * v.log() + (alpha - 1) * log_s - 0.5 * alpha * (1 - alpha) * v * m.square() / s2
    return log_i / (alpha * (alpha - 1))


@pytest.mark.parametrize("gradient, alpha", [("total", 0.0), *(("path", a) for a in (0.0, 0.5, 1.0, 2.0))])
def test_the_gradient_is_that_of_the_divergence(gradient: str, alpha: float) -> None:
    model = Normal(Space.real(1))
    objective = ReverseKL(alpha=alpha, anneal=0.0, gradient=gradient).towards(standard)
    (turn,) = objective.turns(model)
    torch.manual_seed(0)
    found = []
    for _ in range(200):
        model.zero_grad()
        turn(torch.empty(2000, 0)).backward()
        found.append(torch.stack([model.m.grad, model.log_s.grad]))  # type: ignore[list-item]
    draws = torch.stack(found)
    m, log_s = (p.detach().clone().requires_grad_() for p in (model.m, model.log_s))
    exact = torch.stack(torch.autograd.grad(divergence(alpha, m, log_s), (m, log_s)))
    error = draws.std(0) / math.sqrt(len(draws))
    # self-normalised weights are biased by O(1/n): far below 200 x 2000 draws' error
    assert bool(((draws.mean(0) - exact).abs() < 5 * error + 2e-3).all())


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
def test_where_the_model_is_the_density_every_path_gradient_is_zero(alpha: float) -> None:
    model = Normal(Space.real(1), m=0.0, log_s=0.0)
    (turn,) = ReverseKL(alpha=alpha, anneal=0.0, gradient="path").towards(standard).turns(model)
    turn(torch.empty(64, 0)).backward()
    assert abs(float(model.m.grad)) < 1e-12 and abs(float(model.log_s.grad)) < 1e-12  # type: ignore[arg-type]


def test_annealing_ends_at_the_target_and_starts_at_a_broad_normal_law() -> None:
    model = Normal(Space.real(1), m=0.0, log_s=math.log(2.0))
    (turn,) = ReverseKL(anneal=0.5, gradient="path").towards(lambda x: -50 * x.square().sum(1)).turns(model)

    def pull() -> float:
        torch.manual_seed(0)
        model.zero_grad()
        turn(torch.empty(4000, 0)).backward()
        return float(model.log_s.grad)  # type: ignore[arg-type]

    pulls = []
    for turn.progress in (0.0, 0.25, 0.5, 1.0):
        pulls.append(pull())
    assert pulls[0] < pulls[1] < pulls[2] == pulls[3]
    # at the target: d KL / d log s = s^2 100 - 1
    assert pulls[2] == pytest.approx(399, rel=0.1)


@pytest.mark.parametrize(
    "low, high, x",
    [
        ([0.0], [1.0], [[0.2], [0.9]]),
        ([-2.0, 0.0, -math.inf], [3.0, math.inf, 1.0], [[2.5, 4.0, -3.0], [0.0, 1e-3, 0.5]]),
        ([-math.inf], [math.inf], [[7.0]]),
    ],
)
def test_a_support_is_a_bijection_with_the_jacobian_of_autograd(
    low: list[float], high: list[float], x: list[list[float]]
) -> None:
    codec = Support(Space.real(len(low)), torch.tensor(low), torch.tensor(high))
    rows = torch.tensor(x, dtype=torch.float64)
    z, log_det = codec.encode(rows)
    torch.testing.assert_close(codec.decode(z), rows, rtol=1e-12, atol=1e-12)
    for row, stated in zip(rows, log_det):
        jacobian = torch.autograd.functional.jacobian(lambda r: codec.encode(r[None])[0][0], row)
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(stated), abs=1e-10)  # type: ignore[arg-type]
    again = Support.from_dict(codec.to_dict())
    assert torch.equal(again.low, codec.low) and torch.equal(again.high, codec.high)
    if math.isfinite(high[0]):
        with pytest.raises(SpaceError, match="expected site 0 between"):
            codec.encode(torch.full((1, len(low)), 1e9))


@pytest.fixture(scope="module")
def well() -> jensen.Fitted:
    return jensen.fit("spline-flow", target="double-well", steps=250, transforms=3, hidden=(32,), seed=1)


def test_log_z_of_a_double_well_is_found(well: jensen.Fitted) -> None:
    found = well.record["log_z"]
    assert found["truth"] == pytest.approx(10.293479707074, abs=1e-9)
    low, high = found["value"]["interval"]
    assert low - 0.03 < found["truth"] < high + 0.03
    assert found["below"]["mean"]["value"] < found["truth"] < found["above"]["mean"]["value"]
    assert "estimate; low" in found["label"]


def test_missed_mass_is_found_and_said() -> None:
    """A normal law in the larger of two wells: it misses 0.155693 of the mass."""
    fitted = jensen.fit("spline-flow", target="double-well", steps=1, transforms=1, hidden=(4,))
    density = pose("double-well")
    z, _ = fitted.codec.encode(torch.tensor([[1.7, 0.0]], dtype=torch.float64))
    spread = fitted.codec.scale if hasattr(fitted.codec, "scale") else torch.ones(2)  # type: ignore[attr-defined]

    class Narrow(Model):
        accepts = frozenset({"real"})

        def __init__(self, space: Space) -> None:
            super().__init__(space)
            self.register_buffer("centre", z[0].float())
            self.register_buffer("width", (torch.tensor([0.3, 1.1]) / spread.float()))

        def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
            return self.centre + self.width * torch.randn(n, 2, generator=generator)  # type: ignore[operator]

        def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            return torch.distributions.Normal(self.centre, self.width).log_prob(x).sum(1)  # type: ignore[arg-type]

    alone = jensen.Fitted(Narrow(Space.real(2)), fitted.codec, [], {})
    found = log_z(alone, density, n=5000, seed=3)
    assert found.missed.matters and found.missed.share == pytest.approx(0.1557, abs=0.03)
    assert any("misses about" in doubt for doubt in found.doubts)
    # with proposals where the chains ended, log Z is right; without, it lacks the smaller well
    assert found.value.value == pytest.approx(density.truth, abs=0.03)  # type: ignore[arg-type]
    assert found.alone.value == pytest.approx(density.truth + math.log(1 - 0.155693), abs=0.05)  # type: ignore[operator]


def test_a_bounded_target_is_fitted_within_its_ends() -> None:
    def triangle(x: Tensor) -> Tensor:
        return x[:, 0].log()  # on (0, 1): Z = 1/2

    fitted = jensen.fit(
        "spline-flow", target=triangle, dim=1, support=(0.0, 1.0), steps=150, hidden=(8,), transforms=2
    )
    rows = fitted.sample(2000, seed=0)
    assert rows.min() > 0 and rows.max() < 1
    assert rows.mean() == pytest.approx(2 / 3, abs=0.03)
    assert fitted.record["log_z"]["value"]["value"] == pytest.approx(math.log(0.5), abs=0.01)


def test_a_far_and_narrow_target_is_found_by_its_scale() -> None:
    fitted = jensen.fit(
        "realnvp",
        target=lambda x: -0.5 * (x / 1e-2).square().sum(1),
        dim=3,
        steps=60,
        transforms=2,
        hidden=(8,),
    )
    truth = 3 * (0.5 * math.log(2 * math.pi) + math.log(1e-2))
    assert fitted.record["log_z"]["value"]["value"] == pytest.approx(truth, abs=0.02)


def test_a_fit_to_a_density_repeats_and_resumes(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = {"target": "double-well", "steps": 40, "transforms": 1, "hidden": (4,), "seed": 5}
    first, again = (jensen.fit("realnvp", **settings) for _ in range(2))  # type: ignore[arg-type]
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name])
    kept = jensen.load(first.save(tmp_path / "run"))
    assert kept.record["log_z"]["value"] == first.record["log_z"]["value"]
    assert (kept.sample(5, seed=0) == first.sample(5, seed=0)).all()


def test_chains_find_both_wells_and_local_laws_match_a_normal_law() -> None:
    generator = torch.Generator().manual_seed(0)
    ends = annealed_chains(
        target("double-well").log_density,
        3 * torch.randn(64, 2, generator=generator, dtype=torch.float64),
        generator,
    )
    left = float((ends[:, 0] < 0).double().mean())
    assert 0.02 < left < 0.6
    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=torch.float64)
    inverse = torch.linalg.inv(covariance)
    scale, log_det = local_t(lambda x: -0.5 * ((x @ inverse) * x).sum(1), torch.zeros(1, 2))
    torch.testing.assert_close(scale[0] @ scale[0].T, covariance, rtol=1e-9, atol=1e-9)
    assert float(log_det[0]) == pytest.approx(0.5 * float(torch.logdet(covariance)))


def fine(x: Tensor) -> Tensor:
    return -0.5 * x.square().sum(1)


BAD = {
    "nan": (lambda x: fine(x) * math.nan, DataError, "finite number"),
    "plus infinity": (lambda x: fine(x) + math.inf, DataError, "finite number"),
    "a column": (lambda x: fine(x)[:, None], DataError, "one number a point"),
    "no gradient": (lambda x: fine(x.detach()), DataError, "differentiable"),
    "breaks": (lambda x: fine(x) + torch.ones(7), DataError, "broke"),
    "a half-line": (lambda x: torch.where(x[:, 0] > 0, fine(x), -torch.inf), SpaceError, "support"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_density_is_refused_before_training(case: str) -> None:
    density, error, words = BAD[case]
    with pytest.raises(error, match=words) as caught:
        jensen.fit("realnvp", target=density, dim=2, steps=1)
    assert caught.value.given and caught.value.do


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"target": fine}, "coordinates"),
        ({"target": fine, "dim": 0}, "coordinates"),
        ({"target": "funnel", "dim": 2, "rows": [[0.0]]}, "rows or to a target"),
        ({}, "rows or to a target"),
        ({"target": "fanel"}, "unknown target"),
        ({"target": fine, "dim": 2, "context": "label"}, "neither space nor context"),
        ({"target": fine, "dim": 2, "objective": "likelihood"}, "fitted to rows"),
        ({"target": fine, "dim": 2, "support": (1.0, 0.0)}, "runs from low to high"),
        ({"target": 3, "dim": 2}, "log density to call"),
        ({"rows": [[0.0, 1.0], [1.0, 2.0], [2.0, 0.5]], "dim": 2}, "belong to a target"),
        ({"rows": "iris", "objective": "reverse-kl"}, "not to rows"),
        ({"target": "two-moons", "dim": 3}, "has 2 coordinates"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(JensenError, match=words) as caught:
        jensen.fit("realnvp", **{"steps": 1, **arguments})  # type: ignore[arg-type]
    assert caught.value.given and caught.value.do


def test_options_of_the_objective_are_read_and_told() -> None:
    one = parse_objective("reverse-kl:alpha=2,anneal=0")
    assert one == ReverseKL(alpha=2, anneal=0)
    assert describe_objective(replace(one, target=fine)) == "reverse-kl:alpha=2,anneal=0,gradient=auto"  # type: ignore[type-var]
    for text in (
        "reverse-kl:alpha=3",
        "reverse-kl:gradient=total,alpha=1",
        "reverse-kl:target=1",
        "reverse-kl:anneal=2",
    ):
        with pytest.raises(UsageError):
            parse_objective(text)
