"""Training state on disk: one safetensors file, renamed into place, from which a run resumes exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from jensen.errors import DataError
from jensen.store import load_tensors, save_tensors

FILE = "checkpoint.safetensors"


def checkpoint_in(folder: Path) -> bool:
    """Whether a folder holds the checkpoint of an interrupted run."""
    return (folder / FILE).exists()


def save_checkpoint(folder: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write the tensors and the JSON facts of a moment in training, atomically."""
    save_tensors(folder / FILE, tensors, {"facts": json.dumps(facts)})


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The last checkpoint of a folder. Raises DataError when there is none, or it is damaged."""
    path = folder / FILE
    if not path.exists():
        raise DataError("there is no interrupted run to resume", f"{path} is missing", "fit without resume")
    tensors = load_tensors(path)
    try:
        with safe_open(path, "pt") as handle:
            facts = json.loads((handle.metadata() or {})["facts"])
        if not isinstance(facts, dict):
            raise ValueError("its facts are no record")
    except (KeyError, ValueError, RecursionError, SafetensorError, OSError) as error:
        raise damaged(folder, error) from None
    return tensors, facts


def damaged(folder: Path, error: Exception) -> DataError:
    """What is said of a checkpoint that cannot be used."""
    said = f"lacks {error}" if isinstance(error, KeyError) else str(error).split("\n")[0][:200]
    return DataError("a checkpoint is damaged", f"{folder / FILE}: {said}", "fit again with overwrite")


def drop_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a finished run."""
    (folder / FILE).unlink(missing_ok=True)
