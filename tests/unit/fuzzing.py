"""What every fuzzed call must keep: an error of ours or a sane result, no hang, no warning of others, input as it was."""

from __future__ import annotations

import hashlib
import pickle
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import jensen
from jensen.errors import JensenError, JensenWarning

SECONDS = 20
"""Of CPU time: a bound on hangs, not on speed."""

OWN = str(Path(jensen.__file__).parent)


@contextmanager
def ours(quiet: bool = False) -> Iterator[None]:
    """Whatever is raised inside is an error of ours with its three parts; warnings are ours, or `quiet` any."""

    def late(*_: object) -> None:
        raise TimeoutError("the call hangs")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                yield
            except JensenError as error:
                assert error.wrong and error.given and error.do, f"a part is missing: {error!r}"
        strange = [
            one
            for one in said
            if not issubclass(one.category, JensenWarning)
            and not (issubclass(one.category, DeprecationWarning) and not one.filename.startswith(OWN))
        ]
        assert quiet or not strange, (
            f"{strange[0].category.__name__}: {strange[0].message} ({strange[0].filename}:{strange[0].lineno})"
        )
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def mark(x: Any) -> Any:
    """What changes when an input is changed; None for what cannot be told."""
    import torch

    try:
        if isinstance(x, torch.Tensor):
            plain = (
                torch.view_as_real(x.detach().resolve_conj())
                if x.is_complex() and not x.is_meta
                else x.detach()
            )
            if plain.layout is not torch.strided or plain.is_meta:
                return str(plain.layout), plain.shape, plain.dtype
            return plain.shape, plain.dtype, x.requires_grad, plain.double().numpy().tobytes(), x._version
        if isinstance(x, np.ndarray):
            if x.dtype.hasobject:
                return x.shape, repr(x.tolist())
            return x.shape, x.dtype, x.strides, x.flags.writeable, x.tobytes(), repr(getattr(x, "mask", None))
        if hasattr(x, "iloc") and hasattr(x, "columns"):  # pandas pickles what it has cached as well
            columns = [repr(x.iloc[:, i].tolist()) for i in range(x.shape[1])]
            return columns, repr(x.columns.tolist()), repr(x.index.tolist()), list(map(str, x.dtypes))
        return hashlib.blake2b(pickle.dumps(x)).digest()
    except Exception:  # what has no copy, such as an iterator, is not compared
        return None
