"""Whether a device computes what the CPU computes: the same weights, rows and noise in float64 and in float32.

Tolerances are derived, not chosen. Float64: 1e-10 of the largest number compared. Float32: every term of a sum is rounded to
6e-8 of its size, so a result may differ by (terms x 6e-8) of the largest number, terms being the sites and the inputs of
all layers; where the model amplifies rounding, by 16 times what the CPU's own float32 differs from its float64. TF32
is off throughout. Samples of levels are equal but for at most one row in 32, in float32, whose uniform number fell on a border.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from same_noise import repeated
from subjects import Subject, with_target
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

ROWS = 32
AMPLIFIED = 16
RATE = 1e-3


@dataclass(frozen=True)
class Found:
    """One comparison: the largest difference and what it may be; `message` where it broke off instead."""

    what: str
    holds: bool
    difference: float | None = None
    tolerance: float | None = None
    message: str = ""


def tf32_off() -> None:
    """Products and convolutions in float32 proper, for the whole process."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def prepared(subject: Subject, dtype: torch.dtype) -> tuple[Any, Tensor]:
    """The model on the CPU with strong weights, and rows that it takes."""
    from jensen.checks.subject import some_rows

    model = copy.deepcopy(_strong(subject.model, subject.label, subject)).to(dtype)
    return model, some_rows(model, None, subject.space, ROWS, seed=1)


_KNOWN: dict[tuple[str, str], Any] = {}
"""Strong weights take longer to make than to compare."""


def _strong(model: str, label: str, subject: Subject) -> Any:
    from jensen.checks.twin import strengthen

    if (model, label) not in _KNOWN:
        built = subject.build()
        strengthen(built, seed=1)
        _KNOWN[model, label] = built
    return _KNOWN[model, label]


def types(subject: Subject) -> tuple[torch.dtype, ...]:
    """Float64 and float32; of a model that is kept in float64 whatever torch's default is, that alone."""
    from jensen.scoring import place

    built = place(subject.build())[1]
    return (torch.float64,) if built == torch.float64 else (torch.float64, torch.float32)


def terms(module: nn.Module, dims: int) -> int:
    """How many terms the sums of a result have at the most: sites, and the inputs of every layer."""
    return dims + sum(p[0].numel() for p in module.parameters() if p.ndim > 1 and len(p))


def difference(a: Any, b: Any) -> tuple[float, float]:
    """The largest difference between nested results, and their largest number; infinite where they do not match."""
    worst, scale = 0.0, 1.0
    for one, other in zip(tree_leaves(a), tree_leaves(b), strict=True):
        x, y = (torch.as_tensor(side).detach().cpu().double() for side in (one, other))
        if x.shape != y.shape or not torch.equal(x.isfinite(), y.isfinite()):
            return float("inf"), scale
        good = x.isfinite()
        if good.any():
            worst = max(worst, float((x - y)[good].abs().max()))
            scale = max(scale, float(x[good].abs().max()))
    return worst, scale


def judged(what: str, dtype: torch.dtype, here: Any, there: Any, exact: Any, count: int) -> Found:
    """The comparison of a result on the CPU and on the device; `exact`: on the CPU in float64."""
    levels = all(not torch.as_tensor(one).is_floating_point() for one in tree_leaves(here))
    if levels:
        a, b = (torch.as_tensor(tree_leaves(side)[0]).cpu() for side in (here, there))
        rows = float((a != b).flatten(1).any(1).sum()) if a.shape == b.shape else float("inf")
        allowed = 0.0 if dtype == torch.float64 else max(1.0, len(a) / 32)
        return Found(f"{what} (rows that differ)", rows <= allowed, rows, allowed)
    worst, scale = difference(here, there)
    if dtype == torch.float64:
        tolerance = 1e-10 * scale
    else:
        own, _ = difference(here, exact)
        tolerance = max(count * torch.finfo(dtype).eps * scale, AMPLIFIED * own)
    return Found(what, worst <= tolerance, worst, tolerance)


def abilities(subject: Subject, device: torch.device) -> Iterator[Found]:
    """Every ability of a model in float64 and float32, with a generator of the CPU and with torch's own."""
    exact = dict(_answers(subject, torch.float64, torch.device("cpu")))
    for dtype in types(subject):
        own = exact if dtype == torch.float64 else dict(_answers(subject, dtype, torch.device("cpu")))
        count = terms(prepared(subject, dtype)[0], subject.space.dims)
        for name, there in _answers(subject, dtype, device):
            what = f"{_short(dtype)}: {name}"
            if isinstance(there, Exception) or isinstance(own[name], Exception):
                said = there if isinstance(there, Exception) else own[name]
                same = type(there) is type(own[name])
                yield Found(what, same, message=f"{type(said).__name__}: {said}"[:300])
            else:
                yield judged(what, dtype, own[name], there, exact[name], count)


def _answers(subject: Subject, dtype: torch.dtype, device: torch.device) -> Iterator[tuple[str, Any]]:
    model, x = prepared(subject, dtype)
    model, x = model.eval().to(device), x.to(device)
    for name, call in _calls(model, x).items():
        try:
            with torch.no_grad():
                yield name, repeated(5, call)
        except Exception as error:
            yield name, error


def _calls(model: Any, x: Tensor) -> dict[str, Callable[[], Any]]:
    from jensen.model import Can

    def noise() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    def solved() -> Any:
        other = copy.deepcopy(model)
        other.solve(x)
        return other.log_prob(x) if Can.LOG_PROB in model.can else list(other.state_dict().values())

    n = len(x)
    known: list[tuple[Can, str, Callable[[], Any]]] = [
        (Can.LOG_PROB, "log_prob", lambda: model.log_prob(x)),
        (Can.SAMPLE, "sample", lambda: model.sample(n, None, noise())),
        (Can.SAMPLE, "sample, torch's own generator", lambda: model.sample(n)),
        (
            Can.SAMPLE_WITH_LOG_PROB,
            "sample_with_log_prob",
            lambda: model.sample_with_log_prob(n, None, noise()),
        ),
        (Can.LOG_PROB_LOWER, "log_prob_lower", lambda: model.log_prob_lower(x, None, 5, noise())),
        (Can.LOG_WEIGHTS, "log_weights", lambda: model.log_weights(x, None, 5, noise())),
        (Can.EMBED, "embed", lambda: model.embed(x)),
        (Can.SOLVE, "solve", solved),
    ]
    return {name: call for can, name, call in known if can in model.can}


def turns(subject: Subject, objective: str, device: torch.device) -> Iterator[Found]:
    """Loss and gradients of every turn, and the weights after one step of the optimiser."""
    dtypes = (torch.float64, torch.float32)
    try:
        exact = _played(subject, objective, torch.float64, torch.device("cpu"))
    except RuntimeError as error:  # views of images are float32: there is no float64 to compare with
        if "dtype" not in str(error) and "type (" not in str(error):
            raise
        dtypes, exact = (torch.float32,), _played(subject, objective, torch.float32, torch.device("cpu"))
    for dtype in dtypes:
        here = exact if dtype == dtypes[0] else _played(subject, objective, dtype, torch.device("cpu"))
        there = _played(subject, objective, dtype, device)
        count = here["terms"] * (ROWS if dtype == torch.float32 else 1)
        for name in here:
            if name == "terms":
                continue
            what = f"{_short(dtype)}: {name}"
            if name.endswith("step"):
                yield _judged_step(what, dtype, here[name], there[name], exact[name], count)
            else:
                yield judged(what, dtype, here[name], there[name], exact[name], count)


def _played(subject: Subject, objective: str, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Losses, gradients and steps of all turns, on the device; the weights of the turns are drawn on the CPU."""
    from jensen.objectives import objective_for
    from jensen.plan import Plan
    from jensen.player import Player

    model, x = prepared(subject, dtype)
    torch.manual_seed(2)
    moves = nn.ModuleList(with_target(objective_for(model, objective)).turns(model)).to(dtype)
    moves.to(device).train()
    x = x.to(device)
    found: dict[str, Any] = {"terms": terms(moves, subject.space.dims)}
    plan = Plan(steps=1, batch=ROWS, rate=RATE, precision="float32")
    for turn in moves:
        assert isinstance(turn, nn.Module)
        name = str(turn.name)
        loss = repeated(7, turn, x, None)
        repeated(8, loss.backward)
        moved = list(turn.moves)
        found[f"{name} loss"] = loss.detach()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in moved]
        found[f"{name} gradients"] = gradients
        before = [p.detach().clone() for p in moved]
        for p in turn.parameters():
            p.grad = None
        player = Player(turn, plan)  # type: ignore[arg-type]
        repeated(7, player.play, x, None, RATE)
        found[f"{name} step"] = (gradients, [p.detach() - b for p, b in zip(moved, before)])
    return found


def _judged_step(what: str, dtype: torch.dtype, here: Any, there: Any, exact: Any, count: int) -> Found:
    """The first step of Adam is the rate times the sign of the gradient, smoothed below 1e-8.

    So it agrees to 1e-3 of the rate where the gradient is a thousand times its own uncertainty or more, and anywhere
    to twice the rate; in float64 to 1e-3 of the rate wherever the gradient is not lost in rounding.
    """
    unsure = judged(what, dtype, here[0], there[0], exact[0], count).tolerance or 0.0
    worst = 0.0
    for gradient, one, other in zip(here[0], here[1], there[1], strict=True):
        apart = (one.cpu().double() - other.cpu().double()).abs()
        sure = gradient.cpu().double().abs() >= 1e3 * unsure
        if sure.any():
            worst = max(worst, float(apart[sure].max()))
        if bool((apart > 2.01 * RATE).any()):
            worst = float("inf")
    # a weight of size 1 is itself rounded: its difference to the weight before carries that
    rounding = 8 * torch.finfo(dtype).eps
    return Found(what, worst <= 2e-3 * RATE + rounding, worst, 2e-3 * RATE + rounding)


def _short(dtype: torch.dtype) -> str:
    return "float64" if dtype == torch.float64 else "float32"
