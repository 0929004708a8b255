"""An object of another library as the checks see a flow: base points as columns, a generator, a space, abilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jensen.adapt.law import Law, Way
from jensen.errors import Cannot, UsageError
from jensen.model import Can
from jensen.space import Space

_ABILITIES = {
    "sample": Can.SAMPLE,
    "log_prob": Can.LOG_PROB,
    "sample_with_log_prob": Can.SAMPLE_WITH_LOG_PROB,
}


class Peer(nn.Module):
    """A view of a `Law`: real rows (n, *shape), base points (d, n), nats. `ways` names what the object can.

    `encode`, `decode`, `base_log_prob` and `drawn_with_log_prob` are None where the object has no such way.
    """

    one: Tensor

    def __init__(self, law: Law, library: str, shape: Sequence[int], ways: Sequence[str]) -> None:
        super().__init__()
        self.law, self.library, self.ways = law, library, tuple(ways)
        self.space = Space.real(tuple(shape))
        # device and type of what has neither parameters nor buffers
        self.register_buffer("one", torch.ones((), dtype=_type(law), device=_device(law)))

    @property
    def can(self) -> Can:
        """What the object can."""
        found = Can.NOTHING
        for name, ability in _ABILITIES.items():
            found |= ability if name in self.ways else Can.NOTHING
        return found

    def log_prob(self, x: Tensor, c: None = None) -> Tensor:
        """log p(x) (n,), nats."""
        self._need("log_prob")
        return self.law.log_prob(x).reshape(len(x))

    def sample(self, n: int, c: None = None, generator: torch.Generator | None = None) -> Tensor:
        """n rows (n, *shape), without gradient."""
        self._need("sample")
        with drawing(generator, self.one.dtype), torch.no_grad():
            return self.law.sample(n).detach().reshape(n, *self.space.shape)

    def sample_with_log_prob(
        self, n: int, c: None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """n reparameterised rows (n, *shape) and log q (n,) of the pass that drew them."""
        self._need("sample_with_log_prob")
        return self._drawn(n, generator)

    @property
    def encode(self) -> Callable[..., tuple[Tensor, Tensor]] | None:
        """Rows x (n, *shape) -> base points (d, n) and log|det dz/dx| (n,)."""
        return self._encode if "encode" in self.ways else None

    @property
    def decode(self) -> Callable[..., tuple[Tensor, Tensor]] | None:
        """Base points z (d, n) -> rows (n, *shape) and log|det dx/dz| (n,)."""
        return self._decode if "decode" in self.ways else None

    @property
    def base_log_prob(self) -> Callable[[Tensor], Tensor] | None:
        """log density (n,) of base points (d, n)."""
        return self._base_log_prob if "base_log_prob" in self.ways else None

    @property
    def drawn_with_log_prob(self) -> Callable[..., tuple[Tensor, Tensor]] | None:
        """As sample_with_log_prob, whether or not the rows carry gradients."""
        return self._drawn if "drawn" in self.ways else None

    @property
    def maps(self) -> list[Map]:
        """The maps from rows to base, in order."""
        if "encode" not in self.ways:
            return []
        return [Map(self, index, step.name) for index, step in enumerate(self.law.steps(1))]

    def _encode(self, x: Tensor, c: None = None) -> tuple[Tensor, Tensor]:
        z, log_det = _through([step.encode for step in self.law.steps(len(x))], x)
        return z.flatten(1).T, log_det

    def _decode(self, z: Tensor, c: None = None) -> tuple[Tensor, Tensor]:
        rows = z.T.reshape(-1, *self.space.shape)
        return _through([step.decode for step in reversed(self.law.steps(len(rows)))], rows)

    def _base_log_prob(self, z: Tensor) -> Tensor:
        return self.law.base_log_prob(z.T.reshape(-1, *self.space.shape)).reshape(z.shape[1])

    def _drawn(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        with drawing(generator, self.one.dtype):
            x, log_q = self.law.drawn(n)
        return x.reshape(n, *self.space.shape), log_q.reshape(n)

    def _need(self, way: str) -> None:
        if way not in self.ways:
            raise Cannot(
                f"this {self.library} object cannot {way}",
                f"it can: {', '.join(self.ways) or 'nothing'}",
                "pass an object that can",
            )


class Map:
    """One of the maps of a peer, on columns (d, n)."""

    def __init__(self, owner: Peer, index: int, said: str) -> None:
        self.owner, self.index, self.said = owner, index, said

    def encode(self, x: Tensor, c: None = None) -> tuple[Tensor, Tensor]:
        """x (d, n) -> z (d, n) and log|det dz/dx| (n,)."""
        step = self.owner.law.steps(x.shape[1])[self.index]
        z, log_det = _through([step.encode], x.T.reshape(-1, *self.owner.space.shape))
        return z.flatten(1).T, log_det


def peer(law: Law, library: str, input_shape: Sequence[int] | None) -> Peer:
    """The view of a law, with the ways that work on two rows. Raises UsageError where it takes no rows at all."""
    shape = law.event_shape if input_shape is None else tuple(input_shape)
    if shape is None:
        raise UsageError(
            f"this {library} object does not say how many features a row has",
            "got no input_shape",
            "pass input_shape (--input-shape), one row without the batch axis, such as 8",
        )
    found = Peer(law, library, shape, [*_WAYS])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        ways = [name for name in _WAYS if _works(found, name)]
    if not {"encode", "decode", "log_prob"} & set(ways):
        raise UsageError(
            f"this {library} object neither scores rows nor maps them",
            f"got {type(law).__name__} of shape {tuple(shape)}",
            "pass a flow, a distribution or a transform",
        )
    if "drawn" in ways and _carries_gradient(found):
        ways.append("sample_with_log_prob")
    return Peer(law, library, shape, ways)


@contextmanager
def drawing(generator: torch.Generator | None, dtype: torch.dtype) -> Iterator[None]:
    """torch's own random state and default type, which other libraries draw by, set within and restored afterwards."""
    default = torch.get_default_dtype()
    seed = None if generator is None else int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


def _through(ways: Sequence[Way], x: Tensor) -> tuple[Tensor, Tensor]:
    n, total = len(x), x.new_zeros(len(x))
    for way in ways:
        x, log_det = way(x)
        # one number for all rows (a volume that nothing changes), or further axes to be summed
        total = total + (log_det.reshape(n, -1).sum(1) if log_det.numel() >= n else log_det.reshape(()))
    return x, total


def _points(found: Peer) -> Tensor:
    return torch.randn(2, *found.space.shape).to(found.one)


def _columns(found: Peer) -> Tensor:
    return _points(found).flatten(1).T


def _rows(found: Peer) -> Tensor:
    """Rows that the object takes: its own samples, where it draws."""
    try:
        return found.law.sample(2).reshape(2, *found.space.shape)
    except NotImplementedError:
        return _points(found)


_WAYS: dict[str, Callable[[Peer], Any]] = {
    "sample": lambda found: found.sample(2),
    "log_prob": lambda found: found.log_prob(_rows(found)),
    "encode": lambda found: found._encode(_rows(found)),
    "decode": lambda found: found._decode(_columns(found)),
    "base_log_prob": lambda found: found._base_log_prob(_columns(found)),
    "drawn": lambda found: found._drawn(2),
}


def _works(found: Peer, way: str) -> bool:
    """Whether the object has a way. Raises UsageError where it has and refuses the rows."""
    try:
        _WAYS[way](found)
    except Exception as error:
        missing = isinstance(error, NotImplementedError) or type(error).__name__ == "InverseNotAvailable"
        if missing or way in ("base_log_prob", "drawn"):
            return False
        raise UsageError(
            f"{way} of this {found.library} object breaks on two rows of shape {tuple(found.space.shape)}",
            f"{type(error).__name__}: {error}",
            "check the shape of a row; a conditional flow comes as a pair (flow, context)",
        ) from error
    return True


def _carries_gradient(found: Peer) -> bool:
    if not any(parameter.requires_grad for parameter in found.parameters()):
        return True
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        x, log_q = found._drawn(2)
    return x.requires_grad and log_q.requires_grad


def _type(law: Law) -> torch.dtype:
    state = [t for t in (*law.parameters(), *law.buffers()) if t.is_floating_point()]
    return state[0].dtype if state else getattr(law, "dtype", torch.get_default_dtype())


def _device(law: Law) -> torch.device:
    state = [*law.parameters(), *law.buffers()]
    return state[0].device if state else torch.device("cpu")
