"""A bar of the guards that are checked at a terminal, elsewhere a line a release; of environments a line."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from harness.cells.records import State


class CanaryProgress:
    """How many guards of how many, and of which release. Implements the canaries' `Progress`.

    It is gone when the work is done, so that what is said of the guards is the first thing that is read.
    """

    def __init__(self, console: Console) -> None:
        self.started_at = time.monotonic()
        self.display = Progress(
            TextColumn("canaries"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", style="dim", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID | None = None
        self.release = ""

    def __enter__(self) -> CanaryProgress:
        self.display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.display.stop()

    def cell(self, name: str, state: State) -> None:
        """News of an environment."""
        if state in ("built", "reused", "failed"):
            self._say(f"environment {name}: {state}")

    def started(self, num_guards: int) -> None:
        """All that will be checked is known."""
        self.task = self.display.add_task("", total=num_guards)

    def looking(self, release: str) -> None:
        """What the bar is about now."""
        self.release = release
        self._show(release)
        if not self.display.console.is_terminal:
            self._say(release)

    def checked(self, rule: str) -> None:
        """One guard more; any thread may say so, as rich counts behind a lock."""
        if self.task is not None:
            self.display.advance(self.task)
            self._show(f"{self.release} {rule}")

    def _say(self, text: str) -> None:
        line = f"[{time.monotonic() - self.started_at:6.1f} s] {text}"
        self.display.console.print(line, markup=False, highlight=False)

    def _show(self, text: str) -> None:
        if self.task is not None:
            self.display.update(self.task, description=text)
