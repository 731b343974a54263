"""Several rows at once: two side by side, and one that fails does not stop the others.

Owns the threads and the telling of progress; must not know how a row is resolved or built.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TypeVar

from harness.cells.environments import build
from harness.cells.locks import resolve
from harness.cells.records import BuiltCell, Outcomes, Progress, ResolvedCell, State
from harness.errors import EnvironmentBuildError
from harness.records.cases import Cell, Matrix

AT_ONCE = 2
"""uv is parallel itself; a third would wait for the same disk and line."""

Input = TypeVar("Input")
Done = TypeVar("Done")


def resolve_all(
    cells: Iterable[Cell], matrix: Matrix, *, out: Path, day: date, on_progress: Progress | None = None
) -> Outcomes[ResolvedCell]:
    """`resolve` for each of `cells`."""

    def work(cell: Cell, tell: Progress) -> ResolvedCell:
        tell(cell.name, "resolving")
        resolved = resolve(cell, matrix, out=out, day=day)
        tell(cell.name, "resolved")
        return resolved

    return _side_by_side(work, {cell.name: cell for cell in cells}, on_progress)


def build_all(
    resolved: Iterable[ResolvedCell], *, out: Path, on_progress: Progress | None = None
) -> Outcomes[BuiltCell]:
    """`build` for each of `resolved`."""

    def work(row: ResolvedCell, tell: Progress) -> BuiltCell:
        tell(row.cell.name, "building")
        built = build(row, out=out)
        tell(row.cell.name, "reused" if built.reused else "built")
        return built

    return _side_by_side(work, {row.cell.name: row for row in resolved}, on_progress)


def _side_by_side(
    work: Callable[[Input, Progress], Done], rows: Mapping[str, Input], on_progress: Progress | None
) -> Outcomes[Done]:
    tell = _one_at_a_time(on_progress)

    def attempt(name: str) -> Done | EnvironmentBuildError:
        try:
            return work(rows[name], tell)
        except EnvironmentBuildError as error:
            tell(name, "failed")
            return error

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        futures = {name: pool.submit(attempt, name) for name in rows}
        try:
            ended = {name: future.result() for name, future in futures.items()}
        except BaseException:
            # Interrupted, or a disk that cannot be written: what has not begun need not begin.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Outcomes(
        done={name: end for name, end in ended.items() if not isinstance(end, EnvironmentBuildError)},
        failed={name: end for name, end in ended.items() if isinstance(end, EnvironmentBuildError)},
    )


def _one_at_a_time(progress: Progress | None) -> Progress:
    lock = threading.Lock()

    def tell(name: str, state: State) -> None:
        if progress is not None:
            with lock:
                progress(name, state)

    return tell
