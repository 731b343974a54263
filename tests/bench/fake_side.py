"""`python -m tests.bench.fake_side`: a measured process that computes nothing, and breaks down if it is told to."""

from __future__ import annotations

import os
import sys

from bench.serving import Task, serve
from bench.work import Decode, Step


def make_task(work: Decode | Step) -> Task:
    """Gives back the prompts of a decoding, or a loss that the checkpoint is named by."""
    if work.checkpoint == "nowhere":
        raise FileNotFoundError(work.checkpoint)
    if isinstance(work, Step):
        return Task(lambda: float(work.checkpoint))

    def run() -> list[list[int]]:
        print("what a library says on stdout")
        if work.checkpoint == "fatal":
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(9)
        return [list(row) for row in work.prompts]

    return Task(run)


if __name__ == "__main__":
    serve(make_task)
