"""The process that runs what nobody trusts, each job behind walls in a process of its own, as many as are asked for.

`python -m harness.sandbox.apart`, asked in lines of JSON and answering in lines of JSON (`client.py`). It imports once
what jobs need, and forks for each; never runs a job itself. Standard library only: it runs inside cells.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import math
import os
import selectors
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable, Collection
from typing import Any

from harness.sandbox import walls

READY = "ready"
MAX_SAID = 4000
"""Bytes that are kept, the last, of what a job prints."""
_CHUNK = 2**16


def main() -> None:
    """Answer lines until there are no more. The first says what to import, and which function does the jobs."""
    talk = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what imports print is no answer
    with open(0, "rb", buffering=0, closefd=False) as asker:
        setting = json.loads(asker.readline())
    try:
        walls.enter_own_pids()
    except OSError as error:
        why = f"users have no namespaces of their own here, and `deltaproof doctor` says what to enable: {error}"
        _say(talk, {"number": setting["number"], "how": "impossible", "why": why})
        return
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    walls.die_with_parent()
    try:
        do = _function(setting["entry"])
        for name in setting["preload"]:
            importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a package may fail to be imported in any way
        why = traceback.format_exc(limit=-3)[-MAX_SAID:]
        _say(talk, {"number": setting["number"], "how": "impossible", "why": why})
        return
    sys.dont_write_bytecode = True  # of the above it is kept: the next start takes a fifth of the time
    gc.freeze()  # or each job would look through all that was imported, and copy it by that
    _say(talk, {"number": setting["number"], "how": READY})
    _serve(talk, do, setting)


def _function(entry: str) -> Callable[[Any], Any]:
    module, _, name = entry.partition(":")
    found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return found


def _say(talk: Any, answer: dict[str, Any]) -> None:
    talk.write(json.dumps(answer) + "\n")
    talk.flush()


def _serve(talk: Any, do: Callable[[Any], Any], setting: dict[str, Any]) -> None:
    """Run jobs side by side until nobody is there to ask. Does not return: with this process all others end."""
    jobs: list[_Job] = []
    begun = b""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        while True:
            wait_s = min((job.deadline for job in jobs), default=math.inf) - time.monotonic()
            for key, _ in selector.select(max(0.0, wait_s) if jobs else None):
                if key.data:
                    job, name = key.data
                    if not job.take(name):
                        selector.unregister(key.fd)
                    continue
                if not (got := os.read(0, _CHUNK)):
                    sys.exit(1)
                *lines, begun = (begun + got).split(b"\n")
                for asked in map(json.loads, lines):
                    try:
                        jobs.append(job := _Job(asked, do, setting))
                    except OSError as error:  # the others go on
                        _say(talk, {"number": asked["number"], "how": "impossible", "why": f"no process: {error}"})
                        continue
                    for name, end in job.ends.items():
                        selector.register(end, selectors.EVENT_READ, (job, name))
            for job in [job for job in jobs if job.is_over]:
                for name in job.open:
                    selector.unregister(job.ends[name])
                jobs.remove(job)
                _say(talk, job.end())


class _Job:
    """One that runs: who keeps it, what has come out of its pipes, and why it is not waited for, if it is not."""

    def __init__(self, asked: dict[str, Any], do: Callable[[Any], Any], setting: dict[str, Any]) -> None:
        self._number = asked["number"]
        self._most = asked["limits"]["answer_bytes"]
        self._started = time.monotonic()
        self._read = dict.fromkeys(("answer", "said", "state"), b"")
        pipes: dict[str, tuple[int, int]] = {}
        try:
            for name in self._read:
                pipes[name] = os.pipe()
            self._keeper = os.fork()
        except OSError:
            for pair in pipes.values():
                for end in pair:
                    os.close(end)
            raise
        if not self._keeper:
            asked["limits"]["memory_bytes"] += _num_addresses()  # behind the walls nobody can see them
            _keep(asked, do, setting, {name: write for name, (_, write) in pipes.items()})
        for _, write in pipes.values():
            os.close(write)
        self.ends = {name: read for name, (read, _) in pipes.items()}
        self.open = set(pipes)
        self.deadline = self._started + asked["limits"]["time_s"]

    def take(self, name: str) -> bool:
        """Read what there is in a pipe; False at its end."""
        got = os.read(self.ends[name], _CHUNK)
        kept = self._read[name] + got
        self._read[name] = kept[-MAX_SAID:] if name == "said" else kept
        if not got:
            self.open.remove(name)
        return bool(got)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read."""
        return not self.open or bool(self._broken_off)

    @property
    def _broken_off(self) -> str:
        if len(self._read["answer"]) > self._most:
            return "too_much"
        return "timeout" if self.open and time.monotonic() > self.deadline else ""

    def end(self) -> dict[str, Any]:
        """What came of it. Nothing of it is left."""
        why, wall_s = self._broken_off, time.monotonic() - self._started
        lines = self._read["state"].decode("utf-8", "replace").splitlines()
        state = dict(line.split(" ", 1) for line in lines if " " in line)
        if "pid" in state:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(state["pid"]), signal.SIGKILL)  # the first of its processes: all of them end
        elif why:
            os.kill(self._keeper, signal.SIGKILL)  # so that it starts nobody whom nobody would end
        status = os.waitstatus_to_exitcode(os.waitpid(self._keeper, 0)[1])
        for end in self.ends.values():
            os.close(end)
        said = self._read["said"].decode("utf-8", "replace")
        told = {"number": self._number, "said": said, "wall_s": wall_s, "why": ""}
        if "shut" not in state:
            return {**told, "how": "impossible", "why": state.get("error", "the walls could not be put up")}
        if why:
            return {**told, "how": why}
        if not self._read["answer"]:
            return {**told, "how": "ended", "why": _name_of(status)}
        return {**told, "how": "answered", "answer": self._read["answer"].decode("utf-8", "replace")}


def _keep(job: dict[str, Any], do: Callable[[Any], Any], setting: dict[str, Any], pipes: dict[str, int]) -> None:
    """Put up the walls, have the job done behind them, and end as it ended. Does not return."""
    try:
        _close_all_but(set(pipes.values()))
        visible = [*_visible(), *job["visible"]]
        walls.enter_room(setting["room"], visible, setting["hidden"], job["limits"]["scratch_bytes"])
        told, tell = os.pipe()
        worker = os.fork()
        if not worker:
            os.close(tell)
            _work(job, do, pipes, told)
        os.write(pipes["state"], f"pid {worker}\n".encode())
        os.write(tell, b".")
        for end in pipes.values():
            os.close(end)
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        os._exit(status if status >= 0 else 128 - status)
    except BaseException as error:  # noqa: BLE001 - whatever it was, nothing is run without walls
        with contextlib.suppress(OSError):
            os.write(pipes["state"], f"error {' '.join(str(error).split())}\n".encode())
        os._exit(1)


def _work(job: dict[str, Any], do: Callable[[Any], Any], pipes: dict[str, int], told: int) -> None:
    """The first process of its namespace. Does nothing unless it is `told` that it is known. Does not return."""
    limits = job["limits"]
    answer, state = pipes["answer"], pipes["state"]
    try:
        walls.die_with_parent()
        if not os.read(told, 1):
            os._exit(1)
        os.close(told)
        os.setsid()  # a signal to its group is one to itself: `shut` lets it make no other
        os.dup2(pipes["said"], 1)
        os.dup2(pipes["said"], 2)
        os.close(pipes["said"])
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.environ |= {"HOME": walls.SCRATCH, "TMPDIR": walls.SCRATCH}
        tempfile.tempdir = None  # it remembers what it found before
        walls.shut(
            processor_s=int(limits["time_s"]) + 1,
            memory_bytes=limits["memory_bytes"],
            file_bytes=limits["scratch_bytes"],
            num_files=limits["num_files"],
        )
        os.write(state, b"shut .\n")
    except BaseException as error:  # noqa: BLE001 - as above
        with contextlib.suppress(OSError):
            os.write(state, f"error {' '.join(str(error).split())}\n".encode())
        os._exit(1)
    os.close(state)
    status = 0
    try:
        _write_all(answer, json.dumps(do(job["request"])).encode())
    except BaseException:  # noqa: BLE001 - it is told in what was said
        status = 1
        with contextlib.suppress(BaseException):
            traceback.print_exc(limit=-4)
    with contextlib.suppress(BaseException):  # what a job made of them
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _close_all_but(kept: Collection[int]) -> None:
    """What the process talks with, above all: whoever could write there could answer for it."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):  # what listed them is closed already
                os.close(int(name))


def _write_all(end: int, content: bytes) -> None:
    while content:
        content = content[os.write(end, content) :]


def _num_addresses() -> int:
    """Bytes that this process has mapped."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")


def _visible() -> list[str]:
    """What a Python needs to go on importing."""
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    paths |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return [*sorted(paths), "/usr", "/lib", "/lib64", "/etc/ld.so.cache"]


def _name_of(status: int) -> str:
    if status > 128:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(status - 128).name}"
    return f"ended by itself, with status {status}"


if __name__ == "__main__":
    main()
