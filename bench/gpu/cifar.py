"""CIFAR-10 from JPEG files, and a linear probe on the device: what simclr.py stands on.

The images are CIFAR-10's own 50,000 and 10,000, compressed as JPEG: numbers from them are not those of the original.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Images = Any
"""uint8 (n, 3, 32, 32) as NumPy."""

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)
"""L2 penalties on the weights of standardised features that are tried."""


def load(folder: Path, most: int | None = None) -> dict[str, tuple[Images, Any]]:
    """Images and labels of "train" and "test": from the folder's tar file, or from train/CLASS/*.jpg and test/CLASS/*.jpg.

    `most`: images a class and part, all by default.
    """
    import numpy as np

    found: dict[str, dict[str, list[Any]]] = {"train": {}, "test": {}}
    for part, label, data in _files(folder, most):
        found[part].setdefault(label, []).append(_pixels(data))
    names = sorted(found["train"])
    if len(names) != 10 or sorted(found["test"]) != names:
        sys.exit(f"{folder} holds {len(names)} classes: give the folder of cifar10-jpeg")
    return {
        part: (
            np.stack([image for name in names for image in classes[name]]),
            np.repeat(np.arange(len(names)), [len(classes[name]) for name in names]),
        )
        for part, classes in found.items()
    }


def _files(folder: Path, most: int | None) -> Iterator[tuple[str, str, bytes]]:
    """(part, class, JPEG bytes), in the order of the names, which end in the number within the class."""

    def wanted(name: str) -> bool:
        stem, _, suffix = name.rpartition(".")
        return suffix == "jpg" and (most is None or int(stem.rpartition("/")[2]) < most)

    archives = sorted(folder.glob("*.tar*"))
    if not archives:
        for path in sorted(folder.glob("t*/*/*.jpg")):
            if wanted(path.as_posix()):
                yield path.parts[-3], path.parts[-2], path.read_bytes()
        return
    with tarfile.open(archives[0], "r|*") as archive:
        for member in archive:
            data = archive.extractfile(member) if member.isfile() and wanted(member.name) else None
            if data is not None:
                part, label, _ = member.name.split("/")[-3:]
                yield part, label, data.read()


def _pixels(data: bytes) -> Images:
    import numpy as np
    from PIL import Image

    return np.moveaxis(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), -1, 0)


def linear_probe(train: tuple[Any, Any], test: Any, seed: int, device: str) -> tuple[Any, float]:
    """Classes of test features (m, d) by softmax regression on features (n, d) of the training rows, and its penalty.

    A tenth of the training rows chooses the penalty; then all of them are fitted. Float32 features are standardised.
    """
    import numpy as np
    import torch

    x, y = (torch.as_tensor(one).to(device) for one in train)
    mean, scale = x.mean(0), x.std(0).clamp(min=1e-6)
    x, held = (x - mean) / scale, (torch.as_tensor(test).to(device) - mean) / scale
    apart = torch.from_numpy(np.random.default_rng(seed).permutation(len(x))).to(device)
    valid, rest = apart[: len(x) // 10], apart[len(x) // 10 :]

    def right(penalty: float) -> float:
        return float((_regression(x[rest], y[rest], penalty)(x[valid]).argmax(1) == y[valid]).float().mean())

    best = max(STRENGTHS, key=right)
    return _regression(x, y, best)(held).argmax(1).cpu().numpy(), best


def _regression(x: Any, y: Any, penalty: float, rounds: int = 200) -> Any:
    """Softmax regression with that L2 penalty, by L-BFGS: a function from features to logits."""
    import torch
    from torch.nn.functional import cross_entropy

    weights = torch.zeros(x.size(1), int(y.max()) + 1, device=x.device, requires_grad=True)
    bias = torch.zeros(weights.size(1), device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights, bias], max_iter=rounds, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Any:
        solver.zero_grad()
        value = cross_entropy(x @ weights + bias, y) + penalty * weights.square().sum()
        value.backward()
        return value

    solver.step(loss)
    fixed, shift = weights.detach(), bias.detach()
    return lambda rows: rows @ fixed + shift
