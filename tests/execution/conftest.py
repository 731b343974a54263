"""Builders for the engine's tests: a small copy of the code, an engine in this process, and one to be killed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.artifacts import changed_files, read_answer
from harness.execution.code import INSIDE, Code
from harness.execution.engine import AfterWrites, execute
from harness.execution.outcome import Execution, Limits, Outcome, Progress
from harness.execution.process import Command
from harness.execution.store import Store
from harness.records.cases import Dialect
from tests.execution.plans import WORK_DIGESTS, fake_cells, fake_command, plan, write_fake_base

ROOT = Path(harness.__file__).parent.parent
PATIENT = Limits(start_s=60.0, job_s=60.0, full_count_job_s=60.0, leave_s=60.0)


@pytest.fixture(scope="session")
def code_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fake worker imports of ours, as a folder alone."""
    directory = tmp_path_factory.mktemp("code")
    for name in INSIDE[:6]:
        source, target = ROOT / name, directory / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return directory


class Bench:
    """One output folder, and engines that work in it with fake workers."""

    def __init__(self, folder: Path, code_directory: Path) -> None:
        self.out = folder / "out"
        self.log = folder / "log"
        self.code = Code(code_directory, "all", WORK_DIGESTS, {})
        self.num_runs = 0

    def environment(self, orders: Mapping[str, str] | None = None) -> dict[str, str]:
        """A fake worker's whole environment."""
        return {"FAKE_LOG": str(self.log), "FAKE_ORDERS": json.dumps(dict(orders or {}))}

    def run(
        self,
        cells: Sequence[str] = ("r1", "r2"),
        cases: Sequence[str] = ("one", "two"),
        *,
        orders: Mapping[str, str] | None = None,
        limits: Limits = PATIENT,
        after_writes: AfterWrites | None = None,
        progress: Progress | None = None,
        command: Command = fake_command,
        built: Sequence[str] | None = None,
        code: Code | None = None,
        dialect: Dialect = "",
    ) -> Execution:
        """The engine in this process, to its end."""
        writes, reads = plan(cells, cases)
        reads = [replace(read, dialect=dialect) for read in reads]
        self.num_runs += 1
        return execute(
            writes,
            reads,
            fake_cells(cells if built is None else built, self.environment(orders)),
            store=Store(self.out),
            run_id=f"run-{self.num_runs}",
            code=code or self.code,
            write_base=write_fake_base,
            limits=limits,
            command=command,
            progress=progress,
            after_writes=after_writes,
        )

    def start(
        self,
        cells: Sequence[str] = ("r1", "r2"),
        cases: Sequence[str] = ("one", "two"),
        *,
        orders: Mapping[str, str] | None = None,
        kill_at: int = 0,
        extra: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """The engine in a process of its own."""
        self.num_runs += 1
        settings = {
            "cells": cells,
            "cases": cases,
            "environment": self.environment(orders) | dict(extra or {}),
            "out": str(self.out),
            "run_id": f"run-{self.num_runs}",
            "code": str(self.code.directory),
            "kill_at": kill_at,
        }
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.execution.driver", json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def done(self) -> dict[str, Path]:
        """What lies in the store under a name that is not a partial's: job to directory. All of it must be whole."""
        found = {}
        for folder in (self.out / "writes", self.out / "reads"):
            for directory in folder.iterdir() if folder.is_dir() else ():
                if ".partial-" not in directory.name:
                    answer = read_answer(directory)
                    assert changed_files(directory, answer) == ()
                    found[answer.job] = directory
        return found

    def logged(self, word: str) -> list[str]:
        """What fake workers logged with this word: begin, end, process."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]

    def wait_for_workers(self) -> None:
        """Return when no process that logged itself lives any more; fail if one does for 20 s."""
        for pid in map(int, self.logged("process")):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                assert poll.poll(20_000), f"process {pid} outlived its engine"
            finally:
                os.close(descriptor)


NewBench = Callable[[], Bench]


@pytest.fixture
def new_bench(tmp_path_factory: pytest.TempPathFactory, code_directory: Path) -> NewBench:
    """Fresh output folders, for tests that need many."""
    return lambda: Bench(tmp_path_factory.mktemp("bench"), code_directory)


@pytest.fixture
def bench(tmp_path: Path, code_directory: Path) -> Iterator[Bench]:
    """A fresh output folder; no worker is left when the test ends."""
    bench = Bench(tmp_path, code_directory)
    yield bench
    bench.wait_for_workers()


def errors(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """First lines of the errors, by job."""
    return {name: outcome.error.splitlines()[0] for name, outcome in outcomes.items() if outcome.error}


def outcomes_of(output: str) -> dict[str, dict[str, Any]]:
    """What a driver printed last."""
    last: dict[str, dict[str, Any]] = json.loads(output.splitlines()[-1])
    return last
