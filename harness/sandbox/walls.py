"""Shuts a process in: namespaces, a file system of its own, limits, and a filter of system calls. Linux alone.

Standard library only, for any Python from 3.9: it runs inside cells. Must not know what is run behind the walls.
Whatever cannot be had is an OSError: nothing goes on behind half a wall.

Sources: unshare(2), mount_setattr(2), pivot_root(2), capabilities(7), seccomp(2), Linux's tables of system calls.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Sequence

_LIBC = ctypes.CDLL(None, use_errno=True)

_NEW_USER, _NEW_MOUNTS, _NEW_PIDS, _NEW_NETWORK = 0x10000000, 0x00020000, 0x20000000, 0x40000000
_NEW_IPC, _NEW_HOSTNAME = 0x08000000, 0x04000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_READ_ONLY, _NO_SETUID = 1, 2
_PR_SET_DEATH_SIGNAL, _PR_SET_NO_NEW_PRIVILEGES, _PR_SET_SECCOMP, _PR_DROP_BOUND = 1, 38, 22, 24
_CAPABILITIES_3 = 0x20080522

_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/proc/cpuinfo")
SCRATCH = "/scratch"
"""The one folder that can be written, in memory, and gone at the end."""
_NUM_FILES = "nr_inodes=4096"
"""Of a file system in memory: one without content takes the kernel's."""


def enter_own_pids() -> None:
    """Put this process's children into namespaces of users and of processes of their own: they die with the first."""
    _in_user_namespace(_NEW_PIDS)


def enter_room(directory: str, visible: Sequence[str], hidden: Sequence[str], scratch_bytes: int) -> None:
    """See `visible` alone, and only to read; write in SCRATCH alone; no network; children in processes of their own.

    Folders that are `hidden` are empty there, but for what is visible in them.
    `directory` is an empty folder that anybody may remove later: nothing is written into it. One thread may call this.
    """
    _in_user_namespace(_NEW_MOUNTS | _NEW_PIDS | _NEW_NETWORK | _NEW_IPC | _NEW_HOSTNAME)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", directory, "tmpfs", _MS_NOSUID, f"size=1m,{_NUM_FILES},mode=755")
    for path, is_shown in (*_planned(visible, hidden), *((device, True) for device in _DEVICES)):
        if is_shown:
            _bind(path, directory + path)
        else:
            _mount("tmpfs", directory + path, "tmpfs", _MS_NOSUID, f"size=1m,{_NUM_FILES},mode=755")
    os.mkdir(directory + SCRATCH)
    os.mkdir(directory + "/old")
    os.chdir(directory)
    _checked(_LIBC.syscall(_CALLS["pivot_root"], b".", b"old"), "pivot_root")
    os.chdir("/")
    _checked(_LIBC.umount2(b"/old", _MNT_DETACH), "umount2")
    os.rmdir("/old")
    attributes = struct.pack("QQQQ", _READ_ONLY | _NO_SETUID, 0, 0, 0)
    called = _LIBC.syscall(_CALLS["mount_setattr"], _AT_FDCWD, b"/", _AT_RECURSIVE, attributes, len(attributes))
    _checked(called, "mount_setattr")
    _mount("tmpfs", SCRATCH, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={scratch_bytes},{_NUM_FILES},mode=700")
    os.chdir(SCRATCH)


def shut(*, processor_s: int, memory_bytes: int, file_bytes: int, num_files: int) -> None:
    """Let nothing out any more: limits, no rights, no new process, no other program. `memory_bytes` are addresses."""
    limits = {
        resource.RLIMIT_CPU: processor_s,
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: num_files,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")
    for capability in range(64):
        if _LIBC.prctl(_PR_DROP_BOUND, capability, 0, 0, 0):
            break  # the kernel knows no more
    header, none = struct.pack("Ii", _CAPABILITIES_3, 0), struct.pack("6I", *[0] * 6)
    _checked(_LIBC.syscall(_CALLS["capset"], header, none), "capset")
    _filter_calls()


def die_with_parent() -> None:
    """Be killed when the process that started this one ends, however it ends."""
    _checked(_LIBC.prctl(_PR_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0), "pdeathsig")


def _in_user_namespace(more: int) -> None:
    user, group = os.geteuid(), os.getegid()
    _checked(_LIBC.unshare(_NEW_USER | more), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _planned(visible: Sequence[str], hidden: Sequence[str]) -> list[tuple[str, bool]]:
    """What is shown (True) or hidden again, the outer before the inner; as the kernel knows it and as it is called."""
    shown = {path.rstrip("/") for path in visible if os.path.isabs(path) and os.path.exists(path)}
    shown |= {os.path.realpath(path) for path in shown}
    named = {path: os.path.realpath(path) for path in shown}
    away = {os.path.realpath(path) for path in hidden if os.path.isdir(path)}
    away |= {called + path[len(real) :] for called, real in named.items() for path in away if _is_in(path, real)}
    plan: list[tuple[str, bool]] = []
    for path in sorted(shown | away):
        around = [is_shown for other, is_shown in plan if _is_in(path, other)]
        if (path not in away) != bool(around and around[-1]):
            plan.append((path, path not in away))
    return plan


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _bind(path: str, target: str) -> None:
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "a", encoding="ascii"):
            pass
    _mount(path, target, None, _MS_BIND | _MS_REC)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind, data)]
    called = _LIBC.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])
    _checked(called, f"mount {source} at {target}")


def _checked(result: int, what: str) -> None:
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


# --- System calls: the numbers of x86_64 and of aarch64, -1 where it has none; and AUDIT_ARCH of audit.h.

_COMMON = {
    "fork": (57, -1), "vfork": (58, -1), "clone": (56, 220), "clone3": (435, 435), "execve": (59, 221),
    "execveat": (322, 281), "ptrace": (101, 117), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "fsopen": (430, 430), "open_tree": (428, 428), "bpf": (321, 280), "io_uring_setup": (425, 425),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "capset": (126, 91), "chroot": (161, 51),
    "kexec_load": (246, 104), "init_module": (175, 105), "setsid": (112, 157), "prctl": (157, 167),
}  # fmt: skip
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_ARCHITECTURE, _COLUMN = _ARCHITECTURES.get(platform.machine(), (0, 0))
_CALLS = {name: numbers[_COLUMN] for name, numbers in _COMMON.items() if numbers[_COLUMN] >= 0}
_FORBIDDEN = [name for name in _COMMON if name not in ("clone", "clone3", "prctl", "capset")]
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
"""SECCOMP_RET_ALLOW, ERRNO with EPERM, and KILL_PROCESS."""
_NOT_THERE = 0x00050000 | 38
"""ENOSYS: glibc then makes its threads by clone, whose flags a filter can read."""
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16


def _filter_calls() -> None:
    """No new process, no other program, no other namespace; threads are let."""
    if not _ARCHITECTURE:
        raise OSError(f"no filter of system calls is known for {platform.machine()}")
    lines: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURE),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32),  # x86's second table of numbers
        (_RETURN, 0, 0, _KILL),
        (_JUMP_EQUAL, 0, 1, _CALLS["clone3"]),
        (_RETURN, 0, 0, _NOT_THERE),
        (_JUMP_EQUAL, 0, 3, _CALLS["clone"]),
        (_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        (_JUMP_BITS, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _AT_NUMBER),
    ]
    for name in _FORBIDDEN:
        if name in _CALLS:
            lines += [(_JUMP_EQUAL, 0, 1, _CALLS[name]), (_RETURN, 0, 0, _REFUSE)]
    lines.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxP" if struct.calcsize("P") == 8 else "HxxP", len(lines), ctypes.addressof(code))
    _checked(_LIBC.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(program), 0, 0), "seccomp")
