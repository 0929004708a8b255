"""Ctrl-C and SIGTERM as an event, so that a step is finished before the loop ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LAUNCHER = "JENSEN_LAUNCHER"
"""Names the process that started this one: where it is gone, so is the terminal that asked for the training."""

ASKED = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what a batch system or `kill` sends before it kills."""


class Pressed(threading.Event):
    """Whether somebody asked the loop to end; `number` is the signal that did."""

    number: int = signal.SIGINT


@contextmanager
def asked_to_end() -> Iterator[Pressed]:
    """The first signal sets the event; a second one does what it always did. Outside the main thread nothing changes."""
    pressed = Pressed()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def press(number: int, frame: Any) -> None:
        pressed.number = number
        pressed.set()
        restore()

    def restore() -> None:
        for one, handler in previous.items():
            signal.signal(one, handler)

    # a handler that was not set from Python reads None, and cannot be put back
    previous = {one: signal.getsignal(one) or signal.SIG_DFL for one in ASKED}
    for one in ASKED:
        signal.signal(one, press)
    try:
        yield pressed
    finally:
        restore()
