"""A live display of a run at a terminal, and plain lines elsewhere. Shows what the engine tells; decides nothing."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from harness.cells.records import State
from harness.execution.outcome import Phase

VERBS = {"write": "train and save", "read": "reload and compare"}


class RunProgress:
    """One line a phase with its bar, and what each cell is doing now. Implements the engine's `Progress`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.display = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.doing: dict[str, str] = {}

    def __enter__(self) -> RunProgress:
        self.display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.display.stop()

    def cell(self, name: str, state: State) -> None:
        """News of an environment."""
        if state in ("built", "reused", "failed"):
            self._say(f"environment {name}: {state}")

    def phase_started(self, phase: Phase, num_jobs: int, num_reused: int) -> None:
        """A bar for the phase."""
        again = f", {num_reused} already there" if num_reused else ""
        self._say(f"{VERBS[phase]}: {num_jobs} jobs{again}")
        self.tasks[phase] = self.display.add_task(VERBS[phase], total=num_jobs, completed=num_reused, doing="")

    def process_started(self, phase: Phase, cell: str, num_jobs: int) -> None:
        """A cell begins with its imports."""
        self._show(phase, cell, "importing")

    def job_started(self, phase: Phase, cell: str, job: str) -> None:
        """What the cell does now."""
        self._show(phase, cell, job.split("@")[0])

    def job_finished(self, phase: Phase, cell: str, job: str, error: str) -> None:
        """One more."""
        self.display.advance(self.tasks[phase])
        if error:
            self._say(f"{job}: {error.strip().splitlines()[0]}")

    def cell_died(self, phase: Phase, cell: str, reason: str) -> None:
        """A cell's process ended early."""
        self.doing.pop(cell, None)
        self._say(f"cell {cell} ended early: {reason.strip().splitlines()[0]}")

    def phase_finished(self, phase: Phase, duration_s: float) -> None:
        """The phase's time."""
        self.doing.clear()
        self.display.update(self.tasks[phase], doing="")
        self._say(f"{VERBS[phase]}: done in {duration_s:.0f} s")

    def _show(self, phase: Phase, cell: str, doing: str) -> None:
        self.doing[cell] = f"{cell}: {doing}"
        self.display.update(self.tasks[phase], doing=" · ".join(self.doing.values()))

    def _say(self, text: str) -> None:
        self.display.console.print(f"[{time.monotonic() - self.started:6.1f} s] {text}", markup=False, highlight=False)
