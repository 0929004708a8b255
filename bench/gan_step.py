"""A step of an adversarial game against the same networks and cost in a bare loop with torch's fused Adam, interleaved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from interleave import Line, command, conditions, interleave, options, passive, report, speed
from record import Record

if TYPE_CHECKING:
    from torch import Tensor

    from jensen.space import Space

OURS, PEER = "jensen's Player", "bare loop"
GOAL = 1 / 1.05
"""As a speed: at most 1.05 times the time of the bare loop."""
UNITS = 5


def ours(space: Space, x: Tensor) -> Callable[[], None]:
    """Both turns through jensen's Player."""
    from jensen.models.gan import GAN
    from jensen.objectives.adversarial import Adversarial
    from jensen.plan import Plan
    from jensen.player import Player

    players = [Player(turn, Plan()) for turn in Adversarial().turns(GAN(space).train())]
    return lambda: [player.play(x, None, 1e-4) for player in players] and None


def bare(space: Space, x: Tensor) -> Callable[[], None]:
    """The textbook loop, written out: detach, freeze, backward, step."""
    import torch

    from jensen.models.gan import GAN
    from jensen.objectives.adversarial import Adversarial

    d_turn, g_turn = Adversarial().turns(GAN(space).train())
    game = d_turn.game
    pairs = [
        (turn, torch.optim.Adam(turn.moves, lr=1e-4, betas=turn.betas, fused=True))
        for turn in (d_turn, g_turn)
    ]
    rules, cost = game.rules, game.rules.cost

    def play() -> None:
        fake = game.model.draw(len(x))
        real, seen = (
            game.model.features(x).requires_grad_(rules.r1 > 0),
            fake.detach().requires_grad_(rules.r2 > 0),
        )
        logits = [game.judge(side, None) for side in (real, seen)]
        loss = cost.discriminator(*logits)
        for gamma, side, logit in ((rules.r1, real, logits[0]), (rules.r2, seen, logits[1])):
            if gamma > 0:
                (slope,) = torch.autograd.grad(logit.sum(), side, create_graph=True)
                loss = loss + gamma / 2 * slope.square().sum() / len(x)
        pairs[0][1].zero_grad()
        loss.backward()
        pairs[0][1].step()
        game.critic.requires_grad_(False)
        on_data = game.judge(real.detach(), None) if cost.PAIRED else logits[0].detach()
        loss = cost.generator(on_data, game.judge(fake, None))
        pairs[1][1].zero_grad()
        loss.backward()
        pairs[1][1].step()
        game.critic.requires_grad_(True)

    return play


def measure(space: Space, batch: int, rounds: int, seed: int) -> list[Line]:
    """Both sides on random rows of the space."""
    import torch

    x = torch.randint(0, 17, (batch, 1, 8, 8)) if space.is_image else torch.randn(batch, 2)
    sides = {OURS: ours(space, x), PEER: bare(space, x)}

    def slices(play: Callable[[], None]) -> Callable[[], object]:
        return lambda: [play() for _ in range(UNITS)]

    return interleave(
        {name: slices(play) for name, play in sides.items()},
        PEER,
        rounds=rounds,
        units=UNITS,
        seed=seed,
        twice=[OURS],
    )


def records(tables: dict[str, list[Line]]) -> list[Record]:
    """One a game."""
    return [
        speed(lines, OURS, PEER, name=f"adversarial step, {title}", goal=GOAL, command=command())
        for title, lines in tables.items()
    ]


def main() -> None:
    """Print a table a game."""
    passive()
    given = options(__doc__ or "", rounds=31)
    import torch

    from jensen.space import Space

    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    games = {
        "digits, 64 rows": (Space.levels((1, 8, 8), 17), 64),
        "two columns, 128 rows": (Space.real(2), 128),
    }
    tables = {
        title: measure(space, batch, given.rounds, given.seed) for title, (space, batch) in games.items()
    }
    report(tables, conditions(given.threads), unit="step", as_json=given.json, records=records(tables))


if __name__ == "__main__":
    main()
