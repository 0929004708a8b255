"""Rows with a gradient: what a generator's network puts out, as rows that a discriminator can read."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.errors import UsageError
from jensen.functional.ancestral import uniforms
from jensen.space import Space

OUTPUTS = ("straight", "soft")


class Relaxed(nn.Module):
    """Between rows (n, *shape) and features (n, *shape, size), through which a gradient flows from one network to another.

    A real site is a number as it is; bits and levels are one number in [-1, 1]; a category has an indicator for each level
    (`size` is the largest number of them, 1 without categories, and one more where sites have gaps: the last number
    is then 1 at a gap, whose value is 0, and -1 elsewhere). `outputs`: "straight" rounds what the network puts out
    and lets the gradient pass as if it had not (straight-through; Gumbel noise for categories, Jang et al. 2017), so that
    samples and data look alike; "soft" leaves it between the levels until it is sampled.
    """

    top: Tensor
    gappy: Tensor
    ordered: Tensor
    code: Tensor
    allowed: Tensor

    def __init__(self, space: Space, outputs: str = "straight", temperature: float = 0.5) -> None:
        super().__init__()
        if outputs not in OUTPUTS or not temperature > 0:
            raise UsageError(
                "outputs are 'straight' or 'soft', at a temperature above 0",
                f"got {outputs!r} and {temperature!r}",
                "straight at 0.5 is usual",
            )
        self.straight, self.temperature = outputs == "straight", temperature
        self.discrete = space.kind not in ("real", "mixed")
        levels = torch.tensor(space.levels_by_site()).reshape(space.shape)
        kinds = [space.column(site).kind == "categorical" for site in range(space.dims)]
        code = torch.tensor(kinds).reshape(space.shape)
        columns = [space.column(site) for site in range(space.dims)]
        gappy = [column.gaps == "value" for column in columns]
        self.gaps = int(any(gappy))
        self.values = int(levels[code].max()) if any(kinds) else 1
        self.size = self.values + self.gaps
        self.register_buffer("gappy", torch.tensor(gappy).reshape(space.shape), persistent=False)
        self.some_ordered = bool(((levels > 0) & ~code).any())
        self.register_buffer("top", (levels - 1).clamp(min=1).float(), persistent=False)
        self.register_buffer("ordered", (levels > 0) & ~code, persistent=False)
        self.register_buffer("code", code, persistent=False)
        allowed = (torch.arange(self.values) < levels.unsqueeze(-1)) | ~code.unsqueeze(-1)
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A network's numbers (n, *shape, size) -> features of that shape, with a gradient."""
        if raw.dtype in (torch.bfloat16, torch.float16):
            raw = raw.float()  # under autocast the network runs in half precision; rows do not
        value, flag = raw[..., 0], None
        if self.gaps:
            flag = raw[..., -1].tanh()
            flag = flag.sign().detach() + (flag - flag.detach()) if self.straight else flag
            value = torch.where(self.gappy, value * (1 - flag) / 2, value)
        found = self._values(raw[..., : self.values], value, generator)
        return found if flag is None else self._beside(found, flag)

    def _values(self, raw: Tensor, value: Tensor, generator: torch.Generator | None) -> Tensor:
        """Features (n, *shape, values) without those of gaps."""
        if self.some_ordered:
            value = torch.where(self.ordered, value.tanh(), value)
            if self.straight:
                hard = torch.where(self.ordered, self._scaled(self._level(value.detach())), value.detach())
                value = hard + (value - value.detach())  # the second term is 0, but for its gradient
        if self.values == 1:
            return value.unsqueeze(-1)
        u = uniforms(len(raw), tuple(raw.shape[1:]), generator, raw.device).clamp(1e-12, 1 - 1e-12)
        noisy = (raw - (-u.log()).log().to(raw.dtype)).masked_fill(~self.allowed, -torch.inf)
        soft = (noisy / self.temperature).softmax(-1)
        if self.straight:
            soft = F.one_hot(soft.argmax(-1), self.values).to(soft.dtype) + (soft - soft.detach())
        return torch.where(self.code.unsqueeze(-1), soft, F.pad(value.unsqueeze(-1), (0, self.values - 1)))

    def features(self, x: Tensor) -> Tensor:
        """Rows (n, *shape) -> features (n, *shape, size)."""
        gap = x.isnan() if self.gaps else None
        x = x if gap is None else x.masked_fill(gap, 0.0)
        value = torch.where(self.ordered, self._scaled(x), x.to(self.top.dtype))
        found = value.unsqueeze(-1)
        if self.values > 1:
            hot = (x.unsqueeze(-1) == torch.arange(self.values, device=x.device)).to(value.dtype)
            found = torch.where(self.code.unsqueeze(-1), hot, F.pad(found, (0, self.values - 1)))
        return found if gap is None else self._beside(found, 2 * gap.to(value.dtype) - 1)

    def rows(self, features: Tensor) -> Tensor:
        """Features (n, *shape, size) -> the nearest rows (n, *shape): int64 where all sites are discrete, nan at a gap."""
        values = features[..., : self.values]
        value = torch.where(self.ordered, self._level(values[..., 0]), values[..., 0])
        if self.values > 1:
            value = torch.where(self.code, values.argmax(-1).to(value.dtype), value)
        if self.gaps:
            value = value.masked_fill((features[..., -1] > 0) & self.gappy, torch.nan)
        return value.long() if self.discrete else value

    def _beside(self, found: Tensor, flag: Tensor) -> Tensor:
        """Features with the flag of gaps behind them, 0 where a site has none."""
        return torch.cat([found, torch.where(self.gappy, flag, 0.0).unsqueeze(-1)], -1)

    def _level(self, value: Tensor) -> Tensor:
        return ((value + 1) * (self.top / 2)).round()

    def _scaled(self, level: Tensor) -> Tensor:
        return level * (2 / self.top) - 1
