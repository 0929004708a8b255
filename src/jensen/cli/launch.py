"""One command as several processes on this machine, one a device: started, watched and ended together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import click

from jensen.cli.failures import ARGUMENTS, LOST
from jensen.interrupt import LAUNCHER

PATIENCE = 20.0
"""Seconds that processes get to end by themselves once one of them has."""


def started_already() -> bool:
    """Whether this process is one of several that torchrun, or `launch`, started."""
    return "LOCAL_RANK" in os.environ


def rank_of(devices: int | None) -> int:
    """The number of this process among those that train together; 0 where it is alone."""
    return int(os.environ.get("RANK", "0")) if devices is not None else 0


def start_together(devices: int | None) -> None:
    """Run the present command as so many processes and exit with their code, unless it is one of them already."""
    if devices is None or devices == 1 or started_already():
        return
    words = click.get_current_context().meta.get(ARGUMENTS, ())
    raise click.exceptions.Exit(launch([sys.executable, "-m", "jensen", *words], devices))


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Where this process is one of several: end it without taking torch apart.

    The threads of its process groups are now and then still running when the interpreter goes, and abort it (torch 2.13).
    """
    if not started_already():
        yield
        return
    try:
        yield
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def launch(command: Sequence[str], count: int) -> int:
    """Run a command as `count` processes that know of one another as those of torchrun do; the exit code of the first.

    Ctrl-C and SIGTERM go to all of them, once each. When one ends before its time, the others get some seconds to say so.
    What the first one prints is printed; of the others only what they say when the first one could say nothing.
    """
    port = _free_port()
    with ExitStack() as stack:
        said: list[IO[bytes]] = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        processes: list[subprocess.Popen[bytes]] = []
        for rank in range(count):
            out: Any = None if rank == 0 else said[rank]
            processes.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, **_environment(rank, count, port)},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            )
        with _forwarded(processes):
            _wait(processes)
        codes = [process.returncode for process in processes]
        if codes[0] == LOST or codes[0] < 0:
            _tell(codes, said)
        first = next((code for code in codes if code not in (0, LOST)), codes[0])
        return first if first >= 0 else 128 - first


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    """What torchrun would set, whose child this is, and torch's word that it stays silent about its own settings."""
    return {
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        LAUNCHER: str(os.getpid()),
    }


@contextmanager
def _forwarded(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on: the processes have sessions of their own, and do not hear the terminal."""

    def forward(number: int, frame: Any) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    previous = {one: signal.signal(one, forward) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)


def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
    """Until all have ended; once one has, the others are asked to after a while, and made to after another."""
    ended: float | None = None
    asked = False
    while any(process.poll() is None for process in processes):
        time.sleep(0.05)
        if ended is None and any(process.returncode is not None for process in processes):
            ended = time.monotonic()
        if ended is None:
            continue
        waited = time.monotonic() - ended
        # one that ended well has done its part: the first may still have much to print
        failed = any(process.returncode not in (0, None) for process in processes)
        for process in processes:
            if process.poll() is not None or not failed:
                continue
            if waited > 2 * PATIENCE:
                process.kill()
            elif waited > PATIENCE and not asked:
                process.terminate()
        asked = asked or waited > PATIENCE


def _tell(codes: list[int], said: list[IO[bytes]]) -> None:
    """What the others said, where the first one only lost them or was killed, and which process was killed."""
    for rank, code in enumerate(codes):
        if code < 0:
            name = signal.Signals(-code).name
            print(f"process {rank + 1} of {len(codes)} was ended by {name}", file=sys.stderr)
    wanted = [rank for rank, code in enumerate(codes) if rank and code > 0 and (code != LOST or codes[0] < 0)]
    for rank in wanted[:1]:
        said[rank].seek(0)
        sys.stderr.write(said[rank].read(1 << 16).decode(errors="replace"))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
