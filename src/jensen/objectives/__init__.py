"""The objectives, and the one that suits a set of abilities."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from jensen.errors import Cannot, UsageError, nearest
from jensen.model import Can, Model
from jensen.objective import Objective

OBJECTIVES: dict[str, str] = {"likelihood": "jensen.objectives.likelihood:Likelihood"}


def objective_for(model: Model, objective: str | Objective | None = None) -> Objective:
    """The objective named or passed, or the default for what the model can do.

    Raises UsageError for an unknown name, and Cannot when the model lacks what the objective needs.
    """
    if objective is None:
        objective = "likelihood"
    if isinstance(objective, str):
        if objective not in OBJECTIVES:
            raise UsageError("unknown objective", f"got {objective!r}", nearest(objective, OBJECTIVES))
        module, _, leaf = OBJECTIVES[objective].partition(":")
        objective = cast(Objective, getattr(import_module(module), leaf)())
    if not any(p.requires_grad for p in model.parameters()):
        raise Cannot(
            f"{type(model).__name__} has no parameters to train",
            "its parameters are counted or solved for" if Can.SOLVE in model.can else "it has none",
            "leave objective out" if Can.SOLVE in model.can else "choose another model",
        )
    missing = objective.needs & ~model.can
    if missing is not Can.NOTHING:
        raise Cannot(
            f"{type(objective).__name__} needs a model that can {str(missing.name).lower()}",
            str(model.cannot(missing)),
            "choose another model or objective",
        )
    return objective
