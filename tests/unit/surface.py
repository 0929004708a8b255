"""The doors of the public surface, by name."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import surface_building
import surface_commands
import surface_fitting
import surface_judging
import surface_mathematics
from strange_values import Strange
from surface_kit import Case, Kit


def _doors(module: ModuleType) -> dict[str, Callable[[Strange, Kit], Case]]:
    own = {
        name: one for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__
    }
    return {name: one for name, one in own.items() if not name.startswith("_")}


DOORS = (
    _doors(surface_fitting)
    | _doors(surface_judging)
    | _doors(surface_building)
    | _doors(surface_mathematics)
    | surface_commands.COMMANDS
)
