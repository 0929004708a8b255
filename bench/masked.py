"""Training steps of jensen's PixelCNN and MADE against common practice on the same layers.

Common practice: plain torch layers that do `self.weight.data *= self.mask` in forward, a shuffling DataLoader over a
TensorDataset, default Adam, the memory layout as it comes. A slice trains for some steps, from building the optimiser
and the loader to the last step. jensen's side is its own train(), with clipping and the average of the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from interleave import Line, command, conditions, interleave, options, passive, report, speed
from record import Record

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jensen.model import Model
    from jensen.space import Space

RATE = 1e-3
OURS, PEER = "jensen's train()", "common practice"
GOALS = {"PixelCNN": 1.15, "MADE": 1.0}
"""Times as fast."""
Loop = Callable[[Any, "Tensor", int, int], None]


def common_practice(model: Model, x: Tensor, batch: int, steps: int) -> None:
    """DataLoader, default Adam, negative log-likelihood."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(x), batch_size=batch, shuffle=True, drop_last=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    model.train()
    done = 0
    while done < steps:
        for (rows,) in loader:
            optimizer.zero_grad()
            loss = -model.log_prob(rows).mean()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                return


def jensens(space: Space, x: Tensor, batch: int) -> Loop:
    """jensen's own train() on a feed that was made once."""
    import torch

    from jensen.codec import Integers
    from jensen.feed import Feed
    from jensen.objectives.likelihood import Likelihood
    from jensen.plan import Plan
    from jensen.train import train

    feed = Feed(x.numpy(), Integers(space), batch, 0, torch.device("cpu"), torch.float32)

    def run(model: Any, _: Tensor, batch: int, steps: int) -> None:
        train(model, Likelihood(), feed, Plan(steps=steps, batch=batch, rate=RATE))

    return run


def as_people_write_it(model: Model) -> Any:
    """A copy of the model in which every masked layer is the plain torch layer that overwrites its weights."""
    from torch import nn

    from jensen.nn.masked import MaskedConv2d, MaskedLinear

    class Linear(nn.Linear):
        mask: Tensor

        def forward(self, x: Tensor) -> Tensor:
            self.weight.data *= self.mask
            return super().forward(x)

    class Conv2d(nn.Conv2d):
        mask: Tensor

        def forward(self, x: Tensor) -> Tensor:
            self.weight.data *= self.mask
            return super().forward(x)

    def plain(layer: nn.Module) -> nn.Module | None:
        if isinstance(layer, MaskedLinear):
            return Linear(layer.mask.shape[1], layer.mask.shape[0])
        if isinstance(layer, MaskedConv2d):
            out, inside, height, width = layer.mask.shape
            return Conv2d(inside, out, (height, width), padding=(height // 2, width // 2))
        return None

    return _with_layers(copy.deepcopy(model), plain)


def _with_layers(model: Model, plain: Callable[[nn.Module], nn.Module | None]) -> Any:
    """Replace layers in place, keeping the weights, and the row-major layout that torch gives them."""
    import torch

    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            new = plain(layer)
            if new is None:
                continue
            with torch.no_grad():
                for key in ("weight", "bias"):
                    getattr(new, key).copy_(getattr(layer, key))
                new.register_buffer("mask", layer.get_buffer("mask").contiguous())
            setattr(parent, name, new)
    return model


def plain_pixelcnn(model: Model) -> Any:
    """The PixelCNN as people write it: plain layers, and features in the row-major layout (NCHW)."""
    import torch

    plain = as_people_write_it(model)

    def conditionals(x: Tensor, c: Tensor | None = None) -> Tensor:
        n, colours, height, width = x.shape
        h = plain.first(plain.input(x).movedim(-1, 2).reshape(n, -1, height, width).contiguous())
        for block in plain.blocks:
            h = h + block(h, None)
        h = plain.last(torch.relu(plain.hidden(torch.relu(h))))
        return h.reshape(n, colours, -1, height, width).movedim(2, -1)

    plain.conditionals = conditionals
    return plain


def cases() -> dict[str, tuple[Model, int, int]]:
    """Title -> (model, batch, steps a slice). Everything is written out: a new default must change no benchmark."""
    from jensen.models.made import MADE
    from jensen.models.pixelcnn import PixelCNN
    from jensen.space import Space

    bits, digits = Space.binary((1, 28, 28)), Space.levels((1, 8, 8), 17)

    def pixelcnn(space: Space, inputs: str) -> PixelCNN:
        return PixelCNN(space, 32, layers=5, kernel=7, block_kernel=3, dropout=0.2, inputs=inputs)

    def made(space: Space, inputs: str) -> MADE:
        return MADE(space, (512, 512), dropout=0.0, inputs=inputs)

    return {
        "PixelCNN, 28x28 bits, scaled inputs, batch 64": (pixelcnn(bits, "scaled"), 64, 2),
        "PixelCNN, 8x8 of 17 levels, scaled inputs, batch 128": (pixelcnn(digits, "scaled"), 128, 8),
        "PixelCNN, 8x8 of 17 levels, one-hot inputs, batch 128": (pixelcnn(digits, "onehot"), 128, 8),
        "MADE 512-512, 784 bits, scaled inputs, batch 128": (made(Space.binary(784), "scaled"), 128, 20),
        "MADE 512-512, 64 sites of 17 levels, one-hot inputs, batch 128": (
            made(Space.levels(64, 17), "onehot"),
            128,
            20,
        ),
    }


def measure(model: Model, batch: int, steps: int, rounds: int, seed: int) -> list[Line]:
    """jensen's training and the common practice, interleaved."""
    import torch

    from jensen.models.pixelcnn import PixelCNN

    levels = model.space.max_levels or 2
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(levels, (2560, *model.space.shape), generator=generator)
    plain = plain_pixelcnn(model) if isinstance(model, PixelCNN) else as_people_write_it(model)
    ours = jensens(model.space, x, batch)
    _same_function(model, plain, x[:8])
    return interleave(
        {
            OURS: lambda: ours(model, x, batch, steps),
            PEER: lambda: common_practice(plain, x, batch, steps),
        },
        PEER,
        rounds=rounds,
        units=steps,
        seed=seed,
        twice=[OURS],
    )


def records(tables: dict[str, list[Line]]) -> list[Record]:
    """One a model."""
    return [
        speed(
            lines,
            OURS,
            PEER,
            name=f"training, {title.rpartition(', ')[0]}",
            goal=GOALS[title.split()[0].rstrip(",")],
            command=command(),
        )
        for title, lines in tables.items()
    ]


def _same_function(ours: Model, plain: Model, x: Tensor) -> None:
    """Both sides must compute the same thing, or their times say nothing."""
    import torch

    ours.eval(), plain.eval()
    with torch.no_grad():
        torch.testing.assert_close(ours.log_prob(x), plain.log_prob(x), rtol=1e-4, atol=1e-3)


def main() -> None:
    """Print one table a model."""
    passive()
    given = options(__doc__ or "", rounds=25, only=str)
    import torch

    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    tables = {
        f"{title}, {given.rounds} rounds of {steps} steps": measure(
            model, batch, steps, given.rounds, given.seed
        )
        for title, (model, batch, steps) in cases().items()
        if (given.only or "").lower() in title.lower()
    }
    report(tables, conditions(given.threads), unit="step", as_json=given.json, records=records(tables))


if __name__ == "__main__":
    main()
