"""`launcher.py REPORT COMMAND...`: runs one process, and writes to REPORT what time and memory it took.

A program of its own, and a small one: a process begins with the peak of the one that has started it, and the driver has
held whole models. Standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(report: str, *command: str) -> None:
    """From its start to its exit."""
    started = time.monotonic()
    process = subprocess.Popen(command)
    # Not process.wait(): this tells what the process and those that it waited for have used.
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    found = {
        "exit_code": process.returncode,
        "wall_s": wall_s,
        "processor_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * bytes_per_unit,
    }
    Path(report).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
