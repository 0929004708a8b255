"""The stream of random numbers that the shares of a batch have in common."""

from __future__ import annotations

import torch


class Stream:
    """The random numbers that are common to all shares: torch's own stream from the moment a batch is first cut.

    From then on torch's own is another one in every process, for modules that draw without asking whose rows they are.
    """

    def __init__(self, device: torch.device, rank: int) -> None:
        own = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
        self.generator = torch.Generator(device)
        self.generator.set_state(own)
        seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(rank + 1)))
        torch.manual_seed(seed ^ (torch.initial_seed() & (2**62 - 1)))
