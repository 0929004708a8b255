"""Views: random changes of rows that keep what they are about. Batched tensor operations, on the rows' own device.

A view is any callable (rows, generator) -> rows of the same shape; images come as floats about [0, 1] whatever their
space, tables as the model sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jensen.arguments import said
from jensen.errors import SpaceError, UsageError, nearest
from jensen.space import Space
from jensen.views.affine import Affine
from jensen.views.blur import Blur
from jensen.views.colour import Jitter
from jensen.views.corruption import Corruption

View = Callable[[Tensor, "torch.Generator | None"], Tensor]

PRESETS: dict[str, tuple[View, ...]] = {
    # a classifier of clean 8x8 digits keeps .99 of its accuracy under rotation by 10 degrees and a zoom by .85 to 1.15,
    # .97 under half a pixel of shift, and loses more than half of it under a flip
    "small": (Affine(rotate=10, zoom=(0.85, 1.15), shift=0.06), Jitter(0.2, 0.2)),
    "grey": (Affine(crop=(0.4, 1.0), aspect=1.3, rotate=15), Jitter(0.4, 0.4), Blur()),
    "colour": (Affine(crop=(0.2, 1.0), aspect=4 / 3, flip=0.5), Jitter(grey=0.2), Blur()),
    "table": (Corruption(),),
}
"""small: images below 16 pixels. grey, colour: by the number of channels; only photographs in colour are flipped, for a
flip changes what a digit or a letter is."""


class Views:
    """The views of a space: every row changed by all `parts` in turn, each time anew.

    >>> Views(Space.levels((1, 8, 8), 17))
    Views small: Affine(zoom=(0.85, 1.15), rotate=10, shift=0.06) + Jitter(brightness=0.2, contrast=0.2)
    """

    def __init__(self, space: Space, choice: str | View | Sequence[View] = "auto") -> None:
        """`choice`: auto, a name of PRESETS, or views of your own. Raises UsageError for what it does not know."""
        self.space = space
        if not (isinstance(choice, (str, list, tuple)) or callable(choice)):
            raise UsageError("views are a name or callables", f"got {said(choice)}", "use auto")
        self.name = _preset(space) if choice == "auto" else choice if isinstance(choice, str) else ""
        if isinstance(choice, str):
            if self.name not in PRESETS:
                raise UsageError("unknown views", f"got {choice!r}", nearest(choice, ["auto", *PRESETS]))
            self.parts = PRESETS[self.name]
        else:
            self.parts = (choice,) if callable(choice) else tuple(choice)
        if self.name and (self.name == "table") == space.is_image:
            raise SpaceError(
                f"the views {self.name!r} are not for these rows", f"got {space.describe()}", "use auto"
            )
        if not self.parts or not all(callable(part) for part in self.parts):
            raise UsageError(
                "views are callables (rows, generator) -> rows", f"got {choice!r:.80}", "use auto"
            )
        self.low, self.span = _unit(space)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encoded rows (n, *shape) -> a view of each, of the same shape, in the same units; images become floats."""
        if not self.space.is_image:
            return self._applied(x, generator)
        x = x if x.is_floating_point() else x.float()
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 has fewer values than an 8-bit image
            return self._applied((x - self.low) / self.span, generator) * self.span + self.low

    def _applied(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        for part in self.parts:
            y = part(x, generator)
            if not isinstance(y, Tensor) or y.shape != x.shape:
                given = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
                raise UsageError(
                    f"a view gives rows of the shape it gets, {tuple(x.shape)}",
                    f"{part!r:.60} gave {given}",
                    "resize what it cuts out",
                )
            x = y
        return x

    def describe(self) -> str:
        """All views and what is not at its default, in one line."""
        return " + ".join(describe_view(part) for part in self.parts)

    def __repr__(self) -> str:
        return f"Views {self.name or 'given'}: {self.describe()}"


def _preset(space: Space) -> str:
    if not space.is_image:
        return "table"
    if space.kind == "categorical":
        raise SpaceError(
            "images of unordered categories have no views of their own",
            f"got {space.describe()}",
            "pass views=, a callable of rows and a generator",
        )
    if min(space.shape[1:]) < 16:
        return "small"
    return "colour" if space.shape[0] == 3 else "grey"


def _unit(space: Space) -> tuple[float, float]:
    """Start and length of the range of an image's values as the model sees them: real ones are standardised."""
    levels = space.max_levels
    return (-3.0, 6.0) if levels is None else (0.0, float(levels - 1))


def describe_view(part: View) -> str:
    """Its name and what is not at its default."""
    from dataclasses import fields, is_dataclass

    name = getattr(part, "__name__", None) or type(part).__name__
    if not is_dataclass(part):
        return str(name)
    changed = [f for f in fields(part) if getattr(part, f.name) != f.default]
    return f"{name}({', '.join(f'{f.name}={getattr(part, f.name)!r}' for f in changed)})"
