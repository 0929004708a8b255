"""Whole ways of a user on a device, against the same on the CPU: batches, fits, saving and loading, resuming, audits."""

from __future__ import annotations

import copy
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from equality import AMPLIFIED, ROWS, Found, difference, terms
from same_noise import SameNoise
from subjects import SMALL, Subject

STEPS = 20
"""Of a fit: the loop looks at the loss every 20."""

FITS = ("made", "spline-flow", "vae", "pixelcnn", "gan", "encoder", "realnvp", "transformer")


def data(name: str) -> Any:
    """Rows that suit a model: a table of 5 columns, or 6x6 images of 17 levels."""
    import numpy as np

    random = np.random.default_rng(0)
    if name in ("spline-flow", "realnvp"):
        return random.normal(size=(300, 5)) @ random.normal(size=(5, 5))
    return np.minimum(random.poisson(4, (300, 1, 6, 6)), 16)


def batches(device: torch.device) -> Iterator[Found]:
    """The batches of the loop, through every codec: bit for bit those of the CPU, noise and shuffles included."""
    import numpy as np

    from jensen.codec import as_tensor, codec_for
    from jensen.data import rows
    from jensen.feed import Feed
    from jensen.models import model_class

    random = np.random.default_rng(0)
    table = random.normal(size=(200, 3))
    mixed = np.column_stack([table[:, 0], random.integers(0, 3, 200)])
    grey = random.integers(0, 17, (200, 1, 6, 6))
    for what, given, name in (
        ("standardised columns", table, "maf"),
        ("levels", grey, "made"),
        ("levels with noise", grey, "maf"),
        ("mixed columns with noise", mixed, "spline-flow"),
        ("mixed columns", mixed, "vae"),
        ("fresh bits", rows(grey, binarise="dynamic"), "made"),
    ):
        read = given if hasattr(given, "train") else rows(given)
        codec = codec_for(model_class(name).accepts, read.space, as_tensor(read.train[:]))
        feeds = [
            Feed(read.train, codec, 32, 0, one, torch.float32).batches()
            for one in (torch.device("cpu"), device)
        ]
        pairs = [(next(feeds[0])[0], next(feeds[1])[0]) for _ in range(8)]  # 8 of 32: into the second epoch
        same = all(torch.equal(a, b.cpu()) for a, b in pairs) and pairs[0][1].device.type == device.type
        yield Found(f"batches: {what}", same, difference(*zip(*pairs))[0], 0.0)


def fits(device: torch.device, names: tuple[str, ...] = FITS) -> Iterator[Found]:
    """The loss of the first steps, and the scores of a model that was saved there and loaded here."""
    for name in names:
        curves = {
            (where.type, dtype): _curve(name, where, dtype)
            for dtype in (torch.float64, torch.float32)
            for where in (torch.device("cpu"), device)
            if not (name == "encoder" and dtype == torch.float64)  # views of images are float32
        }
        for dtype in (torch.float64, torch.float32):
            if ("cpu", dtype) not in curves:
                continue
            (here, count, _), (there, _, fitted) = curves["cpu", dtype], curves[device.type, dtype]
            exact = curves.get(("cpu", torch.float64), curves["cpu", dtype])[0]
            apart, scale = abs(here - there), max(1.0, abs(here))
            # the first steps of Adam follow the sign of gradients that rounding decides: what float32 does to the
            # CPU's own curve is the measure
            tolerance = 1e-6 * scale if dtype == torch.float64 else STEPS * count * 1.2e-7 * scale
            if dtype == torch.float32:
                tolerance = max(tolerance, AMPLIFIED * abs(here - exact))
            label = "float64" if dtype == torch.float64 else "float32"
            yield Found(
                f"fit {name}, {label}: mean loss of {STEPS} steps", apart <= tolerance, apart, tolerance
            )
        yield from _loaded(name, fitted, count)


def _curve(name: str, device: torch.device, dtype: torch.dtype) -> tuple[float, int, Any]:
    import jensen
    from jensen.models import model_class

    rows, hyper = data(name), SMALL.get(name, {})
    plan = jensen.Plan(steps=STEPS, batch=ROWS, checks=1, patience=0, precision="float32")
    space = jensen.fit(name, rows, steps=1, device="cpu", **hyper).codec.model_space
    torch.manual_seed(0)
    model = model_class(name)(space, **hyper).to(dtype)
    with SameNoise():
        fitted = jensen.fit(model, rows, plan=plan, seed=1, device=str(device))
    return fitted.history[-1]["loss"], terms(fitted.model, space.dims), fitted


def _loaded(name: str, fitted: Any, count: int) -> Iterator[Found]:
    import jensen
    from jensen.model import Can

    rows = data(name)[:ROWS]
    with tempfile.TemporaryDirectory() as folder:
        again = jensen.load(fitted.save(Path(folder) / "run"))
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, True
    # torch's default: scores and features have to be in float32 nevertheless
    if fitted.can & (Can.LOG_PROB | Can.LOG_PROB_LOWER):
        what, a, b = "scores", fitted.score(rows).values, again.score(rows).values
    elif Can.EMBED in fitted.can:
        what, a, b = "features", fitted.embed(rows), again.embed(rows)
    else:
        what, a, b = "samples", fitted.sample(ROWS, seed=0), again.sample(ROWS, seed=0)
    torch.backends.cudnn.allow_tf32 = before
    worst, scale = difference(list(b), list(a))
    if what == "samples":
        worst, scale = float((a != b).reshape(len(a), -1).any(1).sum()), 0.0
    tolerance = 1.0 if what == "samples" else count * 1.2e-7 * scale
    yield Found(f"fit {name}: {what} of the run loaded on the CPU", worst <= tolerance, worst, tolerance)


class _Press:
    """A watcher that presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, moment: Any) -> None:
        if moment.step == self.step:
            signal.raise_signal(signal.SIGINT)


def resume(device: torch.device, names: tuple[str, ...] = ("made", "vae", "gan")) -> Iterator[Found]:
    """A run that is interrupted and resumed, against two that are not: as alike as these are to each other."""
    import jensen

    for name in names:
        plan = jensen.Plan(steps=60, batch=ROWS, checks=3, patience=0, precision="auto")

        def fit(name: str = name, plan: Any = plan, **more: Any) -> Any:
            fitted = jensen.fit(name, data(name), plan=plan, device=str(device), **SMALL[name], **more)
            return copy.deepcopy(list(fitted.model.state_dict().values()))

        whole, again = fit(), fit()
        with tempfile.TemporaryDirectory() as folder:
            try:
                fit(out=Path(folder) / "run", watch=_Press(20))
                yield Found(f"resume {name}", False, message="the run was not interrupted")
                continue
            except KeyboardInterrupt:
                resumed = fit(out=Path(folder) / "run", resume=True)
        between, _ = difference(whole, again)
        worst, _ = difference(whole, resumed)
        kind = "bit for bit" if between == 0 else "as alike as two runs"
        yield Found(f"resume {name}: weights, {kind}", worst <= 4 * between, worst, 4 * between)


def audits(subject: Subject, device: torch.device) -> Iterator[Found]:
    """The checks of a model that lies there: none fails that holds on the CPU."""
    import jensen

    here, there = (
        {one.name: one for one in jensen.audit(copy.deepcopy(subject.build()).eval().to(where))}
        for where in (torch.device("cpu"), device)
    )
    for name, verdict in there.items():
        same = verdict.holds == here[name].holds
        said = (
            "" if same else f"{here[name].holds} on the CPU, {verdict.holds} there: {verdict.evidence}"[:300]
        )
        yield Found(f"audit: {name}", same, message=said)
