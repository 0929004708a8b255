"""The objectives, and the one that suits a set of abilities."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, cast

from jensen.arguments import said
from jensen.errors import Cannot, UsageError, nearest
from jensen.model import Can, Model
from jensen.objective import Objective

OBJECTIVES: dict[str, str] = {
    "likelihood": "jensen.objectives.likelihood:Likelihood",
    "reverse-kl": "jensen.objectives.reverse_kl:ReverseKL",
    "bound": "jensen.objectives.bound:Bound",
    "elbo": "jensen.objectives.elbo:ELBO",
    "stl": "jensen.objectives.stl:StickingTheLanding",
    "iwae": "jensen.objectives.iwae:IWAE",
    "dreg": "jensen.objectives.dreg:DReG",
    "miwae": "jensen.objectives.miwae:MIWAE",
    "ciwae": "jensen.objectives.ciwae:CIWAE",
    "renyi": "jensen.objectives.renyi:Renyi",
    "contrastive": "jensen.objectives.contrastive:Contrastive",
    "adversarial": "jensen.objectives.adversarial:Adversarial",
}

DEFAULTS: tuple[tuple[Can, str], ...] = (
    (Can.LOG_PROB, "likelihood"),
    (Can.LOG_WEIGHTS, "elbo"),
    (Can.LOG_PROB_LOWER, "bound"),
    (Can.SAMPLE, "adversarial"),
    (Can.EMBED, "contrastive"),
)
"""The first objective whose abilities a model has is its default."""


def objective_for(model: Model, objective: str | Objective | None = None) -> Objective:
    """The objective named or passed, or the default for what the model can do.

    A name may carry options, NAME:KEY=VALUE,KEY=VALUE. Raises UsageError for an unknown name or option, and Cannot
    when the model lacks what the objective needs.
    """
    if objective is None:
        objective = next((name for can, name in DEFAULTS if can in model.can), DEFAULTS[0][1])
    if isinstance(objective, str):
        objective = parse_objective(objective)
    if not hasattr(objective, "needs") or not hasattr(objective, "turns"):
        raise UsageError("an objective is its name or an Objective", f"got {said(objective)}", "leave it out")
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


def parse_objective(text: str) -> Objective:
    """The objective of a text NAME or NAME:KEY=VALUE,KEY=VALUE. Raises UsageError for what it does not know.

    >>> type(parse_objective("likelihood")).__name__
    'Likelihood'
    """
    name, colon, rest = text.partition(":")
    if name not in OBJECTIVES:
        raise UsageError("unknown objective", f"got {name!r}", nearest(name, OBJECTIVES))
    module, _, leaf = OBJECTIVES[name].partition(":")
    cls = getattr(import_module(module), leaf)
    known = [field.name for field in fields(cls) if field.metadata.get("text", True)]
    options: dict[str, Any] = {}
    for part in rest.split(",") if colon else []:
        key, sign, value = part.partition("=")
        if not sign or key.strip() not in known:
            what = nearest(key.strip(), known) if known else f"{name} has none"
            raise UsageError(f"{name} has no such option, KEY=VALUE", f"got {part!r}", what)
        options[key.strip()] = _value(value)
    try:
        return cast(Objective, cls(**options))
    except TypeError as error:
        raise UsageError(
            f"{name} does not take these options", f"got {rest!r}: {error}", "see its help"
        ) from None


def describe_objective(objective: Objective) -> str:
    """The text that `parse_objective` makes the objective of; the class's name for one outside the catalogue.

    >>> describe_objective(parse_objective("likelihood"))
    'likelihood'
    """
    cls = type(objective)
    path = f"{cls.__module__}:{cls.__qualname__}"
    name = next((name for name, where in OBJECTIVES.items() if where == path), cls.__name__)
    if not is_dataclass(objective):
        return name
    spelt = [field.name for field in fields(objective) if field.metadata.get("text", True)]
    options = ",".join(f"{name}={_text(getattr(objective, name))}" for name in spelt)
    return f"{name}:{options}" if options else name


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=_name)


def _name(value: Any) -> str:
    """A callable among the options: a dataclass says what it does, anything else what it is called."""
    return repr(value) if is_dataclass(value) else getattr(value, "__qualname__", type(value).__qualname__)
