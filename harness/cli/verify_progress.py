"""A bar of the bytes that a verification has read, at a terminal; nothing of it elsewhere. Decides nothing."""

from __future__ import annotations

import logging
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """GiB per second, the unit of the summary; rich's own column counts in powers of ten."""

    def render(self, task: Task) -> Text:
        """Nothing until there is a rate."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed / 2**30:.2f} GiB/s")


COMPARING = "comparing"
NATIVE = logging.getLogger("harness.verify.native")
"""Told by its name, because importing what it is of takes time."""


class VerifyProgress:
    """Percent, bytes per second, time taken and time left. Implements the verifier's `Progress`.

    It is gone when the work is done, so that the verdict is the first thing that is read.
    """

    def __init__(self, console: Console) -> None:
        self.display = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID | None = None
        self.native = _Native(self)

    def __enter__(self) -> VerifyProgress:
        self.display.start()
        NATIVE.addHandler(self.native)
        NATIVE.setLevel(logging.INFO)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        NATIVE.removeHandler(self.native)
        self.display.stop()

    def started(self, total_bytes: int) -> None:
        """All that will be read is known."""
        self.task = self.display.add_task(COMPARING, total=total_bytes)

    def advanced(self, num_bytes: int) -> None:
        """So much more was read; any thread may say so, as rich counts behind a lock."""
        if self.task is not None:
            self.display.advance(self.task, num_bytes)

    def doing(self, what: str) -> None:
        """What the bar is called."""
        if self.task is not None:
            self.display.update(self.task, description=what)


class _Native(logging.Handler):
    """Tells who waits for a compiler, which happens once on a machine, that they do."""

    def __init__(self, progress: VerifyProgress) -> None:
        super().__init__()
        self.progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Before and after."""
        message = record.getMessage()
        self.progress.doing(COMPARING if message == "compiled" else message)
