"""Threads that work through tasks, each with a workspace of its own, and who is told how far they are.

Owns how many threads there are, and that none of them starts others. Knows no weights.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from harness.verify.blocks import Files
from harness.verify.workspace import Workspace

Result = TypeVar("Result")


class Progress(Protocol):
    """Who is told how far it is."""

    def started(self, total_bytes: int) -> None:
        """How many bytes of tensors there are to read."""

    def advanced(self, num_bytes: int) -> None:
        """So many more are done. Called from several threads."""


class Silence:
    """Progress that nobody follows."""

    def started(self, total_bytes: int) -> None:
        """Nothing."""

    def advanced(self, num_bytes: int) -> None:
        """Nothing."""


class Crew:
    """Threads, each with a workspace of its own."""

    def __init__(self, files: Files, num_threads: int | None = None) -> None:
        self.num_threads = num_threads or _num_cores()
        self._local = threading.local()
        self._files = files
        self._pool = ThreadPoolExecutor(self.num_threads, thread_name_prefix="verify")
        # One thread a core already: a product that starts threads of its own waits for them.
        self._limits = threadpool_limits(limits=1, user_api="blas")

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._limits.restore_original_limits()

    def run(self, tasks: Sequence[Callable[[Workspace], Result]]) -> Iterator[Result]:
        """The results of all tasks, in their order; the first error ends it."""
        futures: list[Future[Result]] = [self._pool.submit(self._call, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

    def _call(self, task: Callable[[Workspace], Result]) -> Result:
        if not hasattr(self._local, "space"):
            self._local.space = Workspace(self._files)
        # Whoever wrote these numbers may have written any; what comes of them is counted, and not warned of.
        with np.errstate(all="ignore"):
            return task(self._local.space)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
