"""Deep generative models of any family on your own data, with numbers you can believe.

Every public name is loaded when it is first used: `import jensen` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jensen._version import __version__

if TYPE_CHECKING:
    from jensen import adapt, functional, metrics, sklearn
    from jensen.auditing import audit
    from jensen.bracketing import Tightness, tightness
    from jensen.comparison import Comparison, compare
    from jensen.completing import Completion
    from jensen.data import Rows, rows
    from jensen.density import Density, pose
    from jensen.discrepancy import Divergence
    from jensen.diverging import divergence
    from jensen.errors import (
        Cannot,
        DataError,
        Diverged,
        Incomparable,
        JensenError,
        JensenWarning,
        SpaceError,
        UsageError,
    )
    from jensen.fitted import Fitted, load
    from jensen.fitting import fit
    from jensen.functional.receptive import receptive_field
    from jensen.model import Can, Model
    from jensen.normaliser import LogZ, log_z
    from jensen.plan import Plan
    from jensen.probing import Probe, probe
    from jensen.quantity import Kind, Quantity, Scores
    from jensen.space import Column, Space

_WHERE = {
    "audit": "auditing",
    "compare": "comparison",
    "Comparison": "comparison",
    "Completion": "completing",
    "Density": "density",
    "pose": "density",
    "LogZ": "normaliser",
    "log_z": "normaliser",
    "rows": "data",
    "Rows": "data",
    "Cannot": "errors",
    "DataError": "errors",
    "Diverged": "errors",
    "Incomparable": "errors",
    "JensenError": "errors",
    "JensenWarning": "errors",
    "SpaceError": "errors",
    "UsageError": "errors",
    "Divergence": "discrepancy",
    "divergence": "diverging",
    "fit": "fitting",
    "Fitted": "fitted",
    "load": "fitted",
    "receptive_field": "functional.receptive",
    "Can": "model",
    "Model": "model",
    "Plan": "plan",
    "probe": "probing",
    "Probe": "probing",
    "Kind": "quantity",
    "Quantity": "quantity",
    "Scores": "quantity",
    "Column": "space",
    "Space": "space",
    "Tightness": "bracketing",
    "tightness": "bracketing",
}

__all__ = [
    "Can",
    "Cannot",
    "Column",
    "Comparison",
    "Completion",
    "DataError",
    "Density",
    "Diverged",
    "Divergence",
    "Fitted",
    "Incomparable",
    "JensenError",
    "JensenWarning",
    "Kind",
    "LogZ",
    "Model",
    "Plan",
    "Probe",
    "Quantity",
    "Rows",
    "Scores",
    "Space",
    "SpaceError",
    "Tightness",
    "UsageError",
    "__version__",
    "adapt",
    "audit",
    "compare",
    "divergence",
    "fit",
    "functional",
    "load",
    "log_z",
    "metrics",
    "pose",
    "probe",
    "receptive_field",
    "rows",
    "sklearn",
    "tightness",
]


def __getattr__(name: str) -> Any:
    if name in ("adapt", "functional", "metrics", "sklearn"):
        return import_module(f"jensen.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'jensen' has no attribute {name!r}")
    value = getattr(import_module(f"jensen.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
