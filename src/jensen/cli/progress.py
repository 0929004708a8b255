"""Who follows the work: a bar on a terminal, plain lines elsewhere, nobody with --quiet. All on stderr."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from jensen.cli.terminal import echo
from jensen.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from jensen.train import Moment

EVERY = 10.0
"""Seconds between two plain lines."""


class Progress(ABC):
    """Somebody who is told how far the work is; closed when it ends, well or not."""

    @abstractmethod
    def stage(self, model: str, stage: str, moment: Moment | None = None) -> None:
        """A model has come to a stage, or is at a moment of its training."""

    @abstractmethod
    def count(self, what: str, total: int) -> Callable[[int], None]:
        """Whom to tell how many of `total` rows are done."""

    @abstractmethod
    def close(self, failed: bool = False) -> None:
        """The work is over."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=error is not None)


class Silent(Progress):
    """Says nothing."""

    def stage(self, model: str, stage: str, moment: Moment | None = None) -> None:
        """Nothing."""

    def count(self, what: str, total: int) -> Callable[[int], None]:
        """Nobody."""
        return lambda done: None

    def close(self, failed: bool = False) -> None:
        """Nothing."""


class Lines(Progress):
    """A line at the first moment, then every ten seconds, and one when a model is done."""

    def __init__(self, every: float = EVERY) -> None:
        self.every, self.spoke = every, 0.0
        self.model, self.now, self.begun = "", "", time.perf_counter()
        self.spent: list[str] = []
        self.valid = ""

    def stage(self, model: str, stage: str, moment: Moment | None = None) -> None:
        """Stages are summed up when the model is done; moments are spoken at their rate."""
        if model != self.model:
            self.close()
            self.model, self.spoke, self.valid = model, 0.0, ""
        if stage != self.now:
            self._end_stage()
            self.now, self.begun = stage, time.perf_counter()
        if moment is None:
            return
        self.valid = valid_text(moment) or self.valid
        if time.perf_counter() - self.spoke >= self.every:
            first = self.spoke == 0.0
            self.spoke = time.perf_counter()
            size = f"{size_text(moment.parameters)}; " if first and moment.parameters else ""
            text = f"{model}: {size}step {moment.step:,}, {100 * moment.progress:.0f}%, {moment_text(moment, self.valid)}"
            echo(text, err=True)

    def count(self, what: str, total: int) -> Callable[[int], None]:
        """A line at most every ten seconds: short work says nothing."""
        self.spoke = time.perf_counter()

        def tell(done: int) -> None:
            if time.perf_counter() - self.spoke >= self.every:
                self.spoke = time.perf_counter()
                echo(f"{what}: {done:,} of {total:,} rows", err=True)

        return tell

    def close(self, failed: bool = False) -> None:
        """Sum up the model that is done."""
        self._end_stage()
        if self.spent and not failed:
            echo(f"{self.model}: {', '.join(self.spent)}", err=True)
        self.spent = []

    def _end_stage(self) -> None:
        if self.now:
            self.spent.append(f"{self.now} {clock(time.perf_counter() - self.begun)}")
        self.now = ""


class Bars(Progress):
    """A bar a model, and one for rows that are counted; they vanish when the work is over."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

        self.rich: RichProgress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("[bold]{task.description}", markup=True),
            BarColumn(bar_width=20),
            TaskProgressColumn(text_format_no_percentage="    "),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=Console(stderr=True),
            transient=True,
        )
        self.rich.start()
        self.model, self.valid = "", ""
        self.task: TaskID | None = None
        self.begun = time.perf_counter()

    def stage(self, model: str, stage: str, moment: Moment | None = None) -> None:
        """A new model finishes the bar of the last one."""
        if model != self.model or self.task is None:
            self._finish()
            self.model, self.valid, self.begun = model, "", time.perf_counter()
            self.task = self.rich.add_task(_plain(model), total=None, detail="")
        if moment is None:
            self.rich.update(self.task, total=None, detail=stage)
            return
        self.valid = valid_text(moment) or self.valid
        self.rich.update(
            self.task, total=1.0, completed=moment.progress, detail=moment_text(moment, self.valid)
        )

    def count(self, what: str, total: int) -> Callable[[int], None]:
        """A bar of rows."""
        self._finish()
        task = self.task = self.rich.add_task(_plain(what), total=total, detail=f"{total:,} rows")
        return lambda done: self.rich.update(task, completed=done)

    def close(self, failed: bool = False) -> None:
        """Take the bars away."""
        self.rich.stop()

    def _finish(self) -> None:
        if self.task is not None:
            spent = clock(time.perf_counter() - self.begun)
            self.rich.update(self.task, total=1.0, completed=1.0, detail=spent)


def _plain(name: str) -> str:
    """A name that is no markup and moves no cursor."""
    from rich.markup import escape

    return escape(printable(name))


def open_progress(quiet: bool) -> Progress:
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Lines()


def moment_text(moment: Moment, valid: str) -> str:
    """Loss, validation, speed and time left."""
    from jensen.report.numbers import plain

    parts = [f"loss {plain(moment.loss, 4)}", f"{plain(moment.rows_per_second)} rows/s"]
    if valid:
        parts.insert(1, f"validation {valid}")
    if 0 < moment.progress < 1:
        parts.append(f"{clock(moment.seconds * (1 - moment.progress) / moment.progress)} left")
    return ", ".join(parts)


def size_text(parameters: int) -> str:
    """How many numbers are trained, and the memory they take while that lasts, in float32.

    >>> size_text(392_276)
    '392,276 parameters, 9.4 MB in training'
    """
    from jensen.foresight import COPIES

    size = 4 * COPIES * parameters
    text = (
        f"{size / 1e9:.1f} GB"
        if size >= 1e9
        else f"{size / 1e6:.1f} MB"
        if size < 1e7
        else f"{size / 1e6:.0f} MB"
    )
    return f"{parameters:,} parameters, {text} in training"


def valid_text(moment: Moment) -> str:
    """The validation with its sign, if there was one."""
    if moment.valid is None:
        return ""
    from jensen.report.numbers import show

    number = show(moment.valid.to_dict())
    return f"{number.sign} {number.value} {number.unit}"


def clock(seconds: float) -> str:
    """A duration for a reader.

    >>> clock(3.21), clock(75), clock(3700)
    ('3.2 s', '1:15', '1:01:40')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
