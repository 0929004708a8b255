"""Every check finds the faults it is there for: each test plants one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jensen.auditing import audit
from jensen.checks import CHECKS, run
from jensen.checks.goodness import chi_squared, stein_p_value
from jensen.checks.subject import Bare
from jensen.checks.twin import strengthen
from jensen.errors import UsageError
from jensen.functional.ancestral import uniforms
from jensen.functional.masks import conv_mask
from jensen.heads.gaussian import GaussianMixture
from jensen.model import Can, Model
from jensen.models.independent import Independent
from jensen.models.made import MADE
from jensen.models.pixelcnn import PixelCNN
from jensen.models.realnvp import RealNVP
from jensen.models.spline_flow import SplineFlow
from jensen.nn.masked import MaskedConv2d
from jensen.sampling.naive import naive
from jensen.sampling.walk import Walk
from jensen.space import Space

BITS = Space.binary(6)
GREY = Space.levels((1, 2, 3), 3)


def made(cls: type[MADE] = MADE, space: Space = BITS, **hyper: Any) -> MADE:
    return _strong(lambda: cls(space, (24,), **hyper))


def pixelcnn(cls: type[PixelCNN] = PixelCNN, space: Space = GREY) -> PixelCNN:
    return _strong(lambda: cls(space, 12, 1, kernel=5))


def _strong(make: Callable[[], Any]) -> Any:
    """Strongly dependent sites: at initialisation every one of these faults is next to invisible."""
    torch.manual_seed(0)
    model = make()
    strengthen(model, 1)
    return model.eval()


def holds(name: str, model: nn.Module, space: Space | None = None) -> bool | None:
    return run(name, model, None, space or getattr(model, "space", None), seed=2).holds


# --- no_leak ---------------------------------------------------------------------------------------------------------


def test_no_leak_finds_a_weight_of_1e_30() -> None:
    model = made()
    with torch.no_grad():
        model.skip.mask[2, 4] = 1
        model.skip.weight[2, 4] = 1e-30
    verdict = run("no_leak", model, None, BITS)
    assert verdict.holds is False
    assert "site 2 sees site 4, which comes 2 later" in verdict.evidence
    assert (verdict.details["leaks"], verdict.details["leaks_seen"]) == (1, 0)


def test_no_leak_finds_mask_b_in_front() -> None:
    model = pixelcnn()
    model.first.mask.copy_(conv_mask("B", *model.first.mask.shape[:3]))
    verdict = run("no_leak", model, None, GREY)
    assert verdict.holds is False
    assert "site (0, 0, 0) sees itself" in verdict.evidence
    assert holds("mass_sums", model) is False


def test_no_leak_follows_a_permuted_order() -> None:
    model = made(order=[3, 0, 5, 1, 4, 2])
    verdict = run("no_leak", model, None, BITS)
    assert verdict.holds
    assert verdict.details["open_pairs"] == verdict.details["allowed_pairs"] == 15
    assert holds("sampler_matches_log_prob", model)
    model.order = torch.arange(6)
    assert holds("no_leak", model) is False
    assert holds("sampler_matches_log_prob", model) is False


def test_no_leak_judges_a_bare_stack_in_raster_order() -> None:
    torch.manual_seed(0)
    stack = [MaskedConv2d(conv_mask(kind, out, into, 3)) for kind, out, into in (("A", 4, 1), ("B", 2, 4))]
    assert holds("no_leak", Bare(nn.Sequential(*stack), (1, 3, 4)))
    spoilt = nn.Sequential(stack[0], nn.GroupNorm(2, 4), stack[1])
    assert holds("no_leak", Bare(spoilt, (1, 3, 4))) is False


@pytest.mark.parametrize("groups", [1, 3])
def test_no_leak_takes_the_channels_of_a_position_together_or_in_order(groups: int) -> None:
    torch.manual_seed(0)
    conv = MaskedConv2d(conv_mask("A", 6, 3, 3, channel_groups=groups))
    assert holds("no_leak", Bare(conv, (3, 2, 3))) is (groups == 1)
    assert holds("no_leak", Bare(conv, (3, 2, 3), channel_order=True))


def test_no_leak_names_what_it_cannot_prove() -> None:
    def leaves_torch(x: Tensor) -> Tensor:
        return torch.from_numpy(np.cumsum(x.numpy(), 1))

    verdict = run("no_leak", Bare(leaves_torch, (4,)))
    assert verdict.holds is None
    assert "numpy" in verdict.evidence


# --- mass_sums -------------------------------------------------------------------------------------------------------


class OffMADE(MADE):
    """Every log mass is too large by a thousandth."""

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().log_prob(x, c) + 1e-3


class OffNormal(Independent):
    """Every log density is too large by a thousandth."""

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().log_prob(x, c) + 1e-3


class EarlyB(PixelCNN):
    """Mask B in the first layer, wherever it is built."""

    def __init__(self, space: Space, channels: int, layers: int, kernel: int) -> None:
        super().__init__(space, channels, layers, kernel=kernel)
        colours = space.shape[0]
        out, into, height, width = self.first.mask.shape
        self.first.mask.copy_(conv_mask("B", out, into, (height, width), channel_groups=colours))


@pytest.mark.parametrize("space", [BITS, GREY, Space.binary(20)], ids=str)
def test_mass_sums_finds_a_normaliser_off_by_a_thousandth(space: Space) -> None:
    assert holds("mass_sums", made(OffMADE, space)) is False


@pytest.mark.parametrize("dims", [1, 2, 7])
def test_mass_sums_integrates_densities(dims: int) -> None:
    assert holds("mass_sums", _strong(lambda: Independent(Space.real(dims))))
    assert holds("mass_sums", _strong(lambda: OffNormal(Space.real(dims)))) is False


def test_mass_sums_finds_a_leak_in_a_twin() -> None:
    model = EarlyB(Space.levels((1, 8, 8), 17), 12, 1, 5)
    verdict = run("mass_sums", model, None, model.space)
    assert verdict.holds is False
    assert "twin" in verdict.evidence


class NoisyBound(Model):
    """log P(x) - z^2 / 2 + lift of a solved baseline: a lower bound in expectation while lift <= 1/2."""

    accepts = frozenset({"binary"})

    def __init__(self, space: Space, lift: float) -> None:
        super().__init__(space)
        self.inner = Independent(space)
        self.lift = lift

    def log_prob_lower(
        self, x: Tensor, c: Tensor | None = None, k: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.inner.log_prob(x) - 0.5 * torch.randn(len(x)).square() + self.lift


@pytest.mark.parametrize(("lift", "sound"), [(0.0, True), (0.5, True), (0.7, False)])
def test_mass_sums_allows_a_bound_its_noise_and_no_more(lift: float, sound: bool) -> None:
    assert holds("mass_sums", NoisyBound(Space.binary(9), lift)) is sound


# --- sampler_matches_log_prob ----------------------------------------------------------------------------------------


class Backwards(MADE):
    """Draws the sites in the reverse of their order."""

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        u = uniforms(n, self.space.shape, generator, self.order.device)
        with torch.no_grad():
            walk = Walk(self.head.sample, u, torch.long)
            naive(self.conditionals, self.space.shape, self.order.flip(0), walk)
            return walk.x.reshape(u.shape)


class Unrounded(MADE):
    """Feeds back each bit's probability in place of the bit."""

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        u = uniforms(n, self.space.shape, generator, self.order.device)
        fed, drawn = torch.zeros(u.shape), torch.zeros(u.shape, dtype=torch.long)
        with torch.no_grad():
            for site in self.order:
                fed[:, site] = self.conditionals(fed)[:, site, 0].sigmoid()
                drawn[:, site] = (u[:, site] < fed[:, site]).long()
        return drawn


class Transposed(PixelCNN):
    """Writes the pixels column by column."""

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, c, generator).mT.reshape(n, *self.space.shape)


@pytest.mark.parametrize("cls", [Backwards, Unrounded])
@pytest.mark.parametrize("space", [BITS, Space.binary(20)], ids=str)
def test_samples_drawn_the_wrong_way_are_found(cls: type[MADE], space: Space) -> None:
    assert holds("sampler_matches_log_prob", made(cls, space)) is False


@pytest.mark.parametrize("space", [GREY, Space.levels((1, 5, 4), 17)], ids=str)
def test_transposed_samples_are_found(space: Space) -> None:
    assert holds("sampler_matches_log_prob", pixelcnn(Transposed, space)) is False


class Wide(Independent):
    """Samples are spread a tenth too far."""

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return self.mean + 1.1 * (super().sample(n, c, generator) - self.mean)


@pytest.mark.parametrize("dims", [1, 2, 6])
def test_real_samples_spread_too_far_are_found(dims: int) -> None:
    assert holds("sampler_matches_log_prob", _strong(lambda: Independent(Space.real(dims))))
    assert holds("sampler_matches_log_prob", _strong(lambda: Wide(Space.real(dims)))) is False


class Impossible(Independent):
    """Says that all bits are never one, and draws it now and then."""

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().log_prob(x, c).masked_fill(x.flatten(1).all(1), -torch.inf)


def test_a_sample_without_mass_fails_at_once() -> None:
    model = Impossible(Space.binary(10))
    verdict = run("sampler_matches_log_prob", model, None, model.space)
    assert verdict.holds is False
    assert "no mass" in verdict.evidence


def test_p_values_of_right_samples_are_uniform() -> None:
    """200 tests of right samples: the share of p-values below q is q within four standard errors."""
    generator = np.random.default_rng(0)
    masses = generator.dirichlet(np.full(100, 0.5))
    p = np.array(
        [chi_squared(generator.multinomial(3000, masses).astype(float), masses).p_value for _ in range(200)]
    )
    for q in (0.1, 0.5, 0.9):
        assert abs((p < q).mean() - q) < 4 * np.sqrt(q * (1 - q) / 200)


def test_steins_identity_holds_for_right_samples_and_fails_for_wrong_ones() -> None:
    """Two lumps in five dimensions; the wrong samples are moved by a tenth of a standard deviation."""
    centre = torch.zeros(5, dtype=torch.float64)
    centre[0] = 1.5

    def log_prob(x: Tensor) -> Tensor:
        return torch.logaddexp(-0.5 * (x - centre).square().sum(1), -0.5 * (x + centre).square().sum(1))

    generator = torch.Generator().manual_seed(0)
    sign = torch.randint(2, (4000, 1), generator=generator) * 2 - 1
    x = torch.randn(4000, 5, generator=generator, dtype=torch.float64) + sign * centre
    assert stein_p_value(log_prob, x, 64, seed=0) > 0.01
    assert stein_p_value(log_prob, x + 0.1, 64, seed=0) < 1e-4


class Generous(GaussianMixture):
    """Densities too large by a factor of 1.00001 where x > 0."""

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor:
        return super().log_prob(parameters, x, sites) + 1e-5 * (x > 0)


def test_a_site_density_that_does_not_integrate_to_one_is_found() -> None:
    model = MADE(Space.real(3), (8,)).eval()
    assert holds("mass_sums", model)
    model.head = Generous(model.space)
    assert holds("mass_sums", model) is False


# --- flows -----------------------------------------------------------------------------------------------------------


class Careless(SplineFlow):
    """States a log-determinant that is wrong by a thousandth of a nat where the first column is positive."""

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().encode(x, c)
        return z, log_det + 1e-3 * (x[:, 0] > 0)


class Lossy(SplineFlow):
    """Decodes with an offset of a thousandth."""

    def decode(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = super().decode(z, c)
        return x + 1e-3, log_det


def test_a_log_determinant_wrong_by_a_thousandth_is_found() -> None:
    flow = _strong(lambda: SplineFlow(Space.real(3), 2, (8,)))
    assert holds("log_det", flow) and holds("round_trip", flow)
    assert holds("log_det", _strong(lambda: Careless(Space.real(3), 2, (8,)))) is False


def test_a_sound_flow_is_not_accused_by_the_grid() -> None:
    """Its density in two dimensions has ridges that a grid and half of it can miss alike: 1.000114 at 201 points."""
    assert run("mass_sums", RealNVP(Space.real(13)), None, Space.real(13), seed=0).holds


def test_a_way_back_that_misses_is_found() -> None:
    assert holds("round_trip", _strong(lambda: Lossy(Space.real(3), 2, (8,)))) is False


# --- rows_independent ------------------------------------------------------------------------------------------------


class Centred(MADE):
    """Takes the mean over the batch from the parameters."""

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        parameters = super().conditionals(x)
        return parameters - 0.01 * parameters.mean(0)


class Normed(MADE):
    """Normalises hidden features over the batch in training mode."""

    def __init__(self, space: Space, hidden: tuple[int, ...]) -> None:
        super().__init__(space, hidden)
        self.norm = nn.BatchNorm1d(space.dims)

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.norm(super().conditionals(x)[..., 0]).unsqueeze(-1)


def test_a_mean_over_the_batch_is_found() -> None:
    assert holds("rows_independent", made(Centred)) is False


def test_batch_norm_is_reported_in_training_mode_and_sound_in_eval_mode() -> None:
    verdict = run("rows_independent", made(Normed), None, BITS)
    assert verdict.holds
    assert "in training mode log_prob, conditionals does depend on the batch" in verdict.evidence
    assert holds("rows_independent", Bare(nn.BatchNorm1d(3, track_running_stats=False), (3,))) is False


# --- declared_abilities ----------------------------------------------------------------------------------------------


class Breaks(MADE):
    """Declares features and cannot compute them."""

    def embed(self, x: Tensor) -> Tensor:
        raise RuntimeError("no such layer")


class Silent(MADE):
    """Does not declare features and returns None when asked."""

    @property
    def can(self) -> Can:
        return Can.SAMPLE | Can.LOG_PROB

    def embed(self, x: Tensor) -> Tensor:
        return None  # type: ignore[return-value]


class OutOfRange(MADE):
    """Draws twos among bits."""

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, c, generator) + 1


class Forgetful(MADE):
    """Does not listen to its generator."""

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(n, c, None)


class Columnar(MADE):
    """Scores (n, 1)."""

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().log_prob(x, c)[:, None]


@pytest.mark.parametrize(
    ("cls", "word"),
    [
        (Breaks, "embed is declared and raises RuntimeError: no such layer"),
        (Silent, "embed is not declared and returns NoneType"),
        (OutOfRange, "outside the space"),
        (Forgetful, "other rows from an equal generator"),
        (Columnar, "gives shape (5, 1) for 5 rows, expected (5,)"),
    ],
)
def test_broken_promises_are_named(cls: type[MADE], word: str) -> None:
    torch.manual_seed(0)
    verdict = run("declared_abilities", cls(BITS, (8,)).eval(), None, BITS)
    assert verdict.holds is False
    assert word in verdict.evidence


# --- save_load_same --------------------------------------------------------------------------------------------------


class Attribute(MADE):
    """Keeps random numbers where no state dict finds them."""

    def __init__(self, space: Space, hidden: tuple[int, ...]) -> None:
        super().__init__(space, hidden)
        self.shift = torch.randn(space.dims, 1)

    def conditionals(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return super().conditionals(x) + self.shift


def test_state_outside_the_state_dict_is_found() -> None:
    verdict = run("save_load_same", Attribute(BITS, (8,)), None, BITS)
    assert verdict.holds is False
    assert "log_prob differs" in verdict.evidence


def test_a_lost_argument_is_found() -> None:
    model = made(order=[3, 0, 5, 1, 4, 2])
    assert holds("save_load_same", model)
    model.hyper["order"] = None
    assert holds("save_load_same", model) is False
    del model.hyper["order"], model.hyper["hidden"]
    assert holds("save_load_same", model) is False


# --- audit -----------------------------------------------------------------------------------------------------------


def test_audit_leaves_no_trace() -> None:
    model = Normed(BITS, (8,)).train()
    model.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    verdicts = audit(model)
    assert torch.equal(torch.rand(3), drawn)
    assert (model.training, model.norm.training) == (True, False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [verdict.name for verdict in verdicts] == list(CHECKS)
    json.dumps([verdict.to_dict() for verdict in verdicts])


def test_audit_gives_the_same_verdicts_again() -> None:
    model = made()
    first, second = audit(model, seed=3), audit(model, seed=3)
    assert [v.to_dict() for v in first] == [v.to_dict() for v in second]


def test_audit_of_a_fitted_model_reads_rows_in_the_users_units() -> None:
    import jensen

    space = Space.levels((1, 2, 3), 3, low=10.0, step=5.0)
    rows = 10 + 5 * np.random.default_rng(0).integers(3, size=(200, 1, 2, 3))
    fitted = jensen.fit(MADE, rows, space=space, steps=5, hidden=[8])
    verdicts = [verdict for verdict in audit(fitted, rows) if verdict.details.get("applies", True)]
    assert len(verdicts) == 6
    assert all(verdict.holds for verdict in verdicts), [v.evidence for v in verdicts if not v.holds]


def test_audit_of_a_bare_module_skips_what_needs_a_model() -> None:
    verdicts = {v.name: v for v in audit(nn.Linear(3, 3), input_shape=(3,))}
    assert verdicts["no_leak"].holds is False
    assert verdicts["rows_independent"].holds
    assert verdicts["mass_sums"].holds is None
    assert verdicts["mass_sums"].details["applies"] is False


def test_a_check_that_breaks_is_undecided_and_says_why() -> None:
    class Raises(MADE):
        def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            raise KeyError("lost")

    verdicts = {v.name: v for v in audit(Raises(BITS, (8,)))}
    assert verdicts["mass_sums"].holds is None
    assert "KeyError" in verdicts["mass_sums"].evidence
    assert verdicts["declared_abilities"].holds is False


def test_audit_refuses_what_it_cannot_look_at() -> None:
    with pytest.raises(UsageError, match="input_shape"):
        audit(nn.Linear(2, 2))
    with pytest.raises(UsageError, match="did you mean no_leak"):
        audit(made(), checks=["no_leaks"])
    with pytest.raises(UsageError, match="a callable"):
        audit(3, input_shape=(2,))
