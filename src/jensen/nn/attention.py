"""A causal Transformer block: over a whole sequence at once, or a place at a time with a cache of keys and values."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.nn.dropout import Dropout
from jensen.sampling.keys import Cache


class CausalBlock(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); every place attends to itself and to earlier ones.

    `width` is a multiple of `heads`; the MLP is four times as wide. `gain` scales the weights that write into x: with
    1 / sqrt(2 layers) the variance of the sum does not grow with depth. Source: Radford et al. 2019, GPT-2, section 2.3.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, gain: float = 1.0) -> None:
        super().__init__()
        if width < 1 or heads < 1 or width % heads:
            raise UsageError(
                "expected a width that is a multiple of the number of heads",
                f"got width={width}, heads={heads}",
                "64 and 4, say",
            )
        self.heads, self.size = heads, width // heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.dropout = Dropout(dropout)
        with torch.no_grad():
            for layer in (self.outward, self.narrow):
                layer.weight.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        """(n, places, width) -> the same shape."""
        q, k, v = self._heads(x)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.outward(seen.transpose(1, 2).flatten(2)))
        return x + self.dropout(self._mlp(x))

    def cache(self, n: int, places: int) -> Cache:
        """Room for the keys and values of n rows."""
        room = self.inward.weight.new_zeros(2, n, self.heads, self.size * places)
        return room[0].view(n, self.heads, self.size, places), room[1].view(n, self.heads, places, self.size)

    def step(self, x: Tensor, cache: Cache, place: int) -> Tensor:
        """(n, width) of one place -> the same shape; writes its key and value into the cache.

        What `forward` computes for a place depends on earlier ones through it. Two products with the places side by
        side take 0.8 of the time of the fused attention, whose blocks of queries one query does not fill.
        """
        n, width = x.shape
        parts = self.inward(self.before_attention(x)).view(n, 3, self.heads, self.size)
        q, k, v = parts.unbind(1)
        keys, values = cache
        keys[..., place], values[:, :, place] = k, v
        links = (q * self.size**-0.5).unsqueeze(2) @ keys[..., : place + 1]
        seen = links.softmax(-1) @ values[:, :, : place + 1]
        x = x + self.outward(seen.view(n, width))
        return x + self._mlp(x)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (n, heads, places, size)."""
        n, places, _ = x.shape
        parts = self.inward(self.before_attention(x)).view(n, places, 3, self.heads, self.size)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def _mlp(self, x: Tensor) -> Tensor:
        out: Tensor = self.narrow(F.gelu(self.wide(self.before_mlp(x))))
        return out
