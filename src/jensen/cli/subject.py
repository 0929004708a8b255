"""What a verb looks at: the run in a folder, or what FILE.py:FACTORY makes. Only the second executes anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jensen.errors import UsageError

if TYPE_CHECKING:
    from jensen.fitted import Fitted

FLOWS = ("zuko", "nflows", "normflows", "torchflows", "torch")
AUTOENCODERS = ("pythae",)
"""The same words as jensen.adapt.VIEWS and AUTOENCODERS, which this does not import for the help."""

_FACTORY = re.compile(r"(?P<file>.+\.py):(?P<factory>[^\W\d]\w*)")


def subject_of(target: str, adapt: str | None, *, any_object: bool = False) -> Any:
    """The fitted model of a run, or what the user's file makes, as it is. Raises UsageError where neither is named."""
    found = _FACTORY.fullmatch(target)
    if found is not None:
        from jensen.cli.factory import make

        return make(found["file"], found["factory"], any_object=any_object or adapt is not None)
    if target.endswith(".py"):
        raise UsageError("which module of the file?", f"got {target}", f"name its factory: {target}:make")
    if adapt is not None:
        raise UsageError(
            "--adapt looks at what a file of yours makes", f"got {target}", "name FILE.py:FACTORY"
        )
    import jensen

    return jensen.load(target)


def fitted_of(target: str, adapt: str | None) -> Fitted:
    """A model that scores rows: a run, an autoencoder of a library, or what `jensen.adapt.autoencoder` made of a file's own."""
    made = subject_of(target, adapt, any_object=True)
    from jensen.adapt import view
    from jensen.fitted import Fitted

    if adapt is not None:
        made = view(adapt, made)
    if isinstance(made, Fitted):
        return made
    raise UsageError(
        "expected a fitted model, or a view of an autoencoder",
        f"{target} makes {type(made).__module__}.{type(made).__name__}",
        f"pass --adapt {' or '.join(AUTOENCODERS)}, or return what jensen.adapt.autoencoder makes of encoder and decoder",
    )
