"""A batch in several hands: processes, or pieces, make the losses and the weights of one process with the whole batch."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from training_cases import CASES, trained

from jensen.codec import Dequantise, Integers
from jensen.data.arraylike import OnDisk
from jensen.errors import UsageError
from jensen.feed import Feed
from jensen.functional.share import Share, dropout, holding, rand, randint, randn
from jensen.sharded import Sharded, cuts_on_cpus
from jensen.space import Space

WORKER = Path(__file__).with_name("training_cases.py")

TOLERANCE = 1e-7
"""Relative, in float64: two dozen steps of Adam magnify a rounding of 1e-16 where the second moment is small."""


def as_processes(command: list[str], count: int, **environment: str) -> None:
    """Run a command as so many processes of one group."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    quiet = {"PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **quiet, **environment}
            | {name: str(value) for name, value in {**common, "RANK": rank, "LOCAL_RANK": rank}.items()},
        )
        for rank in range(count)
    ]
    assert [one.wait(timeout=300) for one in running] == [0] * count


CUTS = pytest.mark.skipif(not cuts_on_cpus(), reason="this torch cuts weights among GPUs alone")

CUT = [
    *("likelihood, in pieces", "likelihood, dropped channels", "likelihood, attention", "elbo, free bits"),
    *("contrastive", "contrastive, images", "reverse-kl, path", "reverse-kl, alpha"),
]
"""What is trained with weights that are cut among the processes, too."""


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of what two processes made of every training, by strategy; workers of one run of the tests share them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "by-two"
    folder.mkdir(exist_ok=True)
    found = {strategy: folder / strategy for strategy in ("ddp", "fsdp")}
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for strategy, names in (("ddp", list(CASES)), ("fsdp", CUT if cuts_on_cpus() else [])):
            if not found[strategy].exists():
                made = folder / f"{strategy}-half"
                made.mkdir(exist_ok=True)
                as_processes([str(WORKER), str(made), "2", strategy, *names], 2)
                made.rename(found[strategy])
    return found


@pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning")
@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        *(("ddp", name) for name in CASES),
        *(pytest.param("fsdp", name, marks=CUTS) for name in CUT),
    ],
)
def test_two_processes_train_as_one_with_the_whole_batch(
    strategy: str, name: str, by_two: dict[str, Path]
) -> None:
    two, one = load_file(by_two[strategy] / f"{name}.safetensors"), trained(name)
    assert two.keys() == one.keys() and len(one["loss"]) == 2
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.filterwarnings("ignore::jensen.errors.JensenWarning")
@pytest.mark.parametrize(
    "name", ["likelihood, dropout", "likelihood, dropped channels", "elbo", "dreg", "miwae"]
)
def test_a_batch_in_pieces_trains_as_in_one(name: str) -> None:
    whole, pieces = trained(name), trained(name, accumulate=3)
    for key, value in whole.items():
        torch.testing.assert_close(pieces[key], value, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_torch_that_cuts_no_models_on_the_cpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "Stream", object)
    with pytest.raises(UsageError, match=r"on the CPU.*got torch .*strategy ddp"):
        Sharded("cpu", 2, 1)


@pytest.mark.parametrize("name", ["contrastive", "adversarial", "elbo, free bits", "reverse-kl, path"])
def test_a_loss_that_is_no_mean_over_rows_is_not_cut_in_pieces(name: str) -> None:
    with pytest.raises(UsageError, match="no mean over rows"):
        trained(name, accumulate=2)


def _drawn(kind: str) -> Tensor:
    """What a share draws: 2 numbers a row, or 3 draws a row side by side, or one for two rows."""
    generator = torch.Generator().manual_seed(0)
    n = 6 if (share := _share) is None else share.stop - share.start
    match kind:
        case "uniform":
            return rand(n, 2, generator=generator, dtype=torch.float64)
        case "normal":
            return randn(3 * n, generator=generator)
        case "inner axis":
            return rand(5, n, 2, rows=1, generator=generator).movedim(1, 0)
        case "whole":
            return randint(0, 99, n, 4, generator=generator)
        case _:
            return randn(n // 2, 3, generator=generator)


_share: Share | None = None


@pytest.mark.parametrize("kind", ["uniform", "normal", "inner axis", "whole", "pairs"])
def test_shares_draw_what_the_whole_batch_draws(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = _drawn(kind), []
    for start in (0, 2, 4):
        share = Share(start, start + 2, 6)
        monkeypatch.setattr(sys.modules[__name__], "_share", share)
        with holding(share):
            parts.append(_drawn(kind))
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("channels", [False, True])
def test_shares_drop_what_the_whole_batch_drops(channels: bool) -> None:
    x = torch.rand(6, 3, 4, 4) + 1
    torch.manual_seed(5)
    whole, parts = dropout(x, 0.4, True, channels), []
    for start in (0, 2, 4):
        with holding(Share(start, start + 2, 6, torch.Generator().manual_seed(5))):
            parts.append(dropout(x[start : start + 2], 0.4, True, channels))
    assert torch.equal(torch.cat(parts), whole) and bool((whole == 0).any())
    assert torch.equal(dropout(x, 0.4, False), x)


class _Disk(OnDisk):
    """Rows that count who reads them."""

    block = 7

    def __init__(self, rows: NDArray[np.uint8]) -> None:
        self.rows, self.shape, self.dtype = rows, rows.shape, rows.dtype
        self.asked = 0

    def read(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        self.asked += len(rows)
        return self.rows[rows]


@pytest.mark.parametrize("disk", [False, True])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_order_of_the_rows_does_not_depend_on_how_many_share_them(
    disk: bool, noise: bool, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, batch = 150, 12
    monkeypatch.setattr("jensen.feed.SHARD_BYTES", 8 * 60)  # shards of 60 rows
    space = Space.levels(1, n)
    rows = np.arange(n, dtype=np.uint8)[:, None]
    codec = Dequantise(space) if noise else Integers(space)

    def batches(rank: int, of: int, start: int = 0) -> tuple[list[Tensor], int]:
        source = _Disk(rows) if disk else rows
        feed = Feed(source, codec, batch, 3, torch.device("cpu"), torch.float64, rank=rank, processes=of)  # type: ignore[arg-type]
        found = [x for _, (x, _) in zip(range(26), feed.batches(start))]
        return found, source.asked if isinstance(source, _Disk) else 0

    alone, _ = batches(0, 1)
    shared = [batches(rank, processes)[0] for rank in range(processes)]
    for step, x in enumerate(alone):
        assert torch.equal(torch.cat([found[step] for found in shared]), x)
    epoch = torch.cat(alone[: n // batch]).floor().flatten().tolist()
    assert len(set(epoch)) == len(epoch)  # each row once
    late = batches(processes - 1, processes, start=9)[0]
    assert all(torch.equal(a, b) for a, b in zip(late, shared[-1][9:]))


def test_from_disk_each_process_reads_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.feed.SHARD_BYTES", 8 * 60)
    source = _Disk(np.arange(120, dtype=np.uint8)[:, None])
    feed = Feed(
        source, Integers(Space.levels(1, 120)), 12, 0, torch.device("cpu"), torch.float32, rank=1, processes=3
    )  # type: ignore[arg-type]
    next(iter(feed.batches()))
    assert 0 < source.asked <= 3 * 20  # a third of the shard, of the one that is read ahead, and of one more


def test_a_batch_of_fewer_rows_than_processes_is_refused() -> None:
    with pytest.raises(UsageError, match="a row of each batch"):
        Feed(
            np.zeros((9, 1)),
            Integers(Space.levels(1, 2)),
            2,
            0,
            torch.device("cpu"),
            torch.float32,
            rank=0,
            processes=3,
        )
