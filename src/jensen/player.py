"""One turn's optimiser: backward, clip, skip what is not finite, step."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from jensen.engine import Engine
from jensen.errors import OutOfMemory, UsageError, out_of_memory
from jensen.functional.share import holding
from jensen.objective import Turn
from jensen.optimiser import Adam, Momentum
from jensen.parts import local, put
from jensen.plan import Plan


class Player:
    """Plays one Turn: the plan's optimiser on its `moves`, gradients clipped, steps with an infinite gradient left out.

    All bookkeeping stays on the device: `loss` and `skipped` are running sums, `low` the lowest loss, read when somebody
    looks.
    """

    def __init__(self, turn: Turn, plan: Plan, engine: Engine | None = None) -> None:
        self.turn = turn
        self.parameters = list(turn.moves)
        if not self.parameters:
            raise UsageError(
                f"the turn {turn.name!r} has nothing to move", "its moves are empty", "unfreeze parameters"
            )
        device = self.parameters[0].device
        self.engine = engine or Engine(device)
        self.device = device.type
        self.bf16 = plan.precision == "bf16" or (plan.precision == "auto" and _fast_bf16(device))
        self.forward = self.engine.wrap(turn, self.parameters, torch.compile(turn) if plan.compile else turn)
        self.parameters = list(turn.moves)  # an engine may have put others in their place
        self.local = [local(p) for p in self.parameters]
        self.cut = any(a is not b for a, b in zip(self.local, self.parameters))
        self.clip = plan.clip
        self.optimiser: Adam | Momentum = (
            Adam(self.parameters, plan.decay, turn.betas)
            if plan.optimiser == "adam"
            else Momentum(self.parameters, plan.decay, lars=plan.optimiser == "lars")
        )
        self.one = torch.ones((), device=device)
        self.infinity = torch.full((), math.inf, device=device)
        self.bad = torch.zeros((), device=device)
        self.loss = torch.zeros((), device=device)
        self.low = self.infinity.clone()
        self.skipped = torch.zeros((), device=device)
        self.length = torch.zeros((), device=device)
        self.checked = False
        self.pieces = plan.accumulate
        if self.pieces > 1 and not turn.by_rows:
            raise UsageError(
                f"the loss of the turn {turn.name!r} is no mean over rows: a batch cannot go through in pieces",
                f"got accumulate={self.pieces}",
                "leave accumulate out, and lower batch where memory is short",
            )

    def play(self, x: Tensor, c: Tensor | None, rate: float) -> None:
        """One move on a batch: in pieces whose gradients add up to the batch's, once it was too large for the memory."""
        while True:
            try:
                loss = self._gradients(x, c)
                break
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                alone = self.engine.processes == 1  # others would wait for one that begins anew
                if not (self.turn.by_rows and alone) or self.pieces >= len(x):
                    raise self._too_large(len(x), error) from error
            for (
                parameter
            ) in self.parameters:  # after the handler, which holds on to the tensors of the failed pass
                parameter.grad = None
            self.pieces *= 2
            if self.device == "cuda":
                torch.cuda.empty_cache()
        if not self.checked:
            self._check_moves()
        self._clip_and_step(rate)
        loss = self.engine.mean(loss)
        self.loss += loss
        torch.fmin(self.low, loss.to(self.low.dtype), out=self.low)

    def _too_large(self, rows: int, error: Exception) -> OutOfMemory:
        """What is said of a batch that cannot go through, and why not in pieces."""
        first = (str(error).splitlines() or [type(error).__name__])[0][:200]
        if self.turn.by_rows and self.engine.processes > 1:
            return OutOfMemory(
                "a share of a batch does not fit into the memory of its device",
                f"{rows} rows a process, {self.device}: {first}",
                f"pass accumulate={2 * self.pieces}: each goes through in that many pieces",
            )
        if self.turn.by_rows:
            return OutOfMemory(
                "one row alone does not fit into the memory",
                f"{self.device}: {first}",
                "choose a smaller model",
            )
        return OutOfMemory(
            f"a batch does not fit into the memory, and the loss of the turn {self.turn.name!r} is no mean over rows that "
            "could go through in pieces",
            f"batch={rows}, {self.device}: {first}",
            f"pass batch={max(1, rows // 2)}, or choose a smaller model",
        )

    def _gradients(self, x: Tensor, c: Tensor | None) -> Tensor:
        """The loss of a batch, its gradients added to those of the parameters: the mean over rows, piece by piece."""
        pieces = min(self.pieces, len(x))
        share = self.engine.share(len(x), pieces)
        if share is None:
            loss = self._loss(x, c)
            loss.backward()
            return loss.detach()
        begun = share.generator.get_state() if pieces > 1 and share.generator is not None else None
        total = torch.zeros((), device=x.device)
        parts = [None] * pieces if c is None else c.tensor_split(pieces)
        for i, (part, given) in enumerate(zip(x.tensor_split(pieces), parts, strict=True)):
            if begun is not None and share.generator is not None:
                share.generator.set_state(
                    begun
                )  # every piece draws what the whole batch draws, and takes its rows
            with holding(share.part(i, pieces)), self.engine.passing(self.forward, i == pieces - 1):
                loss = self._loss(part, given) * (len(part) / len(x))
                loss.backward()
            total = total + loss.detach()
        return total

    def _loss(self, x: Tensor, c: Tensor | None) -> Tensor:
        if not self.bf16:
            return cast(Tensor, self.forward(x, c))
        with torch.autocast(self.device, torch.bfloat16):
            return cast(Tensor, self.forward(x, c))

    @torch.no_grad()
    def _clip_and_step(self, rate: float) -> None:
        # a parameter that this batch did not reach has no gradient and stays as it is
        moved = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        parameters: list[Tensor] = [self.local[i] for i in moved]
        gradients = [cast(Tensor, self.parameters[i].grad) for i in moved]
        if self.cut:
            gradients = [local(gradient) for gradient in gradients]
        length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        length = self.engine.length(length)
        good = length < self.infinity  # false for nan as well
        torch.logical_not(good, out=self.bad)
        average = torch.where(self.length > 0, self.length, length)  # it starts at the first length
        longest = average * self.clip
        scale = torch.fmax(length / longest, self.one)  # fmax passes over the nan of 0 / 0
        lengths = average.lerp(torch.fmin(length, longest), 0.01)
        self.length = torch.where(good, lengths, self.length)
        self.optimiser.step(moved, parameters, gradients, rate * self.turn.pace, scale, self.bad)
        for i in moved:
            self.parameters[i].grad = None
        self.skipped += self.bad

    def _check_moves(self) -> None:
        """After the first backward: a gradient outside `moves` would be lost silently, so it is an error."""
        mine = {id(p) for p in self.parameters}
        stray = [n for n, p in self.turn.named_parameters() if p.grad is not None and id(p) not in mine]
        if stray:
            raise UsageError(
                f"the turn {self.turn.name!r} sends gradients to parameters it does not move",
                f"got {', '.join(stray[:3])}",
                "add them to moves, or detach them in the forward pass",
            )
        self.checked = True

    def read(self) -> tuple[float, float, int]:
        """(sum of the losses, lowest loss, skipped steps) since the last reading: the one place that waits for the device."""
        loss, low, skipped = float(self.loss), float(self.low), int(self.skipped)
        self.loss.zero_()
        self.low.fill_(math.inf)
        self.skipped.zero_()
        return loss, low, skipped

    def state(self) -> dict[str, Tensor]:
        """The optimiser's tensors by name, and what was added up since the last reading."""
        own = {"length": self.length, "loss": self.loss, "low": self.low, "skipped": self.skipped}
        return own | self.optimiser.state()

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        device = self.length.device
        self.length, self.loss, self.low, self.skipped = (
            tensors[name].to(device).clone() for name in ("length", "loss", "low", "skipped")
        )
        for name, tensor in self.optimiser.state().items():
            put(tensor, tensors[name])


def _fast_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 faster than in float32: GPUs that support it natively."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
