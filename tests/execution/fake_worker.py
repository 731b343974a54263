"""A cell's process without torch: reads the batch, leaves small artifacts, and misbehaves on order.

Environment: FAKE_LOG, a file to which it appends what it does; FAKE_ORDERS, JSON of job id (or "start") to an order;
FAKE_KILL_AT, a number N and a file: whoever makes the N-th write or rename creates that file and is killed, once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from harness import artifacts, worker
from harness.records.jobs import Answer, Crash, ReadJob, WriteJob


def main() -> None:
    """Do the batch as ordered."""
    batch = worker.attach()
    log(f"process {os.getpid()}")
    if "FAKE_KILL_AT" in os.environ:
        sys.path.append(str(Path(__file__).parents[2]))
        from tests.execution import kill_points

        number, claim = os.environ["FAKE_KILL_AT"].split(":", 1)
        kill_points.install(int(number), Path(claim))
    orders = json.loads(os.environ.get("FAKE_ORDERS", "{}"))
    print(f"hello from {batch.cell}", flush=True)
    obey(orders.get("start", ""))
    jobs: list[WriteJob | ReadJob] = [*batch.writes, *batch.reads]
    for job in jobs:
        try:
            with worker.reporting(batch, job.id):
                do(job, orders.get(job.id, ""))
        except ValueError as error:
            print(f"{job.id}: {error}", flush=True)


def do(job: WriteJob | ReadJob, order: str) -> None:
    """One job: its order first, then its artifact."""
    log(f"begin {job.id}")
    Path.cwd()  # nobody may take our folder away while we live
    obey(order)
    if order == "leave nothing":
        return
    with artifacts.creating(Path(job.directory)) as partial:
        if isinstance(job, WriteJob):
            (partial / "merged").mkdir()
            weights = partial / "merged" / "weights.bin"
            base = (Path(job.base) / "base.bin").read_bytes()
            with weights.open("wb") as file:
                file.write(base)
                file.flush()
                os.fsync(file.fileno())  # a point at which to be killed with half a file
                file.write(job.id.encode())
        else:
            (partial / "seen.bin").write_bytes((Path(job.written) / "merged" / "weights.bin").read_bytes())
        if order == "fill the disk":
            with open("/dev/full", "wb") as file:
                file.write(b"x" * 100_000)
        crash = Crash(stage="merge", exception="ValueError", message="no", traceback="") if order == "crash" else None
        artifacts.finish(partial, Answer(job=job.id, crash=crash, losses=(1.0,)))
    log(f"end {job.id}")


def obey(order: str) -> None:
    """Misbehave."""
    if order == "raise":
        raise ValueError("as ordered")
    if order == "exit":
        print("leaving now", flush=True)
        os._exit(3)
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "kill once" and not Path(f"{os.environ['FAKE_LOG']}.once").exists():
        Path(f"{os.environ['FAKE_LOG']}.once").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "hang":
        print("about to hang", flush=True)
        threading.Event().wait()
    if order == "start a child and hang":
        child = subprocess.Popen([sys.executable, "-S", "-c", "import threading; threading.Event().wait()"])
        log(f"process {child.pid}")
        print("child started", flush=True)
        threading.Event().wait()
    if order == "babble":
        batch = json.loads(Path(os.environ[worker.BATCH]).read_text())
        with open(batch["events"], "a") as file:
            file.write("this is no event\n")
        threading.Event().wait()


def log(line: str) -> None:
    """Append a line by one write."""
    descriptor = os.open(os.environ["FAKE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


if __name__ == "__main__":
    main()
