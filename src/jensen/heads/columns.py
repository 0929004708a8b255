"""A table's columns, each from the head that suits it: numbers beside categories, and gaps that are values."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen.errors import SpaceError
from jensen.functional.inversion import check_temperature
from jensen.heads import MANY, Head, check_components, fitting, head_for
from jensen.space import Column, Space


class ColumnHeads(nn.Module):
    """Real columns from a mixture of normals, levels from a mixture of logistics or a logit each, the rest categorical.

    A gap (nan) of a real column, or of one of many levels, is an atom: P(gap) = sigmoid of one more parameter, and p(x) = (1 - P(gap)) times the mixture.
    Rows hold nan there. Parameters (..., d, size), rows (..., d); a column with fewer parameters leaves the last ones
    unused. Log-likelihoods are exact, of a mixed measure: density where real, mass elsewhere.

    While `whole`, columns have no gaps: every log-likelihood and sample is conditional on that. Raises SpaceError for
    images.

    >>> head = ColumnHeads(Space((2,), (Column("real"), Column("categorical", 4))), components=1)
    >>> head.log_prob(torch.zeros(1, 2, head.size), torch.tensor([[0.0, 3.0]])).exp()[0, 1].item()
    0.25
    """

    gappy: Tensor
    group: Tensor
    place: Tensor
    void: Tensor

    def __init__(self, space: Space, components: int = 10) -> None:
        super().__init__()
        check_components(components)
        if space.is_image or "unseen" in space.gaps:
            raise SpaceError("column heads need a table's columns", f"got {space.describe()}", fitting(space))
        kinds = [_group(space.column(site)) for site in range(space.dims)]
        self.whole = False
        self.names = sorted(set(kinds))
        self.heads = nn.ModuleList()
        group, place = torch.zeros(space.dims, dtype=torch.long), torch.zeros(space.dims, dtype=torch.long)
        for number, name in enumerate(self.names):
            mine = torch.tensor([site for site, kind in enumerate(kinds) if kind == name])
            group[mine], place[mine] = number, torch.arange(len(mine))
            some = tuple(replace(space.column(site), gaps="") for site in mine.tolist())
            self.heads.append(cast(nn.Module, head_for(Space((len(mine),), some), name, components)))
            self.register_buffer(f"sites{number}", mine, persistent=False)
        columns = [space.column(site) for site in range(space.dims)]
        gappy = [column.gaps == "value" for column in columns]
        self.some_gappy = any(gappy)
        self.size = max(int(head.size) for head in self.heads) + self.some_gappy  # type: ignore[arg-type]
        """Parameters a column."""
        self.discrete = space.measure == "mass" and not self.some_gappy
        void = [(column.levels or 0) - 1 if column.gaps == "level" else -1 for column in columns]
        self.some_void = max(void) >= 0
        self.register_buffer("gappy", torch.tensor(gappy), persistent=False)
        self.register_buffer("group", group, persistent=False)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("void", torch.tensor(void), persistent=False)

    def log_prob(self, parameters: Tensor, x: Tensor, sites: Tensor | None = None) -> Tensor:
        """Log mass or density (...) of every column, nats; of flat `sites` (m,) where given, parameters (n, m, size)."""
        parameters, away = self._split(parameters, sites)
        x = x.expand(parameters.shape[:-1])
        gap = x.isnan() if away is not None else None
        filled = x if gap is None else x.masked_fill(gap, 0.0)
        out = torch.zeros_like(parameters[..., 0])
        for name, head, mine, inner in self._parts(sites):
            values = filled.index_select(-1, mine)
            values = values if name == "gaussian" else values.long()
            some = parameters.index_select(-2, mine)[..., : head.size]
            found = head.log_prob(some, values, None if sites is None else inner)
            out = out.index_copy(-1, mine, found.to(out.dtype))
        if away is None or gap is None or self.whole:
            return out
        flag = self.gappy if sites is None else self.gappy[sites]
        return torch.where(flag, torch.where(gap, F.logsigmoid(away), F.logsigmoid(-away) + out), out)

    def sample(self, parameters: Tensor, u: Tensor, sites: Tensor, temperature: float = 1.0) -> Tensor:
        """Flat `sites` (m,) by inversion: parameters (n, m, size), u (n, m) -> (n, m); nan is a gap.

        Of a column with gaps, u below P(gap) is one, and what is left of u draws the value.
        """
        parameters, away = self._split(parameters, sites)
        u = u.double()
        gap = None
        if away is not None and not self.whole:
            if temperature != 1:
                check_temperature(temperature)
            p = (away.double() / temperature).sigmoid() * self.gappy[sites]
            gap = u < p
            u = torch.where(gap, 0.5, (u - p) / (1 - p).clamp(min=1e-300)).clamp(0, 1 - 2**-53)
        out = torch.zeros(u.shape, dtype=parameters.dtype, device=u.device)
        for _, head, mine, inner in self._parts(sites):
            some = parameters.index_select(-2, mine)[..., : head.size]
            found = head.sample(some, u.index_select(-1, mine), inner, temperature)
            out.index_copy_(-1, mine, found.to(out.dtype))
        if gap is not None:
            out.masked_fill_(gap, math.nan)
        return out.long() if self.discrete else out

    def _split(self, parameters: Tensor, sites: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Parameters of the values, and the logit of a gap, which is the last; without gaps in discrete columns if `whole`."""
        away = None
        if self.some_gappy:
            parameters, away = parameters[..., :-1], parameters[..., -1]
        if self.whole and self.some_void:
            void = self.void if sites is None else self.void[sites]
            level = torch.arange(parameters.shape[-1], device=parameters.device)
            parameters = parameters.masked_fill(level == void.unsqueeze(-1), -1e30)
        return parameters, away

    def _parts(self, sites: Tensor | None) -> list[tuple[str, Head, Tensor, Tensor]]:
        """For each head, by name, the columns it has: where they lie among `sites`, and their numbers inside the head."""
        heads = zip(self.names, cast("list[Head]", list(self.heads)))
        if sites is None:
            return [
                (name, head, (mine := getattr(self, f"sites{i}")), mine)
                for i, (name, head) in enumerate(heads)
            ]
        group, place = self.group[sites], self.place[sites]
        found = []
        for number, (name, head) in enumerate(heads):
            mine = (group == number).nonzero().flatten()
            if len(mine):
                found.append((name, head, mine, place[mine]))
        return found


def _group(column: Column) -> str:
    """The head of a column."""
    if column.kind == "real":
        return "gaussian"
    return "logistic" if column.kind == "levels" and (column.levels or 0) > MANY else "categorical"
