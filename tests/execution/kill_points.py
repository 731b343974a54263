"""Kills this process at its n-th write, rename, removal, sync or start of a process: as a kernel would, without a word.

Used inside processes under test only. An audit hook sees every such call, also those of the standard library.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

WATCHED = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "subprocess.Popen")


def install(number: int, claim: Path | None = None) -> None:
    """Be killed at call `number`, if nobody has created `claim` before."""
    lock = threading.RLock()
    count = 0

    def passing() -> None:
        nonlocal count
        with lock:
            count += 1
            if count == number and (claim is None or _claim(claim)):
                os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in WATCHED or (event == "open" and _is_write(arguments[0], arguments[2])):
            passing()

    fsync = os.fsync

    def passing_fsync(fd: Any) -> None:
        passing()
        fsync(fd)

    os.fsync = passing_fsync
    sys.addaudithook(hook)


def _is_write(path: object, flags: object) -> bool:
    writes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
    return writes and isinstance(path, str | Path) and not str(path).startswith("/dev/")


def _claim(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
