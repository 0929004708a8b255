"""SimCLR: two views of every row, which have to find each other among all views of the batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jensen.errors import UsageError
from jensen.functional.contrastive import chance_level, nt_xent, view_losses
from jensen.functional.gather import gathered
from jensen.functional.intervals import mean_interval
from jensen.functional.representation import alignment, effective_rank, partner_found, uniformity
from jensen.model import Can, Model, one_vector_a_row
from jensen.objective import Turn
from jensen.quantity import Kind, Quantity
from jensen.views import View, Views


class ContrastiveLoss(Turn):
    """NT-Xent of two views of a batch, behind a projection head of its own, nats a view.

    In a process group the views of all processes are gathered with their gradient. With `chunk` the rows go through the
    encoder in chunks, twice: once without keeping anything, and once more when the gradient of each chunk's z is known
    (GradCache; Gao, Zhang, Han, Callan 2021). The gradient is that of the whole batch, in the memory of a chunk; batch
    normalisation in the encoder sees chunks.
    """

    def __init__(self, model: Model, options: Contrastive) -> None:
        super().__init__()
        self.model, self.options = model, options
        self.views = Views(model.space, options.views)
        like = next(model.parameters())
        self.head = projection_head(_features(model), options.width, options.depth).to(
            like.device, like.dtype
        )
        self.looked = False

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """The loss () of rows x (n, *shape). Raises UsageError for a batch of one, and for views that are the same."""
        if len(x) < 2:
            raise UsageError(
                "a contrastive loss needs a batch of two rows or more", f"got {len(x)}", "raise batch"
            )
        first, second = self.views(x), self.views(x)
        if not self.looked:
            _refuse_equal(first, second, self.views)
            self.looked = True
        a, b = self.head(self._encoded(torch.cat([first, second]))).chunk(2)
        return nt_xent(gathered(a), gathered(b), self.options.temperature)

    def _encoded(self, rows: Tensor) -> Tensor:
        """h (n, features)."""
        chunk = self.options.chunk
        if chunk is None or chunk >= len(rows):
            return self.model.embed(rows)
        from torch.utils.checkpoint import checkpoint  # it imports torch's compiler

        def contexts() -> tuple[Any, Any]:
            return nullcontext(), _statistics_kept(self.model)

        parts = rows.split(chunk)
        return torch.cat(
            [checkpoint(self.model.embed, part, use_reentrant=False, context_fn=contexts) for part in parts]
        )


@dataclass(frozen=True)
class Contrastive:
    """Encoders: h is what a non-linear head needs to make the two views of a row alike (SimCLR; Chen et al. 2020).

    `temperature`: small ones look at the nearest views only; 0.1 to 0.5 is usual. `width`: the length of z and of the
    head's hidden layer; `depth`: the head's layers, 0 for none, 1 for a linear one. `views`: auto (by the space), a name of
    jensen.views.PRESETS, or callables (rows, generator) -> rows. `chunk`: views that go through the encoder at a time,
    where the batch is larger than memory. The head stays here: a fitted encoder gives h, never z.
    """

    needs: ClassVar[Can] = Can.EMBED

    temperature: float = 0.2
    width: int = 128
    depth: int = 2
    views: str | View | Sequence[View] = "auto"
    chunk: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise UsageError("a temperature is above 0", f"got {self.temperature}", "0.1 to 0.5 is usual")
        if self.width < 1 or self.depth < 0 or (self.chunk is not None and self.chunk < 2):
            raise UsageError(
                "expected width >= 1, depth >= 0 and chunk >= 2",
                f"got {self.width}, {self.depth} and {self.chunk}",
                "128, 2 and no chunk are usual",
            )

    def turns(self, model: Model) -> list[Turn]:
        """The single move of a step; it holds the projection head, which is made here."""
        turn = ContrastiveLoss(model, self)
        self.__dict__["_turn"] = turn  # what `monitor` and `health` look through
        return [turn]

    def monitor(self, model: Model, x: Tensor, c: Tensor | None, seed: int) -> Quantity:
        """-NT-Xent of validation rows, nats; the same views for the same seed."""
        a, b, _ = self._seen(model, x, seed)
        return -_loss(a, b, self.temperature, seed)

    def health(self, model: Model, x: Tensor, c: Tensor | None, seed: int) -> dict[str, Quantity]:
        """What can be said of the representation without labels.

        It finds faults and does not rank: encoders of a higher effective rank or contrastive accuracy are not better ones.
        """
        a, b, h = self._seen(model, x, seed)
        n = len(x)
        return {
            "contrastive loss": _loss(a, b, self.temperature, seed, views=self._views()),
            "contrastive accuracy": _mean(
                partner_found(a, b).double().view(2, n).mean(0), n, seed, chance=1 / (2 * n - 1)
            ),
            "alignment of z": _mean(alignment(a, b), n, seed),
            "uniformity of z": _number(uniformity(a), n, seed),
            "effective rank of h": _number(effective_rank(h), n, seed, d=h.shape[1]),
            "effective rank of z": _number(effective_rank(a), n, seed, d=a.shape[1]),
        }

    def doubt(self, health: Mapping[str, Quantity]) -> str:
        """Why the representation is to be doubted and what to try; empty where nothing speaks against it."""
        loss, rank = health["contrastive loss"], health["effective rank of h"].value
        chance = loss.how["chance"]
        if rank >= 2 and loss.value <= 0.98 * chance:
            return ""
        return (
            f"the representation has collapsed, or has not begun to form: loss {loss.value:.3f} nats where a guess has "
            f"{chance:.3f}, effective rank of h {rank:.1f}; train longer, lower the rate, or weaken the views"
        )

    def _views(self) -> str:
        turn: ContrastiveLoss = self.__dict__["_turn"]
        return turn.views.describe()

    @torch.no_grad()
    def _seen(self, model: Model, x: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """z of two seeded views and h of the rows themselves, in eval mode."""
        if len(x) < 2:
            raise UsageError(
                "a contrastive loss needs two validation rows or more",
                f"got {len(x)}",
                "pass more rows, or a larger share for validation: jensen.rows(source, split=(0.6, 0.2, 0.2))",
            )
        turn: ContrastiveLoss = self.__dict__["_turn"]
        generator = torch.Generator(x.device).manual_seed(seed)
        was_training = turn.training
        turn.eval()
        try:
            views = [turn.views(x, generator) for _ in range(2)]
            first, second, h = (_in_parts(model, rows) for rows in (*views, x))
            a, b = turn.head(first), turn.head(second)
        finally:
            turn.train(was_training)
        return a, b, h


def projection_head(features: int, width: int, depth: int) -> nn.Sequential:
    """`depth` linear layers with batch normalisation and ReLU between them; none leaves h as it is.

    >>> [type(part).__name__ for part in projection_head(8, 4, 2)]
    ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    layers: list[nn.Module] = []
    for i in range(depth):
        last = i == depth - 1
        layers.append(nn.Linear(features, width, bias=last))
        if not last:
            layers += [nn.BatchNorm1d(width), nn.ReLU()]
        features = width
    return nn.Sequential(*layers)


def _in_parts(model: Model, rows: Tensor) -> Tensor:
    return torch.cat([model.embed(part) for part in rows.split(512)])


@torch.no_grad()
def _features(model: Model) -> int:
    """The length of h, from a look at two rows of zeros. Raises UsageError for encoders that give no vectors."""
    state = next(model.parameters())
    real = model.space.kind in ("real", "mixed")
    zeros = torch.zeros(
        2, *model.space.shape, device=state.device, dtype=state.dtype if real else torch.int64
    )
    was_training = model.training
    model.eval()
    try:
        return one_vector_a_row(model.embed(zeros), 2).shape[1]
    finally:
        model.train(was_training)


def _refuse_equal(first: Tensor, second: Tensor, views: Views) -> None:
    if torch.equal(first, second):
        raise UsageError(
            "the two views of every row are the same: there is nothing to learn",
            f"got {views.describe()}",
            "use views that change the rows at random, such as views='auto'",
        )


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Run a block without moving the running statistics of batch normalisation: they have seen this chunk already."""
    norms = [one for one in module.modules() if isinstance(one, _BatchNorm)]
    momenta = [one.momentum for one in norms]
    for one in norms:
        one.momentum = 0.0
    try:
        yield
    finally:
        for one, momentum in zip(norms, momenta):
            one.momentum = momentum


def _loss(a: Tensor, b: Tensor, temperature: float, seed: int, **how: Any) -> Quantity:
    n, values = len(a), view_losses(a, b, temperature)
    return _mean(values.view(2, n).mean(0), n, seed, "nats", chance=chance_level(n), **how)


def _mean(values: Tensor, n: int, seed: int, unit: Any = "", **how: Any) -> Quantity:
    """The mean over rows (n,) with its interval over rows."""
    rows = values.double().cpu().numpy()
    return Quantity(
        float(rows.mean()), Kind.ESTIMATE, unit, None, mean_interval(rows), how={"n": n, "seed": seed, **how}
    )


def _number(value: Tensor, n: int, seed: int, **how: Any) -> Quantity:
    return Quantity(float(value), Kind.ESTIMATE, how={"n": n, "seed": seed, **how})
