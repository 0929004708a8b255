"""Mixed tables: codecs, heads and models of real and discrete columns with gaps, against quadrature and closed forms."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.checks import run
from jensen.codec import codec_for, codec_from_dict
from jensen.errors import Cannot, DataError, SpaceError, UsageError
from jensen.functional.importance import log_mean_exp
from jensen.heads import head_for
from jensen.mixed import Columns, Spread
from jensen.models.independent import Independent
from jensen.models.made import MADE
from jensen.models.vae import VAE
from jensen.nn.relaxed import Relaxed
from jensen.quantity import Kind
from jensen.space import Column, Space

TABLE = Space(
    (6,),
    (
        Column("real", gaps="value"),
        Column("categorical", 3, gaps="value", labels=("a", "b", "c")),
        Column("levels", 40, low=18.0, gaps="value"),
        Column("binary", low=1.0, step=2.0),
        Column("real"),
        Column("levels", 5, low=-1.0, step=0.5, gaps="value"),
    ),
)
EVERY = frozenset({"binary", "levels", "categorical", "real", "mixed"})
NAN = math.nan


def table_rows(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(n, 6, generator=generator, dtype=torch.float64)
    low, step = (torch.as_tensor(side) for side in TABLE.grid())
    levels = torch.tensor(TABLE.levels_by_site())
    real = 50 + 20 * torch.randn(n, 6, generator=generator, dtype=torch.float64)
    x = torch.where(levels > 0, low + step * (u * levels).floor(), real)
    gaps = torch.rand(n, 6, generator=generator) < 0.3
    return x.masked_fill(gaps & torch.from_numpy(TABLE.may_gap()), NAN)


def same(a: Tensor, b: Tensor, atol: float = 1e-9) -> bool:
    return torch.equal(a.isnan(), b.isnan()) and torch.allclose(
        a.nan_to_num(0.0).double(), b.nan_to_num(0.0).double(), atol=atol, rtol=0
    )


# --- codecs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Columns, Spread])
def test_a_mixed_codec_gives_back_the_rows_and_is_read_back_from_its_record(make) -> None:
    x = table_rows(300)
    codec = make.fit(TABLE, x)
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    generator = torch.Generator().manual_seed(1)
    z, _ = codec.encode(x, generator)
    assert z.shape[1:] == codec.model_space.shape
    assert same(codec.decode(z), x) and same(again.decode(z), x)
    codec.model_space.check(z.numpy())
    assert again.model_space == codec.model_space


def test_the_log_det_of_columns_is_that_of_the_real_values_that_are_there() -> None:
    x = table_rows(50)
    codec = Columns.fit(TABLE, x)
    z, log_det = codec.encode(x)
    for row, (value, total) in enumerate(zip(x, log_det)):
        expected = 0.0
        for site in (0, 4):
            if not value[site].isnan():
                moved = value.clone()
                moved[site] += 1.0
                slope = codec.encode(moved[None])[0][0, site] - z[row, site]
                expected += math.log(float(slope))
        assert float(total) == pytest.approx(expected, abs=1e-9)


def test_discrete_columns_with_gaps_become_whole_numbers_with_one_category_more() -> None:
    space = Space((2,), (Column("categorical", 3, gaps="value"), Column("binary")))
    codec = codec_for(EVERY, space, torch.tensor([[NAN, 0.0], [2.0, 1.0]]))
    z, log_det = codec.encode(torch.tensor([[NAN, 0.0], [2.0, 1.0]]))
    assert z.tolist() == [[3, 0], [2, 1]] and z.dtype == torch.int64 and not log_det.any()
    assert codec.model_space.kind == "categorical" and space.measure == "mass"
    assert codec.model_space.columns[0].levels == 4


def test_a_density_behind_spread_bounds_the_mass_of_a_gap_and_is_tight_where_it_can_be() -> None:
    """Rows of one real column with gaps. z = (value, flag); the mass of a gap is the integral over flag in [1, 2)."""
    space = Space((1,), (Column("real", gaps="value"),))
    x = torch.tensor([[1.0], [3.0], [NAN], [2.0]], dtype=torch.float64)
    codec = Spread.fit(space, x)
    assert codec.kind is Kind.LOWER and codec.model_space == Space.real(2)
    gap = torch.full((40_000, 1), NAN, dtype=torch.float64)
    z, log_det = codec.encode(gap, torch.Generator().manual_seed(0))
    assert bool(((z[:, 1] >= 1) & (z[:, 1] < 2)).all())
    normal = lambda v, s: -0.5 * (v / s).square() - math.log(s) - 0.5 * math.log(2 * math.pi)  # noqa: E731
    share = math.log(0.25)  # the density of the flag on [1, 2) of a law that is flat there
    tight = normal(z[:, 0], 1.0) + share + log_det
    assert torch.allclose(tight, torch.full_like(tight, share), atol=1e-9)
    loose = normal(z[:, 0], 2.0) + share + log_det
    # E_q[log p - log q] = -KL(N(0, 1), N(0, 4)) in closed form
    kl = math.log(2.0) + (1 - 4) / 8
    assert float(loose.mean()) == pytest.approx(share - kl, abs=0.02)
    assert float(log_mean_exp(loose)) == pytest.approx(
        share, abs=0.02
    )  # the weights are unbiased for the mass


def test_which_codec_a_model_gets() -> None:
    x = table_rows(40)
    assert isinstance(codec_for(EVERY, TABLE, x), Columns)
    spread = codec_for(frozenset({"real"}), TABLE, x)
    assert spread.kind is Kind.LOWER and spread.model_space == Space.real(8)
    assert codec_for(frozenset({"real"}), Space.categorical(2, 3), torch.tensor([[0, 1], [2, 2]])).random
    unseen = Space((2,), (Column("real", gaps="unseen"), Column("real")))
    rows = torch.tensor([[NAN, 0.0], [1.0, 1.0], [2.0, 0.5]])
    with pytest.raises(SpaceError, match="not seen"):
        codec_for(frozenset({"real"}), unseen, rows)
    with pytest.raises(SpaceError, match="levels rows"):
        codec_for(frozenset({"levels"}), TABLE, x)
    with pytest.raises(DataError, match="two different values"):
        Columns.fit(unseen, torch.tensor([[NAN, 0.0], [1.0, 1.0]]))


# --- the head --------------------------------------------------------------------------------------------------------


def head_and_parameters(n: int = 3, seed: int = 0):
    space = Columns.fit(TABLE, table_rows(200)).model_space
    head = head_for(space, components=3)
    generator = torch.Generator().manual_seed(seed)
    return space, head, torch.randn(n, 6, head.size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("whole", [False, True])
def test_the_law_of_every_column_has_total_one_with_and_without_gaps(whole: bool) -> None:
    space, head, parameters = head_and_parameters()
    head.double()
    head.whole = whole
    grid = torch.linspace(-60, 60, 48_001, dtype=torch.float64)
    for site in range(6):
        at, some = torch.tensor([site]), parameters[:, [site]]
        column = space.column(site)
        if column.kind == "real":
            log_p = torch.stack(
                [head.log_prob(some, grid[i].expand(3, 1), at)[:, 0] for i in range(0, len(grid), 8)]
            )
            total = log_p.exp().sum(0) * float(grid[8] - grid[0])
            if column.gaps and not whole:
                total = total + head.log_prob(some, torch.full((3, 1), NAN), at)[:, 0].exp()
        else:
            levels = (column.levels or 0) - (1 if whole and column.gaps == "level" else 0)
            total = sum(
                head.log_prob(some, torch.full((3, 1), float(k)), at)[:, 0].exp() for k in range(levels)
            )
            if column.gaps == "value" and not whole:
                total = total + head.log_prob(some, torch.full((3, 1), NAN), at)[:, 0].exp()
        assert torch.allclose(total, torch.ones(3, dtype=torch.float64), atol=1e-6), (site, total)


def test_some_columns_of_the_head_are_the_same_as_all_of_them() -> None:
    _, head, parameters = head_and_parameters(200)
    rows = Columns.fit(TABLE, table_rows(200)).encode(table_rows(200))[0]
    every = head.log_prob(parameters, rows)
    sites = torch.tensor([4, 1, 0])
    assert torch.allclose(head.log_prob(parameters[:, sites], rows[:, sites], sites), every[:, sites])


def test_draws_of_the_head_follow_it() -> None:
    """The shares of gaps and levels within five standard errors, and the quantiles of u within each column."""
    _, head, parameters = head_and_parameters(1)
    n = 20_000
    u = torch.rand(n, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x = head.sample(parameters.expand(n, -1, -1), u, torch.arange(6))
    share = float(head.log_prob(parameters[:, [0]], torch.full((1, 1), NAN), torch.tensor([0])).exp())
    assert abs(float(x[:, 0].isnan().double().mean()) - share) < 5 * math.sqrt(share * (1 - share) / n)
    for site, levels in ((1, 4), (2, 40), (3, 2), (5, 6)):
        for level in range(levels):
            at = torch.full((1, 1), float(level), dtype=torch.float64)
            p = float(head.log_prob(parameters[:, [site]], at, torch.tensor([site])).exp())
            found = float((x[:, site] == level).double().mean())
            assert abs(found - p) < 5 * math.sqrt(p * (1 - p) / n) + 1e-4
    head.whole = True
    assert not bool(head.sample(parameters.expand(n, -1, -1), u, torch.arange(6)).isnan().any())


def test_a_head_refuses_what_it_cannot_have() -> None:
    with pytest.raises(SpaceError, match="table's columns"):
        head_for(Space.binary((1, 2, 2)), "columns")
    with pytest.raises(UsageError, match="column by column"):
        MADE(Columns.fit(TABLE, table_rows(50)).model_space, inputs="scaled")


# --- models ----------------------------------------------------------------------------------------------------------


def test_the_baseline_on_mixed_rows_is_what_counting_says() -> None:
    space = Space((3,), (Column("real", gaps="value"), Column("categorical", 2), Column("real")))
    x = torch.tensor([[1.0, 0, 5], [3.0, 1, 7], [NAN, 1, 9], [NAN, 1, 3]], dtype=torch.float64)
    model = Independent(space)
    model.solve(x)

    def normal(v: float, m: float, s: float) -> float:
        return -0.5 * ((v - m) / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)

    third = [normal(v, 6.0, math.sqrt(5.0)) for v in (5, 7, 9, 3)]
    mass = [math.log(2 / 6), *[math.log(4 / 6)] * 3]
    first = [math.log(0.5) + normal(1, 2, 1), math.log(0.5) + normal(3, 2, 1), math.log(0.5), math.log(0.5)]
    expected = [a + b + c for a, b, c in zip(first, mass, third)]
    assert model.log_prob(x).tolist() == pytest.approx(expected, abs=1e-9)


class Shifted(nn.Module):
    """A model whose likelihood is off by `shift` nats, or whose samples leave out gaps."""

    def __init__(self, model: Independent, shift: float = 0.0, gapless: bool = False) -> None:
        super().__init__()
        self.model, self.shift, self.gapless = model, shift, gapless
        self.space, self.can = model.space, model.can

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.model.log_prob(x) + self.shift

    def sample(self, n: int, c: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        x = self.model.sample(n, generator=generator)
        return torch.where(x.isnan(), 0.3, x) if self.gapless else x


def test_the_checks_of_mixed_rows_find_a_wrong_total_and_a_sampler_that_leaves_out_gaps() -> None:
    codec = Columns.fit(TABLE, table_rows(500))
    z, _ = codec.encode(table_rows(500))
    model = Independent(codec.model_space)
    model.solve(z)
    holds = {
        name: [run(check, Shifted(model, **how), None, codec.model_space, seed=1).holds for how in faults]
        for name, check, faults in (
            ("total", "mass_sums", [{}, {"shift": 0.05}, {"shift": -0.2}]),
            ("sampler", "sampler_matches_log_prob", [{}, {"gapless": True}, {"shift": 0.3}]),
        )
    }
    assert holds == {"total": [True, False, False], "sampler": [True, False, False]}


def test_unseen_gaps_leave_their_sites_out_of_the_likelihood() -> None:
    space = Space(
        (4,),
        (
            Column("real", gaps="unseen"),
            Column("categorical", 3, gaps="unseen"),
            Column("real"),
            Column("levels", 5, gaps="unseen"),
        ),
    )
    torch.manual_seed(0)
    model = VAE(space, latents=2, hidden=(16,)).eval()
    x = torch.tensor([[0.5, 1, -0.3, 4], [NAN, 1, -0.3, NAN], [0.5, NAN, -0.3, NAN]])
    z = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(1))
    there = ~x.isnan()
    full = VAE(space.filled(), latents=2, hidden=(16,))
    # the same decoder, on rows without gaps, with the sites masked by hand
    full.decoder.load_state_dict(model.decoder.state_dict())
    filled = torch.where(there, x, torch.tensor([9.0, 2.0, 9.0, 0.0]))
    expected = full.log_likelihood(filled, z, observed=there)
    assert torch.allclose(model.log_likelihood(x, z), expected, atol=1e-5)
    generator = [torch.Generator().manual_seed(7) for _ in range(2)]
    bound = model.log_prob_lower(x, k=8, generator=generator[0])
    assert bool(bound.isfinite().all()) and bool(model.embed(x).isfinite().all())
    weights = -model.log_prob_lower(x, k=8, generator=generator[1]).sum()
    weights.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())


def test_a_vae_trained_on_rows_with_gaps_comes_near_the_law_they_were_drawn_from() -> None:
    """Half of all cells of a correlated normal law unseen at random: the exact law of what is there is known."""
    rng = np.random.default_rng(0)
    root = np.array([[1.0, 0, 0, 0], [0.9, 0.44, 0, 0], [0.8, 0.1, 0.6, 0], [-0.9, 0, 0.1, 0.4]])
    x = rng.normal(size=(4000, 4)) @ root.T
    hidden = rng.random(x.shape) < 0.5
    hidden[:, 0] &= hidden[:, 1:].sum(1) < 3  # no row is empty
    x[hidden] = np.nan
    rows = jensen.rows(x, gaps="unseen")
    plan = jensen.Plan(steps=1200, rate=3e-3, batch=256)
    fitted = jensen.fit("vae", rows, latents=2, hidden=(64,), objective="iwae:k=8", plan=plan)
    held = np.asarray(rows.test[:])
    scores = fitted.score(rows.test, k=64)
    covariance, exact = root @ root.T, []
    for row in held:
        there = ~np.isnan(row)
        part = covariance[np.ix_(there, there)]
        exact.append(
            -0.5 * (row[there] @ np.linalg.solve(part, row[there]) + np.linalg.slogdet(2 * np.pi * part)[1])
        )
    baseline = jensen.fit("independent", rows).score(rows.test).values.mean()
    truth = float(np.mean(exact))
    assert truth - 0.15 < scores.values.mean() < truth + 0.02
    assert scores.values.mean() > baseline + 0.3
    assert scores.how["gaps"].startswith("unseen") and scores.kind is Kind.LOWER
    with pytest.raises(SpaceError, match="some of the sites alone"):
        jensen.fit("made", rows, steps=2)


def test_completions_are_values_and_never_gaps() -> None:
    """Of a table of two columns, against the table itself: the completed column follows its law given the other."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 6000)
    b = np.where(rng.random(6000) < 0.8, a, rng.integers(0, 3, 6000)).astype(float)
    b[rng.random(6000) < 0.25] = np.nan
    space = Space((2,), (Column("categorical", 3), Column("categorical", 3, gaps="value")))
    rows = jensen.rows(np.column_stack([a, b]), space=space)
    fitted = jensen.fit("made", rows, steps=400, hidden=(32,))
    asked = np.column_stack([np.repeat([0.0, 1.0, 2.0], 500), np.full(1500, np.nan)])
    found = fitted.complete(asked, n=2, seed=0)
    assert not np.isnan(found.rows).any() and found.exact.all()
    # P(b = a | a, there) = 0.8 + 0.2 / 3, within five standard errors of the draws and 0.03 of the fit
    share = (found.rows[..., 0] == found.rows[..., 1]).mean()
    assert abs(share - (0.8 + 0.2 / 3)) < 0.03 + 5 * math.sqrt(0.12 / 3000)
    samples = fitted.sample(4000, seed=1)
    assert abs(np.isnan(samples[:, 1]).mean() - 0.25) < 0.03 + 5 * math.sqrt(0.19 / 4000)
    plain = jensen.fit("made", rows, steps=5, hidden=(8,), head="categorical")
    with pytest.raises(Cannot, match="head='columns'"):
        plain.complete(asked[:2], seed=0)


def test_features_of_a_game_and_rows_are_inverse_to_each_other() -> None:
    codec = Columns.fit(TABLE, table_rows(100))
    z = codec.encode(table_rows(100))[0].float()
    reads = Relaxed(codec.model_space)
    features = reads.features(z)
    assert bool(features.isfinite().all()) and same(reads.rows(features), z, 1e-4)
    raw = torch.randn(50, 6, reads.size, requires_grad=True)
    made = reads(raw, torch.Generator().manual_seed(0))
    assert same(reads.rows(made.detach()), reads.rows(reads.features(reads.rows(made.detach()))), 1e-5)
    made.square().sum().backward()
    assert raw.grad is not None and bool(raw.grad.isfinite().all())
