"""A step of each family at real size: its time, rows a second, memory, share of the card's peak; compiled, and as a graph."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo
from peaks import asked, quartiles, times, wait
from subjects import Subject, with_target
from torch import Tensor

RATE = 1e-4
SECONDS = 1.5
"""Of steps that are timed, about."""


class Step:
    """One step of the loop: every turn of the objective, with its optimiser; of a model that solves itself, its scores."""

    def __init__(self, subject: Subject, device: torch.device, precision: str, compile: bool = False) -> None:
        from jensen.checks.subject import some_rows
        from jensen.model import Can
        from jensen.objectives import objective_for
        from jensen.plan import Plan
        from jensen.player import Player

        self.device = device
        self.model = subject.build().to(device)
        self.x = some_rows(self.model, None, subject.space, subject.batch, seed=0)
        self.players: list[Any] = []
        if subject.objective is None and Can.SOLVE in self.model.can:
            self.model.eval()
            return
        self.model.train()
        objective = with_target(objective_for(self.model, subject.objective))
        plan = Plan(batch=subject.batch, rate=RATE, precision=precision, compile=compile)
        self.players = [Player(turn, plan) for turn in objective.turns(self.model)]

    def __call__(self) -> None:
        """Play it."""
        for player in self.players:
            for _ in range(player.turn.repeats):
                player.play(self.x, None, RATE)
        if not self.players:
            with torch.no_grad():
                self.model.log_prob(self.x)


def eager(subject: Subject, device: torch.device, peak: dict[str, float], precision: str) -> dict[str, Any]:
    """The record of a family: time with quartiles, rows a second, peak memory, and the nearer of two limits."""
    _fresh(device)
    step = Step(subject, device, precision)
    spent = _times(step, device)
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    low, middle, high = quartiles(spent)
    waits = _waits(step, device)
    needs = asked(step)
    wide = bool(step.players) and step.players[0].bf16
    compute = needs["flops"] / middle / peak["bf16" if wide else "float32"]
    traffic = needs["bytes"] / middle / peak["bandwidth"]
    return {
        "model": subject.label,
        "batch": subject.batch,
        "precision": "bf16" if wide else "float32",
        "parameters": sum(p.numel() for p in step.model.parameters()),
        "seconds": [low, middle, high],
        "rows_per_second": subject.batch / middle,
        "memory_bytes": memory,
        "waits": waits,
        **needs,
        "share_of_products": compute,
        "share_of_bandwidth": traffic,
        "share": max(compute, traffic),
        "nearer": "products" if compute >= traffic else "bandwidth",
    }


def compiled(subject: Subject, device: torch.device, precision: str) -> dict[str, Any]:
    """The same step through torch.compile, timed beside the plain one in one run, in turns."""
    torch._dynamo.reset()  # families share the code of a turn, of which it compiles eight versions at most
    _fresh(device)
    plain, fast = Step(subject, device, precision), Step(subject, device, precision, compile=True)
    began = time.perf_counter()
    fast()
    wait(device)
    cold = time.perf_counter() - began
    return {"model": subject.label, "first_step_seconds": cold, **_ratio(plain, fast, device)}


def graphed(subject: Subject, device: torch.device, precision: str) -> dict[str, Any]:
    """The same step recorded as a CUDA graph and replayed, timed beside the plain one. On a CPU the plain step stands in.

    A bound on what graphs can give, no way to train: the replayed rate and the averages of the clipping are those of
    the recorded step.
    """
    _fresh(device)
    plain, own = Step(subject, device, precision), Step(subject, device, precision)
    if device.type != "cuda":
        return {"model": subject.label, **_ratio(plain, own, device)}
    waits = _waits(own, device)
    if waits:  # a recording that breaks off leaves the device's generator unusable
        raise RuntimeError(f"no graph: a step waits for the device: {waits}")
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(4):
            own()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        own()
    return {"model": subject.label, **_ratio(plain, graph.replay, device)}


def feeding(subject: Subject, device: torch.device, rows: Any, model: str) -> dict[str, Any]:
    """Seconds to make a batch with fresh noise, beside the step that it feeds."""
    from jensen.codec import as_tensor, codec_for
    from jensen.data import rows as read
    from jensen.feed import Feed
    from jensen.models import model_class

    known = rows if hasattr(rows, "train") else read(rows)
    codec = codec_for(model_class(model).accepts, known.space, as_tensor(known.train[:]))
    source = Feed(known.train, codec, subject.batch, 0, device, torch.float32).batches()
    return {
        "what": subject.note,
        "batch": subject.batch,
        "seconds": quartiles(_times(lambda: next(source), device)),
    }


def _waits(step: Step, device: torch.device) -> str:
    """Why a step makes the program wait for the device; empty where it does not. On a CPU nobody waits."""
    if device.type != "cuda":
        return ""
    step()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    except RuntimeError as error:
        return str(error).splitlines()[0][:200]
    finally:
        torch.cuda.set_sync_debug_mode(before)
        for player in step.players:
            for parameter in player.parameters:
                parameter.grad = None
    return ""


def _ratio(plain: Callable[[], Any], other: Callable[[], Any], device: torch.device) -> dict[str, Any]:
    """How many times faster the other is: the median of the ratios of neighbouring runs, and their quartiles."""
    first = times(plain, device, 3)
    count = max(3, min(40, int(SECONDS / 8 / max(sum(first) / len(first), 1e-6))))
    ratios, slow, fast = [], [], []
    for _ in range(5):
        a, b = (sorted(times(work, device, count, warm=1))[count // 2] for work in (plain, other))
        ratios.append(a / b)
        slow.append(a)
        fast.append(b)
    return {"ratio": quartiles(ratios), "plain_seconds": quartiles(slow), "seconds": quartiles(fast)}


def _times(work: Callable[[], Any], device: torch.device) -> list[float]:
    first = times(work, device, 3)
    return times(work, device, max(5, min(200, int(SECONDS / max(min(first), 1e-6)))), warm=0)


def _fresh(device: torch.device) -> None:
    gc.collect()
    torch.manual_seed(0)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def images(smoke: bool) -> Tensor | Any:
    """Grey images (n, 1, 28, 28), a tenth as many for `smoke`."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (600 if smoke else 6000, 1, 28, 28)).astype(np.uint8)
