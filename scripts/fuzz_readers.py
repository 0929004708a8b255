"""Fuzz every reader of files, guided by the branches that an input reaches (libFuzzer through atheris).

    pip install atheris      # Linux, Python 3.11 to 3.13; no dependency of jensen
    python scripts/fuzz_readers.py csv [--seconds 60]

Readers: those of tests/unit/test_fuzz.py, and run (model.json) and weights (model.safetensors) of a run's folder. The
package `jensen` is instrumented, what it stands on is not. A file is read or refused with an error of three parts; no
other exception, no call of more than 20 s of CPU time, no more than 4 GiB of memory. libFuzzer prints how
many inputs there were; a find is printed with its traceback and the place of its file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))
with atheris.instrument_imports(include=["jensen"]):
    import jensen
    import jensen.checkpoint
    import jensen.data
    import jensen.data.encode
    import jensen.data.idx
    import jensen.data.images
    import jensen.data.infer
    import jensen.data.parquet
    import jensen.data.stored
    import jensen.data.tables
    import jensen.fitted
    import jensen.run_folder

import numpy as np
from fuzzing import ours
from test_fuzz import FILES, MEMORY

RUN = {"run": "model.json", "weights": "model.safetensors", "history": "history.csv"}


def reader(name: str, place: Path) -> tuple[Path, bytes, Callable[[], Any]]:
    """The file that is overwritten, a good one's bytes, and what reads it."""
    if name in RUN:
        rows = np.random.default_rng(0).normal(size=(60, 2))
        run = jensen.fit("realnvp", rows, steps=2, transforms=1, hidden=[4]).save(place / "run")
        return run / RUN[name], (run / RUN[name]).read_bytes(), lambda: jensen.load(run)
    file, make = FILES[name]
    path, valid = place / file, make()
    path.parent.mkdir(exist_ok=True)
    if path.parent == place:
        return path, valid, lambda: jensen.rows(path, memory=MEMORY)
    for other in "bcd":
        path.with_name(other + path.suffix).write_bytes(valid)
    return path, valid, lambda: jensen.rows(path.parent, memory=MEMORY)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("reader", choices=[*FILES, *RUN])
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="fuzz-readers-"))
    path, valid, read = reader(asked.reader, place)
    corpus = place / "corpus"
    corpus.mkdir()
    (corpus / "valid").write_bytes(valid)

    def one(content: bytes) -> None:
        path.write_bytes(content)
        with ours(quiet=True):
            read()

    words = [f"-max_total_time={asked.seconds}", f"-artifact_prefix={place}/", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *words, "-max_len=20000", "-timeout=60", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
