"""One turn's optimiser: backward, clip, skip what is not finite, step."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.errors import UsageError
from jensen.objective import Turn
from jensen.plan import Plan


class Player:
    """Plays one Turn: fused Adam on its `moves`, gradients clipped, steps with an infinite gradient left out.

    All bookkeeping stays on the device: `loss` and `skipped` are running sums, read when somebody looks.
    """

    def __init__(self, turn: Turn, plan: Plan) -> None:
        self.turn = turn
        self.parameters = list(turn.moves)
        if not self.parameters:
            raise UsageError(
                f"the turn {turn.name!r} has nothing to move", "its moves are empty", "unfreeze parameters"
            )
        device = self.parameters[0].device
        # the fused kernel takes the scale of the gradients and the order to skip a step, so both cost nothing
        self.optimizer = torch.optim.AdamW(self.parameters, lr=plan.rate, weight_decay=plan.decay, fused=True)
        self.clip = plan.clip
        self.loss = torch.zeros((), device=device)
        self.skipped = torch.zeros((), device=device)
        self.length = torch.zeros((), device=device)
        self.checked = False

    def play(self, x: Tensor, c: Tensor | None, rate: float) -> None:
        """One move on a batch."""
        loss = self.turn(x, c)
        loss.backward()
        if not self.checked:
            self._check_moves()
        self._clip_and_step(rate)
        self.loss += loss.detach()

    def _clip_and_step(self, rate: float) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        bad = (~length.isfinite()).float()
        # the running average starts at the first length; an infinite one must not enter it
        start = torch.where(self.length > 0, self.length, length)
        self.length = torch.where(
            bad > 0, self.length, start.lerp(torch.minimum(length, self.clip * start), 0.01)
        )
        longest = (self.clip * start).clamp(min=1e-30)  # a gradient of exactly zero must not make 0 / 0
        self.optimizer.grad_scale = (length / longest).clamp(min=1.0)  # type: ignore[attr-defined]
        self.optimizer.found_inf = bad  # type: ignore[attr-defined]
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.skipped += bad

    def _check_moves(self) -> None:
        """After the first backward: a gradient outside `moves` would be lost silently, so it is an error."""
        mine = {id(p) for p in self.parameters}
        stray = [n for n, p in self.turn.named_parameters() if p.grad is not None and id(p) not in mine]
        if stray:
            raise UsageError(
                f"the turn {self.turn.name!r} sends gradients to parameters it does not move",
                f"got {', '.join(stray[:3])}",
                "add them to moves, or detach them and list them in holds",
            )
        self.checked = True

    def read(self) -> tuple[float, int]:
        """(sum of the losses, skipped steps) since the last reading: the one place that waits for the device."""
        loss, skipped = float(self.loss), int(self.skipped)
        self.loss.zero_()
        self.skipped.zero_()
        return loss, skipped

    def state(self) -> dict[str, Tensor]:
        """The optimiser's tensors by name, and what was added up since the last reading."""
        tensors = {"length": self.length, "loss": self.loss, "skipped": self.skipped}
        for i, parameter in enumerate(self.parameters):
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{i}.{key}"] = value
        return tensors

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        device = self.length.device
        self.length, self.loss, self.skipped = (
            tensors[name].to(device).clone() for name in ("length", "loss", "skipped")
        )
        for i, parameter in enumerate(self.parameters):
            keys = ("step", "exp_avg", "exp_avg_sq")
            if f"{i}.step" in tensors:
                self.optimizer.state[parameter] = {
                    key: tensors[f"{i}.{key}"].to(parameter.device).clone() for key in keys
                }
