"""All that a step of training changes: weights, what optimisers remember, the running average."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from jensen.average import Average
from jensen.model import Model
from jensen.parts import put
from jensen.player import Player


@dataclass
class Snapshot:
    """A copy of a state after `step` steps; `updates` of the average went into it."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    updates: int = 0
    step: int = 0


class State:
    """The tensors of one training by name; copies of them, and the way back. Weights may be parts (`parts`)."""

    def __init__(self, model: Model, turns: nn.ModuleList, players: list[Player], average: Average) -> None:
        self.model, self.turns, self.players, self.average = model, turns, players, average

    def tensors(self) -> dict[str, Tensor]:
        """The live tensors."""
        found = {f"turn.{name}": tensor for name, tensor in self._weights().items()}
        for i, player in enumerate(self.players):
            found |= {f"player.{i}.{name}": tensor for name, tensor in player.state().items()}
        return found | {f"average.{name}": tensor for name, tensor in self.average.state().items()}

    def copy(self, step: int) -> Snapshot:
        """The state as it is after `step` steps."""
        tensors = {name: tensor.detach().clone() for name, tensor in self.tensors().items()}
        return Snapshot(tensors, self.average.updates, step)

    def put_back(self, snapshot: Snapshot) -> None:
        """The inverse of `copy`."""
        with torch.no_grad():
            for name, tensor in self._weights().items():
                put(tensor, snapshot.tensors[f"turn.{name}"])
        for i, player in enumerate(self.players):
            player.load(below(snapshot.tensors, f"player.{i}."))
        self.average.load(below(snapshot.tensors, "average."), snapshot.updates)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's weights alone, as they are now."""
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def put_weights(self, weights: dict[str, Tensor]) -> None:
        """The inverse of `weights`."""
        for name, tensor in self.model.state_dict().items():
            put(tensor, weights[name])

    def _weights(self) -> dict[str, Tensor]:
        """Every tensor of the turns once, although they share the model."""
        return dict(self.turns.named_parameters()) | dict(self.turns.named_buffers())


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
