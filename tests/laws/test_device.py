"""What runs on the CPU runs on another device, with the same numbers: abilities, objectives, fitted models, resuming; checks in
`test_device_checks`.

The other device is a pretended one (`pretend_device`): it tells devices apart as a GPU does and computes as the CPU does, so
that numbers differ by the order of sums alone. On a real GPU `bench/gpu/all.py` checks the same.
"""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Elsewhere, pretended, values
from small_models import FIRST, HYPER, PAIRS, in_float64
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves

import jensen
from jensen.model import Can, Model
from jensen.objectives import OBJECTIVES
from jensen.plan import Plan

CPU = torch.device("cpu")
ROUNDING = 1e-10
"""Of float64, relative to the largest number: sums of at most 1e4 terms of its size, 2.2e-16 each, a hundredfold deep."""
SINGLE = 2e-4
"""Of float32, likewise, after eight steps: 1e3 terms of 6e-8, to the power of what training makes of it."""


def alike(one: Any, other: Any, tolerance: float) -> bool:
    """Whether nested results hold the same numbers, wherever they are."""
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(_close(a, b, tolerance) for a, b in pairs)


def _close(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, str) or a is None:
        return bool(a == b)
    a, b = (torch.as_tensor(values(x)).detach().double() for x in (a, b))
    largest = float(a[a.isfinite()].abs().max()) if a.isfinite().any() else 1.0
    return a.shape == b.shape and torch.allclose(a, b, 0.0, tolerance * max(largest, 1e-30), equal_nan=True)


def abilities_of(model: Model, x: Tensor, places: tuple[torch.device, ...]) -> dict[str, Any]:
    """Everything that a model says of rows x, with noise of generators at the `places`, and with torch's own."""
    found: dict[str, Any] = {}
    for number, place in enumerate(places):
        for name, call in calls(model, x).items():
            found[f"{name} {number}"] = call(torch.Generator(place).manual_seed(3))
    torch.manual_seed(5)
    for name, call in calls(model, x).items():
        found[name] = call(None)
    for ability, name in ((Can.LOG_PROB, "log_prob"), (Can.EMBED, "embed")):
        if ability in model.can:
            found[name] = getattr(model, name)(x)
    if Can.SOLVE in model.can:
        solved = copy.deepcopy(model)
        solved.solve(x)
        found["solve"] = list(solved.state_dict().values())
    return found


def calls(model: Model, x: Tensor) -> dict[str, Callable[[torch.Generator | None], Any]]:
    """The abilities with noise."""
    known: dict[str, tuple[Can, Callable[[torch.Generator | None], Any]]] = {
        "sample": (Can.SAMPLE, lambda noise: model.sample(4, None, noise)),
        "both": (Can.SAMPLE_WITH_LOG_PROB, lambda noise: model.sample_with_log_prob(4, None, noise)),
        "lower": (Can.LOG_PROB_LOWER, lambda noise: model.log_prob_lower(x, None, 3, noise)),
        "weights": (Can.LOG_WEIGHTS, lambda noise: model.log_weights(x, None, 3, noise)),
    }
    return {name: call for name, (ability, call) in known.items() if ability in model.can}


PLACES = [
    pytest.param(
        *pair, marks=[] if FIRST[pair[0]] == pair[1] or pair == ("vae", "gaps") else pytest.mark.slow
    )
    for pair in PAIRS
]


@pytest.mark.parametrize(("name", "where"), PLACES)
def test_a_model_says_the_same_on_another_device(name: str, where: str) -> None:
    model, x = in_float64(name, where)
    with sdpa_kernel(SDPBackend.MATH):
        here = abilities_of(model, x, (CPU, CPU))
        with pretended() as device:
            there = abilities_of(model.to(device), x.to(device), (CPU, device))
    assert all(isinstance(one, Elsewhere) for one in tree_leaves(there))
    for one in here:
        assert alike(here[one], there[one], ROUNDING), one


noise = np.random.default_rng(0)
ROWS: dict[str, Any] = {
    "table": noise.normal(size=(200, 3)),
    "bits": noise.integers(0, 2, (200, 1, 4, 4)),
    "grey": noise.integers(0, 17, (200, 1, 4, 4)),
}
LABELS = noise.integers(0, 3, 200)
FITS: list[tuple[str, str, dict[str, Any]]] = [
    ("vae", "bits", {"objective": "elbo:free_bits=0.1"}),
    ("vae", "bits", {"objective": "dreg:k=3", "posterior": "full"}),
    ("made", "table", {"objective": "likelihood", "optimiser": "lars"}),
    ("made", "bits", {"context": LABELS, "optimiser": "sgd"}),
    ("maf", "grey", {}),
    ("mixture", "table", {}),
    ("independent", "grey", {}),
    ("encoder", "grey", {"objective": "contrastive:chunk=40"}),
    ("gan", "table", {"objective": "adversarial:preset=table"}),
]
MORE: list[tuple[str, str, dict[str, Any]]] = [
    *(("vae", "bits", {"objective": one}) for one in ("bound", "stl", "iwae:k=3", "miwae", "ciwae", "renyi")),
    ("vae", "grey", {"prior": "vamp"}),
    ("vae", "grey", {"posterior": "flow", "prior": "flow"}),
    ("vae", "grey", {"latents": [3, 2], "net": "residual"}),
    ("pixelcnn", "grey", {}),
    ("gated-pixelcnn", "bits", {"context": LABELS}),
    ("transformer", "bits", {}),
    ("spline-flow", "table", {}),
    ("glow", "grey", {}),
    ("ppca", "table", {}),
    ("gan", "grey", {"objective": "adversarial:augment=true", "net": "conv"}),
]


def fitted_on(device: str, name: str, rows: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The whole way of a user: fit, sample, score, embed."""
    settings = {**HYPER.get(name, {}), **settings}
    plan = Plan(
        steps=8, batch=32, checks=2, optimiser=settings.pop("optimiser", "adam"), rate=1e-3, patience=0
    )
    fitted = jensen.fit(name, rows, plan=plan, seed=1, device=device, **settings)
    context = settings.get("context")
    found: dict[str, Any] = {
        "history": [[row["loss"], row["valid"]] for row in fitted.history],
        "weights": list(fitted.model.state_dict().values()),
    }
    if Can.SAMPLE in fitted.can:
        found["sample"] = fitted.sample(5, seed=2, context=None if context is None else 1)
    if fitted.can & (Can.LOG_PROB | Can.LOG_PROB_LOWER):
        some = rows.test if isinstance(rows, jensen.Rows) else rows[:20]
        found["score"] = fitted.score(some, k=64, context=None if context is None else context[:20]).values
    if Can.EMBED in fitted.can and context is None:
        found["embed"] = fitted.embed(rows[:20])
    return found


@pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning")  # eight steps fit nothing well
@pytest.mark.parametrize(
    ("name", "rows", "settings"), [*FITS, *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE)]
)
def test_a_fit_on_another_device_ends_with_the_same_model(
    name: str, rows: str, settings: dict[str, Any]
) -> None:
    with sdpa_kernel(SDPBackend.MATH):
        here = fitted_on("cpu", name, ROWS[rows], settings)
        with pretended() as device:
            there = fitted_on(device.type, name, ROWS[rows], settings)
    for one in here:
        assert alike(here[one], there[one], SINGLE), one


def test_every_objective_is_fitted_on_another_device() -> None:
    fitted = {settings.get("objective", "").partition(":")[0] for _, _, settings in FITS + MORE}
    assert fitted >= set(OBJECTIVES) - {"reverse-kl"}  # of a density, below


def test_bits_drawn_afresh_are_the_same_on_another_device() -> None:
    grey = jensen.rows(ROWS["grey"], binarise="dynamic")
    here = fitted_on("cpu", "made", grey, {})
    with pretended() as device:
        there = fitted_on(device.type, "made", grey, {})
    for one in here:
        assert alike(here[one], there[one], SINGLE), one


@pytest.mark.slow
def test_a_density_is_fitted_on_another_device() -> None:
    def bent(x: Tensor) -> Tensor:
        return -0.5 * (x[:, 0].square() + (x[:, 1] - x[:, 0].square()).square())

    def weights(device: str) -> list[Any]:
        plan = Plan(steps=6, batch=32, checks=1, patience=0)
        fitted = jensen.fit(
            "realnvp", target=bent, dim=2, plan=plan, device=device, transforms=2, hidden=(8,)
        )
        return [list(fitted.model.state_dict().values()), fitted.record["log_z"]["value"]]

    here = weights("cpu")
    with pretended() as device:
        there = weights(device.type)
    assert alike(here, there, SINGLE)


def test_a_model_fitted_elsewhere_is_saved_and_scores_the_same_here(tmp_path: Path) -> None:
    with pretended() as device:
        fitted = jensen.fit("maf", ROWS["table"], steps=4, device=device.type, **HYPER["maf"])
        scores = fitted.score(ROWS["table"][:20]).values
        fitted.save(tmp_path / "run")
    assert alike(jensen.load(tmp_path / "run").score(ROWS["table"][:20]).values, scores, SINGLE)


def test_an_interrupted_fit_resumes_on_another_device_bit_for_bit(tmp_path: Path) -> None:
    def fit(**more: Any) -> list[Tensor]:
        plan = Plan(steps=24, batch=32, checks=2, patience=0)
        fitted = jensen.fit(
            "made", ROWS["table"], plan=plan, device=DEVICE.type, hidden=(8,), dropout=0.2, **more
        )
        return [values(one) for one in fitted.model.state_dict().values()]

    def press(moment: Any) -> None:
        if moment.step == 20:
            signal.raise_signal(signal.SIGINT)

    with pretended():
        whole = fit()
        with pytest.raises(KeyboardInterrupt):
            fit(out=tmp_path / "run", watch=press)
        again = fit(out=tmp_path / "run", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))


FAULTS: dict[str, Callable[[Tensor], Any]] = {
    "two devices": lambda x: x + torch.ones(3),
    "a row of another device beside": lambda x: torch.cat([x, torch.ones(1, 3)]),
    "a number of another device in a stack": lambda x: torch.stack([x[0, 0], torch.tensor(1.0)]),
    "a table of the CPU indexed from there": lambda x: torch.ones(9)[x[0].long()],
    "a generator of the CPU": lambda x: torch.rand(3, generator=torch.Generator(), device=x.device),
    "a generator of there for the CPU": lambda x: torch.rand(3, generator=torch.Generator(x.device)),
    "noise into what lies there": lambda x: x.clone().normal_(generator=torch.Generator()),
    "a view of NumPy": lambda x: x.numpy(),
    "an array": lambda x: np.asarray(x),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_pretended_device_refuses_what_a_gpu_refuses(fault: str) -> None:
    with pretended() as device:
        x = torch.arange(6.0).reshape(2, 3).to(device)
        with pytest.raises((RuntimeError, TypeError)):
            FAULTS[fault](x)


def test_the_pretended_device_allows_what_a_gpu_allows() -> None:
    with pretended() as device:
        x = torch.arange(6.0).reshape(2, 3).to(device)
        assert values(x[torch.tensor([1])]).tolist() == [[3, 4, 5]]
        assert values(x + torch.tensor(1.0)).tolist() == [[1, 2, 3], [4, 5, 6]]
        assert x.cpu().numpy().sum() == float(x.sum()) == 15
        assert torch.rand(3, generator=torch.Generator(device), device=device).device == device
