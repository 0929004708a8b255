"""Checks say the same of a model on another device, word for word; so does what looks at a fitted model from outside.

The other device is a pretended one (`pretend_device`), in float64. Attention runs in plain operations on both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Elsewhere, pretended, values
from small_models import FIRST, PAIRS, SPACES, in_float64
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import jensen
from jensen.auditing import no_trace
from jensen.checks import check_names, reason_to_skip, run
from jensen.checks.verdict import Verdict
from jensen.feed import Feed
from jensen.fitted import Fitted
from jensen.functional import receptive
from jensen.functional.jacobian import jacobian_lower_bound
from jensen.model import Model
from jensen.plan import Plan
from jensen.sklearn import Density, Embedding, Synthesizer

DEAR = {"planar-flow", "spline-flow", "glow", "transformer", "pixelcnn", "maf", "iaf"}
"""A second or more each, of many small operations, which the pretence makes slower."""
UNTRACED = "; proven by taint"
"""Not of batch normalisation: the taint tracer saves the raw memory of its statistics, which the pretended device has not."""
PLACES = [
    pytest.param(*pair, marks=[] if FIRST[pair[0]] == pair[1] and pair[0] not in DEAR else pytest.mark.slow)
    for pair in PAIRS
]


def verdict_of(check: str, model: Model, x: Tensor, where: str) -> Verdict:
    with no_trace(model, 2), sdpa_kernel(SDPBackend.MATH):
        return run(check, model, x, SPACES[where], seed=2)


@pytest.mark.parametrize(("name", "where"), PLACES)
def test_every_check_says_the_same_on_another_device(name: str, where: str) -> None:
    model, _ = in_float64(name, where)
    for check in check_names():
        if reason_to_skip(check, model, SPACES[where]):
            continue
        here = verdict_of(check, *in_float64(name, where), where)
        with pretended() as device:
            model, x = in_float64(name, where)
            there = verdict_of(check, model.to(device), x.to(device), where)
        said = here.evidence
        if check == "rows_independent" and any(isinstance(one, nn.BatchNorm2d) for one in model.modules()):
            said = said.replace(UNTRACED, "")
            assert UNTRACED in here.evidence
        assert (here.holds, said) == (there.holds, there.evidence)


class Mixes(nn.Module):
    """Follows a way between devices that a GPU allows."""

    def __init__(self, way: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.way = way
        self.register_buffer("weight", torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]]))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3) -> (n, 2)."""
        return self.way(x) @ self.weight.T


def written_over(x: Tensor) -> Tensor:
    kept = torch.zeros(x.shape)
    kept.copy_(x)
    return kept.to(x.device)


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "to the CPU and back": lambda x: (2 * x.cpu()).to(x.device),
    "a copy into what lies on the CPU": written_over,
    "an index of the CPU": lambda x: x[:, torch.tensor([2, 0, 1])],
    "a number of the CPU": lambda x: x * torch.tensor(3.0) + torch.tensor(1.0),
    "an infinite number of the CPU": lambda x: torch.cat([x[:, :1] - torch.tensor(torch.inf), x[:, 1:]], 1),
    "noise of the CPU": lambda x: x + torch.rand(x.shape, generator=torch.Generator()).to(x.device),
}


@pytest.mark.parametrize("way", WAYS)
def test_taint_is_followed_from_device_to_device(way: str) -> None:
    here = receptive.dependence(Mixes(WAYS[way]), (3,))
    with pretended() as device:
        there = receptive.dependence(Mixes(WAYS[way]).to(device), (3,))
    assert here.proven and there.proven, there.reasons
    assert here.rows_mix is there.rows_mix is False
    assert here.require().tolist() == there.require().tolist()


def test_a_module_of_buffers_alone_is_looked_at_where_it_is() -> None:
    here = jacobian_lower_bound(Mixes(WAYS["a number of the CPU"]), (3,))
    with pretended() as device:
        module = Mixes(WAYS["a number of the CPU"]).to(device)
        assert torch.equal(jacobian_lower_bound(module, (3,)), here)
        assert jensen.receptive_field(module, (3,), 0).tolist() == [True, False, True]


def test_a_function_is_looked_at_where_its_rows_are() -> None:
    with pretended() as device:
        weight = torch.ones(3, 2).tril().to(device)
        found = jensen.audit(lambda x: x @ weight, torch.rand(4, 3).to(device))
        field = jensen.receptive_field(lambda x: x @ weight, (3,), 1, example=torch.zeros(3).to(device))
    assert [v.holds for v in found if v.name == "rows_independent"] == [True]
    assert field.tolist() == [False, True, True]


class NoReturn(TorchDispatchMode):
    """Refuses what makes a step wait for a device: its numbers on the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = any(isinstance(one, Elsewhere) for one in tree_leaves((args, kwargs)))
        if given and not all(isinstance(one, Elsewhere) for one in tree_leaves(out) if one is not None):
            raise AssertionError(f"{func} brings numbers back to the CPU")
        return out


@pytest.mark.parametrize("kind", ["plain", "noise", "dynamic bits"])
def test_no_batch_waits_for_its_device(kind: str) -> None:
    """Rows that get noise stay on the CPU, where it is drawn, and others on the device; either goes one way only."""
    grey = np.random.default_rng(0).integers(0, 17, (90, 1, 2, 3))
    data = jensen.rows(grey, binarise="dynamic") if kind == "dynamic bits" else jensen.rows(grey)
    given = "maf" if kind == "noise" else "made"
    codec = jensen.fit(given, data, steps=1, hidden=(4,)).codec
    feed = lambda device: Feed(data.train, codec, 16, 0, device, torch.float32)  # noqa: E731
    here = [x for (x, _), _ in zip(feed(torch.device("cpu")).batches(), range(12))]
    with pretended() as device:
        batches = feed(device).batches()
        with NoReturn():
            there = [x for (x, _), _ in zip(batches, range(12))]
    assert all(isinstance(x, Elsewhere) for x in there)
    assert all(torch.equal(a, values(b)) for a, b in zip(here, there, strict=True))


rng = np.random.default_rng(0)
TABLE = rng.normal(size=(300, 3)).round(3)
BITS = rng.integers(0, 2, (300, 1, 4, 4))
GREY = rng.integers(0, 9, (300, 1, 4, 4))
LABELS = rng.integers(0, 3, 300)
PLAN = Plan(steps=20, batch=32, checks=1, patience=0)
SMALL: dict[str, dict[str, Any]] = {
    "made": {"hidden": (12,)},
    "maf": {"transforms": 2, "hidden": (8,)},
    "vae": {"latents": 2, "hidden": (8,)},
    "encoder": {"features": 12, "width": 8},
}


def fitted(name: str, rows: Any, device: str, **more: Any) -> Fitted:
    """Fitted on the CPU, then moved: the weights are the same."""
    found = jensen.fit(name, rows, plan=PLAN, seed=1, device="cpu", **SMALL.get(name, {}), **more)
    return copy.deepcopy(found).to(device)


def audited(name: str, rows: Any, device: str, **more: Any) -> list[tuple[str, bool | None, str]]:
    looked = jensen.rows(rows, context=more["context"]) if "context" in more else rows[:50]
    found = jensen.audit(fitted(name, rows, device, **more), looked)
    return [(one.name, one.holds, one.evidence) for one in found]


def bent(x: Tensor) -> Tensor:
    return -0.5 * (x[:, 0].square() + (x[:, 1] - x[:, 0].square()).square())


def density(device: str) -> Fitted:
    found = jensen.fit("realnvp", target=bent, dim=2, plan=PLAN, device="cpu", transforms=2, hidden=(8,))
    return found.to(device)


def drawn(found: Fitted) -> list[Tensor]:
    torch.manual_seed(0)
    rows = found.distribution().sample((4,))
    return [rows, found.distribution().log_prob(rows)]


def completed(found: Fitted) -> list[Any]:
    part = TABLE[:5].copy()
    part[:, 0] = np.nan
    full = found.complete(part, seed=1)
    return [full.rows, full.exact, full.ess, full.log_observed.values]


def refined(device: str) -> list[Any]:
    better = fitted("maf", TABLE, device).refine(TABLE, seed=0)
    return [better.sample(5, seed=1), better.score(TABLE[:5]).values]


def compared(device: str) -> list[Any]:
    models = {"given": fitted("made", TABLE, device), "independent": "independent"}
    found = jensen.compare(models, TABLE, plan=PLAN, device=device)
    return [[one.name, one.scores.values] for one in found.entries]


USES: dict[str, Callable[[str], Any]] = {
    "audit of levels": lambda device: audited("made", BITS, device),
    "audit at a context": lambda device: audited("made", BITS, device, context=LABELS),
    "audit of a density": lambda device: audited("maf", TABLE, device),
    "audit of a dequantised density": lambda device: audited("maf", GREY, device),
    "audit of latents": lambda device: audited("vae", BITS, device),
    "audit of a generator": lambda device: audited("gan", TABLE, device),
    "complete, by the order": lambda device: completed(fitted("made", TABLE, device)),
    "complete, by latents": lambda device: completed(fitted("vae", TABLE, device)),
    "surprise": lambda device: fitted("made", TABLE, device).surprise(TABLE[:5]).to_dict(),
    "distribution of numbers": lambda device: drawn(fitted("maf", TABLE, device)),
    "distribution of bits": lambda device: drawn(fitted("made", BITS, device)),
    "refine": refined,
    "log_z": lambda device: jensen.log_z(density(device), bent, n=500).to_dict(),
    "tightness": lambda device: jensen.tightness(fitted("vae", BITS, device), n=10, k=4, levels=8).to_dict(),
    "probe": lambda device: jensen.probe(
        fitted("encoder", GREY, device), jensen.rows(GREY, context=LABELS)
    ).to_dict(),
    "compare": compared,
    "divergence of samples": lambda device: jensen.divergence(
        fitted("made", TABLE, device).sample(300, seed=1), TABLE, critics=["quadratic"]
    ).to_dict(),
    "divergence in an encoder's features": lambda device: jensen.divergence(
        GREY[:150], GREY[150:], critics=["lens"], features=fitted("encoder", GREY, device)
    ).to_dict(),
    "scikit-learn's density": lambda device: (
        Density("maf", steps=20, device=device, hyper=SMALL["maf"], random_state=0)
        .fit(TABLE)
        .score_samples(TABLE[:9])
    ),
    "scikit-learn's embedding": lambda device: (
        Embedding("vae", steps=20, device=device, hyper=SMALL["vae"], random_state=0)
        .fit(TABLE)
        .transform(TABLE[:9])
    ),
    "scikit-learn's synthesizer": lambda device: (
        Synthesizer("made", steps=20, device=device, hyper=SMALL["made"], random_state=0)
        .fit(TABLE)
        .sample(9, random_state=1)
    ),
}
FAST = {"complete, by latents", "distribution of bits", "probe"}
TRAINED_THERE = {
    "compare",
    "scikit-learn's density",
    "scikit-learn's embedding",
    "scikit-learn's synthesizer",
}
"""Float32 sums of twenty steps, in another order: to 2e-4 of the largest number (`test_device`)."""


@pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning")  # twenty steps fit nothing well
@pytest.mark.parametrize(
    "use", [pytest.param(one, marks=[] if one in FAST else pytest.mark.slow) for one in USES]
)
def test_a_fitted_model_is_used_the_same_on_another_device(use: str) -> None:
    with sdpa_kernel(SDPBackend.MATH):
        here = USES[use]("cpu")
        with pretended():
            there = USES[use](DEVICE.type)
    pairs = list(zip(tree_leaves(here), tree_leaves(there), strict=True))
    assert pairs
    for a, b in pairs:
        if use in TRAINED_THERE and not isinstance(a, str):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-4 * float(np.abs(a).max()))
        else:
            np.testing.assert_array_equal(on_cpu(a), on_cpu(b), strict=True)


def on_cpu(x: Any) -> Any:
    return values(x).detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
