"""Dropout whose draws belong to rows: a batch that is cut in shares drops what it would have dropped in one piece."""

from __future__ import annotations

from torch import Tensor, nn

from jensen.functional.share import dropout


class Dropout(nn.Module):
    """Numbers of (n, ...), or with `whole_channels` whole channels of (n, c, ...), set to 0 at this rate, in training only."""

    def __init__(self, rate: float, whole_channels: bool = False) -> None:
        super().__init__()
        self.rate, self.whole_channels = nn.Dropout(rate).p, whole_channels

    def forward(self, x: Tensor) -> Tensor:
        """x with some numbers dropped, the others divided by 1 - rate."""
        return dropout(x, self.rate, self.training, self.whole_channels)
