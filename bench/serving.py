"""The loop of a measured process: a request a line on stdin, an answer a line on stdout, one after the other.

Standard library and our codec only. Must not know what is measured: each side says how it makes a task of a work.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, TextIO

from bench.work import Broken, Decode, Done, Drop, Order, Prepare, Reply, Request, Step
from harness.codec import decode, encode


class Task(NamedTuple):
    """Some work, ready to be done any number of times."""

    run: Callable[[], Any]
    """Does it to the end, and says what came out."""
    reset: Callable[[], object] = lambda: None
    """Comes before each run, and is not measured."""


MakeTask = Callable[[Decode | Step], Task]


def serve(make_task: MakeTask) -> None:
    """Answer what stdin asks until it ends. Whatever libraries print goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    answer_all(make_task, sys.stdin, answers)


def answer_all(make_task: MakeTask, requests: TextIO, answers: TextIO) -> None:
    """Answer each line of `requests` with a line in `answers`."""
    tasks: dict[str, Task] = {}
    for line in requests:
        try:
            order = decode(Request, json.loads(line), where="stdin").order
            reply = Reply(answer=_obey(order, tasks, make_task))
        except Exception:  # noqa: BLE001 the edge of the process: the driver tells it
            reply = Reply(answer=Broken(traceback=traceback.format_exc()))
        answers.write(json.dumps(encode(reply), allow_nan=False) + "\n")
        answers.flush()


def _obey(order: Order, tasks: dict[str, Task], make_task: MakeTask) -> Done:
    if isinstance(order, Prepare):
        tasks[order.name] = make_task(order.work)
        return Done()
    if isinstance(order, Drop):
        tasks.pop(order.name, None)
        gc.collect()
        return Done()
    task, result = tasks[order.name], None
    durations_s: list[float] = []
    while not durations_s or sum(durations_s) < order.at_least_s:
        task.reset()
        started = time.perf_counter()
        result = task.run()
        durations_s.append(time.perf_counter() - started)
    return Done(durations_s=tuple(durations_s), result=result)
