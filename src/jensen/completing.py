"""Rows completed: draws from p(missing | observed) of an autoregressive model or one with latents, for any observed sites."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jensen.autoregressive import Autoregressive
from jensen.codec import Codec, as_tensor
from jensen.context import ContextCodec, refuse_given
from jensen.context import missing as missing_context
from jensen.data import hash_rows
from jensen.data.gaps import read_gaps, refuse_gaps
from jensen.data.given import context_columns, contexts_of, read_contexts
from jensen.errors import Cannot, JensenWarning, UsageError
from jensen.functional.ancestral import uniforms
from jensen.functional.counts import check_whole
from jensen.functional.importance import log_mean_exp
from jensen.imputing import impute
from jensen.latent import LatentModel
from jensen.mixed import Columns
from jensen.model import Model, abilities
from jensen.quantity import Kind, Quantity, Scores
from jensen.sampling.particles import Chosen, ParticleWalk
from jensen.scoring import on_device, place
from jensen.space import Space

FEW = 10
"""An effective sample size below this is doubted: the completions may be 1/10 nat from the law, a total variation of up
to sqrt(1/20) = 0.22 (Pinsker's inequality)."""
AT_ONCE = 2**18
"""Sites walked at once, particles times sites, unless one system alone has more."""


@dataclass(frozen=True, eq=False, repr=False)
class Completion:
    """n completions of each of m rows, and how far they can be believed.

    rows (m, n, *shape): in the user's own units; observed sites hold the user's own values, bit for bit.
    missing (m, *shape): True where a site was drawn.
    exact (m,): whether the completions follow p(missing | observed) of the model exactly: the observed sites come first
        in the model's order. Otherwise they do so ever more closely as particles grow.
    ess (m,): effective sample size, out of `particles` (which it is where exact); the harmonic mean over the n systems.
        The law of a completion is about 1/ess - 1/particles nats from p(missing | observed), as far as the particles can
        tell. Below 10 a note and a warning say so.
    log_observed: log p(observed) of every row, nats, in the user's own units; exact where `exact`, otherwise a lower
        bound in expectation, tighter with more particles and more completions.
    notes: sentences for the reader.
    """

    rows: NDArray[Any]
    missing: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    ess: NDArray[np.float64]
    log_observed: Scores
    particles: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self) -> str:
        """A few lines: how many, of what, and the notes."""
        m, n = self.rows.shape[:2]
        drawn = self.missing.reshape(m, -1).sum(1)
        sites = f"{drawn.min():,}" if drawn.min() == drawn.max() else f"{drawn.min():,} to {drawn.max():,}"
        lines = [f"{n:,} x {m:,} rows, {sites} of {self.missing[0].size:,} sites drawn"]
        scores = self.log_observed
        # one row has no interval over rows
        mean = (
            scores.mean() if m > 1 else Quantity(float(scores.values[0]), scores.kind, "nats", scores.measure)
        )
        lines.append(f"log p(observed){' a row' if m > 1 else ''}: {mean}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return f"Completion {self.describe()}"


def complete(
    model: Model,
    codec: Codec,
    rows: Any,
    missing: Any = None,
    n: int = 1,
    *,
    particles: int = 256,
    seed: int | None = None,
    context: Any = None,
    context_codec: ContextCodec | None = None,
    sampler: str = "auto",
    watch: Callable[[int], None] | None = None,
) -> Completion:
    """Draw the missing sites of rows given the observed ones: see `Fitted.complete`."""
    for name, value in (("n", n), ("particles", particles)):
        check_whole(name, value, 1, f"{name} is a whole number from 1 on", "n=4 and particles=256, say")
    n, particles = int(n), int(particles)
    if seed is not None:
        check_whole("seed", seed, 0, "a seed is a whole number, 0 or more", "leave it out")
    able = _able(model, codec)
    if context_codec is None:
        refuse_given(type(model).__name__, context)
    beside = [] if context_codec is None else context_columns(rows, context_codec.space)
    values, mask = _rows_and_mask(rows, missing, codec.space, beside)
    x, drawn = as_tensor(values), torch.from_numpy(mask)
    z, _ = codec.encode(x)
    exact = _order_exact(able, drawn)
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(int(seed))
    draw = partial(
        _systems, able, z, drawn, _context(able, context_codec, context, rows, len(z)), generator, sampler
    )
    was_training = model.training
    model.eval()
    try:
        set_whole(able, codec.space, True)
        found = _in_batches(draw, exact, codec.model_space.dims, n, particles, watch)
    finally:
        set_whole(able, codec.space, False)
        model.train(was_training)
    # float64: as in sampling, a column far from zero has values that float32 cannot tell apart
    new = found.x.double() if found.x.is_floating_point() else found.x
    decoded = codec.decode(new.reshape(-1, *z.shape[1:])).numpy().reshape(len(z), n, *values.shape[1:])
    kept = np.where(mask[:, None], decoded, values[:, None])
    ess = np.where(exact, float(particles), (1 / (1 / found.ess).mean(1)).numpy())
    log_observed = (log_mean_exp(found.log_observed) + _log_slopes(codec, x, ~drawn)).numpy()
    weighed = isinstance(able, LatentModel)
    notes = _notes(exact, ess, particles, weighed)
    scores = _scores(log_observed, values, mask, exact, codec.space, (n, particles, seed))
    return Completion(kept, mask, exact, ess, scores, int(particles), notes)


def _able(model: Model, codec: Codec) -> Autoregressive | LatentModel:
    """The model, if its sites can be conditioned on each other. Raises Cannot."""
    name = type(model).__name__
    if not isinstance(model, (Autoregressive, LatentModel)):
        can = ", ".join(abilities(model.can)) or "nothing"
        raise Cannot(
            f"{name} cannot complete rows: it has no distribution of a site given the earlier ones, or given latents",
            f"it can: {can}",
            "fit an autoregressive model, such as made, pixelcnn or transformer, or a vae",
        )
    if codec.random:
        raise Cannot(
            f"{name} sees levels with noise added, and cannot be given a level itself",
            f"got rows of {codec.space.describe()}",
            "fit a model that takes levels as they are, such as made or pixelcnn",
        )
    return model


def _rows_and_mask(
    rows: Any, missing: Any, space: Space, beside: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Rows (m, *shape) with legal values everywhere, and a mask (m, *shape) of what is to be drawn."""
    shared = None if missing is None else _mask(missing)
    values, gaps = read_gaps(rows, space, shared, drop=beside)
    mask = gaps if shared is None else np.broadcast_to(shared, values.shape).copy()
    if shared is not None:
        refuse_gaps(gaps, space)
    if not mask.any():
        given = "a mask without True" if shared is not None else "rows without a gap"
        raise UsageError("there is nothing to draw", f"got {given}", "mark the sites to be drawn as missing")
    if mask.all():
        raise UsageError(
            "nothing is observed", f"got a mask that is True at all {space.dims:,} sites", "use sample"
        )
    return values, mask


def set_whole(model: Autoregressive | LatentModel, space: Space, whole: bool) -> None:
    """Have the model draw values and no gaps, or gaps as well: what is completed shall not be left out again.

    Every site then is drawn, and every observed one weighed, given that it has a value. Raises Cannot for a head that
    knows no gaps.
    """
    if "value" not in space.gaps:
        return
    head: Any = getattr(model, "head", None)
    if not hasattr(head, "whole"):
        raise Cannot(
            "rows are completed with values, and this head takes a gap for a level like any other",
            f"got {type(head).__name__}",
            "fit the model with head='columns'",
        )
    head.whole = whole


def _mask(missing: Any) -> NDArray[np.bool_]:
    mask = np.asarray(missing)
    if mask.dtype != np.bool_:
        raise UsageError(
            "a mask holds true or false, true where a site is to be drawn",
            f"got values of type {mask.dtype}",
            "pass mask.astype(bool), or missing=None for the gaps of the rows",
        )
    return mask


def _context(model: Model, codec: ContextCodec | None, given: Any, rows: Any, m: int) -> Tensor | None:
    """The context of m rows as the model sees it, (m, d): given, or found beside the rows; None without one."""
    if codec is None:
        return None
    found = contexts_of(rows, codec.space) if given is None else read_contexts(given, codec.space, m)
    if found is None:
        raise missing_context(codec, type(model).__name__)
    return on_device(codec.encode(found.values), *place(model))


def _order_exact(model: Autoregressive | LatentModel, missing: Tensor) -> NDArray[np.bool_]:
    """Which rows (m,) have all observed sites before the missing ones (m, *shape), in the order they are drawn."""
    if isinstance(model, LatentModel):
        return np.zeros(len(missing), bool)
    late = missing.flatten(1)[:, model.order.cpu()].int()
    found: NDArray[np.bool_] = (late.diff(dim=1) >= 0).all(1).numpy()
    return found


def _in_batches(
    draw: Callable[[Tensor, int], Chosen],
    exact: NDArray[np.bool_],
    dims: int,
    n: int,
    particles: int,
    watch: Callable[[int], None] | None,
) -> Chosen:
    """n systems of every row, x (m, n, d) and the others (m, n), a bounded number at once; exact rows need one particle."""
    found: list[Chosen] = []
    order = [np.repeat(np.flatnonzero(group), n) for group in (exact, ~exact)]
    done = 0
    for k, systems in zip((1, particles), order):
        for some in torch.from_numpy(systems).split(max(1, AT_ONCE // (k * dims))):
            if len(some):
                found.append(Chosen(*(part.cpu() for part in draw(some, k))))
                done += len(some)
                if watch is not None:
                    watch(done)
    back = torch.from_numpy(np.argsort(np.concatenate(order), kind="stable"))
    return Chosen(*(torch.cat(parts)[back].unflatten(0, (len(exact), n)) for parts in zip(*found)))


@torch.no_grad()
def _systems(
    model: Autoregressive | LatentModel,
    z: Tensor,
    missing: Tensor,
    c: Tensor | None,
    generator: torch.Generator,
    sampler: str,
    rows: Tensor,
    particles: int,
) -> Chosen:
    """One completion of each of `rows` (g,), positions in z (m, *shape), by a system of its own: all are independent."""
    device, dtype = place(model)
    given, g = on_device(z[rows].flatten(1), device, dtype), len(rows)
    if isinstance(model, LatentModel):
        some = None if c is None else c[rows].to(device)
        whole, drawn = given.view(g, *z.shape[1:]), missing[rows].to(device)
        return impute(model, whole, drawn, some, generator, particles)
    u = uniforms(g * particles, (given.shape[1],), generator, device)
    v = uniforms(g, (given.shape[1] + 1,), generator, device)
    walk = ParticleWalk(model.head, given, missing[rows].flatten(1).to(device), u, v)
    each = None if c is None else c[rows].to(device).repeat_interleave(particles, 0)
    model.walk(walk, each, sampler)
    return walk.choose()


def _log_slopes(codec: Codec, x: Tensor, observed: Tensor) -> Tensor:
    """What brings log p(observed) into the user's units: sum of log |dz_i / dx_i| over observed sites, (m,).

    From the derivative of the codec, which must take every site by itself: then the sum over all sites is its log|det|.
    """
    if codec.space.measure == "mass":
        return torch.zeros(len(x), dtype=torch.float64)
    if isinstance(codec, Columns):
        return codec.log_slopes(x).double().masked_fill(~observed, 0).flatten(1).sum(1)
    with torch.enable_grad():
        x = x.double().requires_grad_()
        z, log_det = codec.encode(x)
        (slope,) = torch.autograd.grad(z.sum(), x)
    each = slope.abs().log()
    if not torch.allclose(each.flatten(1).sum(1), log_det.detach().double(), rtol=1e-4, atol=1e-3):
        raise Cannot(
            "rows are completed site by site, and the codec mixes the sites",
            f"got {type(codec).__name__}",
            "fit the model with another codec",
        )
    return each.masked_fill(~observed, 0).flatten(1).sum(1)


def _scores(
    values: NDArray[np.float64],
    rows: NDArray[Any],
    mask: NDArray[np.bool_],
    exact: NDArray[np.bool_],
    space: Space,
    made: tuple[int, int, int | None],
) -> Scores:
    """`dims`: observed sites a row, where all rows have the same number of them, else all sites."""
    counts = np.unique((~mask).reshape(len(mask), -1).sum(1))
    dims = int(counts[0]) if len(counts) == 1 else space.dims
    n, particles, seed = made
    how = {"of": "observed sites", "completions": n, "particles": particles, "seed": seed}
    kind = Kind.EXACT if exact.all() else Kind.LOWER
    return Scores(values, kind, space.measure, max(dims, 1), hash_rows(rows), how=how)


def _notes(
    exact: NDArray[np.bool_], ess: NDArray[np.float64], particles: int, weighed: bool
) -> tuple[str, ...]:
    """How the rows were completed, and which of them are doubtful; those also as a warning."""
    if exact.all():
        return ("exact: the observed sites come first in the model's order",)
    worst = ess[~exact].min()
    some = f"{(~exact).sum():,} of {len(exact):,} rows" if exact.any() else "all rows"
    how = "" if weighed else "have observed sites after missing ones in the model's order and "
    what = "weighed draws of the latents" if weighed else "particles"
    notes = [
        f"{some} {how}are completed by {particles:,} {what}, worth {worst:.3g} or more: "
        "the completions approach the model's law as particles grow"
    ]
    low = np.flatnonzero(~exact & (ess < FEW))
    if len(low):
        notes.append(
            f"the effective sample size is low, {worst:.2g} at the least, in {len(low):,} of {len(exact):,} rows "
            f"(the first is row {low[0]}): their completions may be far from the model's law; raise particles"
        )
        warnings.warn(notes[-1], JensenWarning, stacklevel=4)
    return tuple(notes)
