"""NT-Xent by tiles is the loss of a loop over rows, in value, gradient, memory and over processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as spawning
from small_models import PAIRS, SPACES, in_float64
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from jensen.checks.subject import some_rows
from jensen.errors import UsageError
from jensen.functional.contrastive import chance_level, nt_xent, view_losses
from jensen.functional.gather import gathered
from jensen.functional.representation import alignment, effective_rank, partner_found, uniformity
from jensen.models.encoder import Encoder
from jensen.objectives import objective_for, parse_objective
from jensen.objectives.contrastive import Contrastive, ContrastiveLoss
from jensen.space import Space


def losses_one_by_one(a: Tensor, b: Tensor, temperature: float) -> list[Tensor]:
    """-log softmax at the partner, a view at a time, the partner apart: exact also where the loss is nearly zero."""
    views = torch.cat([a, b])
    units = [view / view.norm() for view in views]
    n, found = len(a), []
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        own = units[i] @ units[partner] / temperature
        others = [units[i] @ units[j] / temperature for j in range(2 * n) if j not in (i, partner)]
        found.append(torch.log1p(torch.exp(torch.logsumexp(torch.stack(others), 0) - own)))
    return found


def plain(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """The same with the whole matrix, in float64."""
    z = nn.functional.normalize(torch.cat([a, b]).double(), dim=1)
    similar = z @ z.T / temperature
    rows = torch.arange(len(z))
    partner = rows.roll(len(a))
    own = similar[rows, partner]
    absent = torch.zeros_like(similar, dtype=torch.bool)
    absent[rows, rows] = absent[rows, partner] = True
    others = similar.masked_fill(absent, -math.inf).logsumexp(1)
    return nn.functional.softplus(others - own, threshold=50).mean()


def pair(n: int, d: int, spread: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Two views of n rows, `spread` apart from each other beside their own size."""
    generator = torch.Generator().manual_seed(n)
    rows, first, second = torch.randn(3, n, d, generator=generator, dtype=torch.float64)
    return tuple((rows + spread * noise).to(dtype).requires_grad_() for noise in (first, second))  # type: ignore[return-value]


# --- the loss ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 0.1, 0.02])
@pytest.mark.parametrize("tile", [4, 5, 64])
def test_the_loss_and_its_gradient_are_those_of_a_loop_over_rows(temperature: float, tile: int) -> None:
    a, b = pair(7, 5)
    loop = torch.stack(losses_one_by_one(a, b, temperature)).mean()
    ours = nt_xent(a, b, temperature, tile=tile)
    # d terms of a product and 2n of a sum, each rounded by 1e-16 of 1/T; the exponential passes that on
    assert ours.item() == pytest.approx(loop.item(), rel=1e-13 / temperature)
    for mine, theirs in zip(torch.autograd.grad(ours, (a, b)), torch.autograd.grad(loop, (a, b))):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12 / temperature)


@pytest.mark.parametrize("temperature", [0.5, 0.1, 0.02, 0.001])
def test_the_gradient_is_that_of_finite_differences(temperature: float) -> None:
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, temperature, tile=5), pair(7, 4))


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.05, 0.026, 0.024, 0.01])
def test_float32_keeps_its_digits_where_the_loss_is_nearly_zero(temperature: float) -> None:
    """Both sides of 2 / T = 80, where the constant shift gives way to a running one; the loss goes down to 1e-27."""
    a, b = pair(256, 64, spread=0.1, dtype=torch.float32)
    ours, exact = nt_xent(a, b, temperature, tile=96), plain(a, b, temperature)
    # a similarity is rounded by 64 * 6e-8 / T at the very worst, by the square root of that as a rule
    assert ours.item() == pytest.approx(exact.item(), rel=2e-5)
    mine = torch.cat(torch.autograd.grad(ours, (a, b))).double()
    theirs = torch.cat(torch.autograd.grad(exact, (a, b))).double()
    assert float((mine - theirs).norm() / theirs.norm()) < 2e-5


@pytest.mark.parametrize("n", [2, 32])
def test_a_guess_loses_log_of_the_other_views(n: int) -> None:
    ones = torch.ones(n, 3, dtype=torch.float64)
    assert float(nt_xent(ones, ones, 0.1)) == pytest.approx(math.log(2 * n - 1), rel=1e-13)
    assert chance_level(n) == math.log(2 * n - 1)


@pytest.mark.parametrize("temperature", [0.5, 0.05, 0.02])
def test_orthogonal_rows_with_equal_views_have_the_closed_form(temperature: float) -> None:
    rows = torch.eye(32)
    exact = math.log1p(
        62 * math.exp(-1 / temperature)
    )  # 1.3e-7 at T = 0.05: below what 1 + x keeps in float32
    assert float(nt_xent(rows, rows, temperature)) == pytest.approx(exact, rel=1e-5)


def test_swapped_views_permuted_and_rescaled_rows_have_the_same_loss() -> None:
    a, b = pair(9, 4)
    base = nt_xent(a, b, 0.2).item()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    sizes = torch.logspace(-30, 30, 9, dtype=torch.float64).unsqueeze(1)
    for other in (nt_xent(b, a, 0.2), nt_xent(a[order], b[order], 0.2), nt_xent(a * sizes, b / sizes, 0.2)):
        assert other.item() == pytest.approx(base, rel=1e-13)


def test_the_losses_of_the_views_have_the_loss_as_their_mean() -> None:
    a, b = pair(6, 3)
    expected = torch.stack(losses_one_by_one(a, b, 0.3))
    torch.testing.assert_close(view_losses(a, b, 0.3), expected.detach(), rtol=1e-12, atol=0)


def test_half_precision_and_autocast_are_computed_in_float32() -> None:
    a, b = (view.detach().bfloat16().requires_grad_() for view in pair(16, 8))
    exact = plain(a, b, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        ours = nt_xent(a, b, 0.05)
    assert ours.dtype == torch.float32 and ours.item() == pytest.approx(exact.item(), rel=1e-5)
    ours.backward()
    assert a.grad is not None and bool(a.grad.isfinite().all())


def test_a_view_of_length_zero_has_no_direction_and_gets_no_gradient() -> None:
    a, b = (view.detach() for view in pair(5, 3, dtype=torch.float32))
    a[2] = 0
    a.requires_grad_()
    nt_xent(a, b, 0.1).backward()
    assert a.grad is not None and bool(a.grad.isfinite().all()) and not a.grad[2].any()


class Largest(TorchDispatchMode):
    """Watches for the largest tensor that any operation gives."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        self.numbers = max([self.numbers, *(t.numel() for t in tree_leaves(out) if isinstance(t, Tensor))])
        return out


@pytest.mark.parametrize("temperature", [0.2, 0.01])
def test_no_tensor_grows_faster_than_the_rows(temperature: float) -> None:
    a, b = pair(600, 4, dtype=torch.float32)
    with Largest() as seen:
        nt_xent(a, b, temperature, tile=64).backward()
    assert seen.numbers == max(1200 * 4, 64 * 64)


@pytest.mark.parametrize(
    ("a", "b", "temperature", "words"),
    [
        (torch.ones(1, 3), torch.ones(1, 3), 0.1, "two rows or more.*got 1"),
        (torch.ones(4, 3), torch.ones(4, 3), 0.0, "above 0.*got 0.0"),
        (torch.ones(4, 3), torch.ones(4, 3), math.nan, "above 0.*nan"),
        (torch.ones(4, 3), torch.ones(5, 3), 0.1, r"same shape.*\(4, 3\).*\(5, 3\)"),
        (torch.ones(4, 3, 2, 2), torch.ones(4, 3, 2, 2), 0.1, "pool maps"),
        (torch.ones(4, 3).long(), torch.ones(4, 3).long(), 0.1, "floats"),
    ],
)
def test_what_is_no_pair_of_views_is_named(a: Tensor, b: Tensor, temperature: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        nt_xent(a, b, temperature)


# --- over processes ----------------------------------------------------------------------------------------------------


def _net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def _gradient(net: nn.Module, loss: Tensor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])


def _process(rank: int, folder: str, shards: tuple[slice, slice], cut: bool) -> None:
    where = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=where, rank=rank, world_size=2)
    net = _net()
    a, b = (net(view.detach()[shards[rank]]) for view in pair(9, 5))
    if cut:  # what torch's own all_gather gives: the other process's rows without their gradient to this one's share
        both = [torch.cat([view.detach(), gathered(view)[len(view) :].detach()]) for view in (a, b)]
        loss = nt_xent(*both, 0.2) + 0 * (a.sum() + b.sum())
    else:
        loss = nt_xent(gathered(a), gathered(b), 0.2)
    mine = _gradient(net, loss)
    dist.all_reduce(mine)
    if rank == 0:
        torch.save({"gradient": mine / 2, "loss": loss.detach()}, f"{folder}/found.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shards", "cut"),
    [
        ((slice(0, 4), slice(4, 9)), False),
        ((slice(0, 4), slice(4, 8)), False),
        ((slice(0, 4), slice(4, 8)), True),
    ],
    ids=["unequal shards", "equal shards", "a planted cut"],
)
def test_two_processes_have_the_gradient_of_one(
    shards: tuple[slice, slice], cut: bool, tmp_path: Path
) -> None:
    spawning.spawn(_process, (str(tmp_path), shards, cut), nprocs=2)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    net = _net()
    n = shards[1].stop
    whole = nt_xent(*(net(view.detach()[:n]) for view in pair(9, 5)), 0.2)
    exact = _gradient(net, whole)
    gap = float((found["gradient"] - exact).norm() / exact.norm())
    assert (gap > 0.1) if cut else (gap < 1e-12)
    if not cut:
        assert float(found["loss"]) == pytest.approx(whole.item(), rel=1e-14)


def test_without_a_process_group_rows_stay_as_they_are() -> None:
    x = torch.ones(2, 3)
    assert gathered(x) is x


# --- the objective -----------------------------------------------------------------------------------------------------


def _turn(model: Encoder, **options: object) -> ContrastiveLoss:
    torch.manual_seed(5)
    return Contrastive(**options).turns(model)[0]  # type: ignore[arg-type, return-value]


def test_a_batch_in_chunks_has_the_gradient_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    model = Encoder(Space.real(6), features=8, width=16).double()
    x = torch.randn(20, 6, dtype=torch.float64)
    found = []
    for chunk in (None, 7):
        turn = _turn(model, chunk=chunk).double()
        torch.manual_seed(1)
        loss = turn(x)
        found.append((loss.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(loss, turn.moves)])))
    (whole, gradient), (parts, again) = found
    assert float(parts) == pytest.approx(float(whole), rel=1e-14)
    assert float((gradient - again).norm() / gradient.norm()) < 1e-13


def test_a_chunk_moves_the_running_statistics_once() -> None:
    torch.manual_seed(0)
    model = Encoder(Space.levels((1, 8, 8), 17), features=8, width=4)
    x = torch.randint(17, (8, 1, 8, 8))
    turn = _turn(model, chunk=4)
    turn(x).backward()
    assert {int(v) for k, v in model.named_buffers() if k.endswith("num_batches_tracked")} == {8}
    norm = next(one for one in model.modules() if isinstance(one, nn.BatchNorm2d))
    assert norm.momentum == 0.1


def test_validation_sees_the_same_views_again_and_leaves_the_model_as_it_was() -> None:
    model = Encoder(Space.levels((1, 8, 8), 17), features=8, width=4)
    options = Contrastive()
    options.turns(model)
    x = torch.randint(17, (12, 1, 8, 8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, again = (options.monitor(model, x, None, seed=3) for _ in range(2))
    other = options.monitor(model, x, None, seed=4)
    assert first.value == again.value != other.value
    assert model.training and all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert first.how["chance"] == chance_level(12)


def test_a_collapsed_representation_is_doubted() -> None:
    model = Encoder(Space.real(4), features=8, width=16)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    options = Contrastive()
    options.turns(model)
    health = options.health(model, torch.randn(16, 4), None, seed=0)
    assert "collapsed" in options.doubt(health)
    assert health["contrastive loss"].value == pytest.approx(chance_level(16), rel=1e-6)


def test_a_single_validation_row_is_named() -> None:
    model = Encoder(Space.real(4), features=8, width=16)
    options = Contrastive()
    options.turns(model)
    with pytest.raises(UsageError, match="two validation rows or more"):
        options.monitor(model, torch.randn(1, 4), None, seed=0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contrastive:temperature=0", "above 0"),
        ("contrastive:temperature=-1", "above 0"),
        ("contrastive:chunk=1", "chunk >= 2"),
        ("contrastive:warmth=1", "no such option"),
    ],
)
def test_options_out_of_range_are_named(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_objective(text)


def test_encoders_are_trained_by_contrast_unless_told_otherwise() -> None:
    assert isinstance(objective_for(Encoder(Space.real(2))), Contrastive)


@pytest.mark.parametrize(
    ("x", "views", "words"),
    [
        (torch.randn(1, 4), "auto", "two rows or more"),
        (torch.randn(8, 4), lambda x, generator: x, "the two views of every row are the same"),
        (torch.randn(8, 4), lambda x, generator: x[:, :2], "rows of the shape it gets"),
        (torch.randn(8, 4), "colour", "not for these rows"),
        (torch.randn(8, 4), "colours", "did you mean colour"),
    ],
)
def test_batches_and_views_that_teach_nothing_are_named(x: Tensor, views: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _turn(Encoder(Space.real(4)), views=views)(x)


# --- health ------------------------------------------------------------------------------------------------------------


def test_directions_spread_evenly_have_the_uniformity_of_the_sphere() -> None:
    z = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    # -4 + log 0F1(; d/2; 4), d = 16: summed term by term
    series = sum(4**k / (math.factorial(k) * math.prod(8 + i for i in range(k))) for k in range(30))
    # 8e6 dependent pairs of 4000 rows; the variance of a pair's exp(-2 |u - v|^2), 1.2e-3 of standard deviation 0.035,
    # leaves the mean within 1 % at five standard errors
    assert float(uniformity(z)) == pytest.approx(-4 + math.log(series), abs=0.01)
    assert float(uniformity(torch.ones(9, 3))) == pytest.approx(0, abs=1e-5)


def test_the_effective_rank_counts_directions() -> None:
    assert float(effective_rank(torch.ones(10, 4))) == pytest.approx(1, abs=1e-6)
    assert float(effective_rank(torch.eye(6).repeat(3, 1))) == pytest.approx(6, rel=1e-9)
    # two directions of sizes 3 and 1: shares 3/4 and 1/4
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert float(effective_rank(torch.diag(torch.tensor([3.0, 1.0])))) == pytest.approx(expected, rel=1e-9)


def test_a_partner_is_found_where_it_is_the_most_similar_of_all_other_views() -> None:
    a, b = (view.detach() for view in pair(40, 3, spread=0.5))
    z = nn.functional.normalize(torch.cat([a, b]), dim=1)
    similar = (z @ z.T).fill_diagonal_(-2)
    assert partner_found(a, b, tile=7).tolist() == (similar.argmax(1) == torch.arange(80).roll(40)).tolist()
    same = torch.ones(3, 2)
    assert not partner_found(same, same).any()


def test_alignment_is_the_squared_distance_of_directions() -> None:
    found = alignment(torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 3.0], [-5.0, 0.0]]))
    assert found.tolist() == pytest.approx([2, 4])


ENCODED = [where for name, where in PAIRS if name == "encoder"]


@pytest.mark.parametrize("where", ENCODED)
def test_a_float64_encoder_learns_from_views_of_rows_of_any_kind(where: str) -> None:
    """Views of levels lie between them, in float32: the encoder reads them in its own type."""
    model, _ = in_float64("encoder", where)
    (turn,) = objective_for(model, "contrastive").turns(model)
    loss = turn(some_rows(model, None, SPACES[where], 12, seed=1), None)
    loss.backward()
    assert loss.dtype == torch.float64
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.dtype == torch.float64 for p in turn.parameters())
