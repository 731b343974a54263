"""Work of the parent after the cells have ended: one function for many tasks, in processes where there are enough."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

PROCESSES = 2
START_S = 3.0
"""What a process costs before it does anything: what is less work than that is done here."""

Task = TypeVar("Task")
Done = TypeVar("Done")


def side_by_side(do: Callable[[Task], Done], tasks: Sequence[Task], *, task_s: float, at_once: int = 1) -> list[Done]:
    """`do` of each task, in order. A task takes about `task_s`; a process takes `at_once` neighbours at a time."""
    if len(tasks) * task_s < START_S * PROCESSES:
        return [do(task) for task in tasks]
    # Spawned, not forked: the display and the engine have threads, and a fork would copy their locks.
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(do, tasks, chunksize=at_once))
