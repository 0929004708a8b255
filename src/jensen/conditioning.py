"""Which models may be fitted to rows with a context, and the codec that they then get."""

from __future__ import annotations

from collections.abc import Mapping

from jensen.context import ContextCodec
from jensen.data import Rows
from jensen.data.context import describe_context
from jensen.errors import Cannot, Incomparable, UsageError
from jensen.fitted import Fitted
from jensen.model import Model
from jensen.models import CATALOGUE, catalogue_name, model_class
from jensen.space import Space


def context_codec(cls: type[Model], data: Rows) -> ContextCodec | None:
    """The codec of the rows' context, fitted on the training rows. Raises Cannot when the model takes none."""
    if data.context is None:
        return None
    check_takes_context(cls, data)
    return ContextCodec.fit(data.context.space, data.context.train)


def check_takes_context(cls: type[Model], data: Rows) -> None:
    """Raise Cannot for rows with a context and a model that takes none."""
    if data.context is not None and not cls.takes_context:
        able = [name for name in CATALOGUE if model_class(name).takes_context]
        raise Cannot(
            f"{catalogue_name(cls) or cls.__name__} takes no context",
            f"the rows are {data.context.describe()}",
            f"leave context out{', or take ' + ' or '.join(able) if able else ''}",
        )


def check_built(model: Model, codec: ContextCodec | None) -> None:
    """Raise UsageError when a model was built for another context than that of the rows."""
    needs = None if codec is None else codec.model_space
    if model.context != needs:
        raise UsageError(
            "the model was built for another context",
            f"it takes {_said(model.context)}, the rows have {_said(needs)}",
            "pass the class, or read the rows with that context",
        )


def check_comparable(chosen: Mapping[str, str | Fitted], data: Rows) -> None:
    """Raise Incomparable for a fitted model that is conditional where the rows are not, or the other way round.

    Raises Cannot for a named model that takes no context, before any other is fitted.
    """
    for title, item in chosen.items():
        if isinstance(item, str):
            check_takes_context(model_class(item), data)
        elif (item.context_space is None) != (data.context is None):
            conditional = item.context_space is not None
            raise Incomparable(
                "log p(row | context) and log p(row) do not compare",
                f"{title} was fitted {'with' if conditional else 'without'} a context, the rows have "
                f"{'none' if data.context is None else data.context.describe()}",
                "compare it on rows with its context"
                if conditional
                else "compare it on rows without context",
            )


def _said(context: Space | None) -> str:
    return "none" if context is None else describe_context(context)
