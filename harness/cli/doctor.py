"""`deltaproof doctor`: is everything there that a run needs, and if not, what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from harness.cells.environments import differences, installed, is_complete
from harness.cells.locks import parse_lock
from harness.cells.torch_source import find_links, find_torch
from harness.cells.uv_tool import find_uv
from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.errors import DeltaproofError, ExitCode
from harness.execution.store import Store
from harness.runs.request import load_catalogue
from harness.sandbox.client import Sandbox

NEEDED_GIB = 4
SETTINGS = Path("/proc/sys")
_FORBIDDING = {
    "kernel/unprivileged_userns_clone": ("0", "1"),  # Debian
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),  # Ubuntu
    "user/max_user_namespaces": ("0", "10000"),  # Red Hat
}
"""Settings of the kernel: where each forbids namespaces, and where it allows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str
    needed: bool = True
    """Whether a run cannot do without it."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON on stdout.")] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Look at Python, uv, torch's source, the cases, the output folder, the sandbox and the environments built."""
    findings = [
        _attempt("python", lambda: f"{sys.version.split()[0]} at {sys.executable}"),
        _attempt("uv", find_uv),
        _attempt("torch", _torch),
        _attempt("cases", _cases),
        _attempt("output folder", lambda: _folder(out)),
        _attempt("sandbox", _sandbox, needed=False),
        *_environments(out),
    ]
    for finding in findings:
        mark, style = ("ok  ", "green") if finding.ok else ("FAIL", "red") if finding.needed else ("WARN", "yellow")
        stderr().print(f"{mark} {finding.name}: {finding.detail}", style=style, markup=False, highlight=False)
    if as_json:
        write_stdout(json.dumps([asdict(finding) for finding in findings], indent=1))
    well = all(finding.ok for finding in findings if finding.needed)
    raise typer.Exit(ExitCode.OK if well else ExitCode.ENVIRONMENT)


def _attempt(name: str, look: Callable[[], str], *, needed: bool = True) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=look(), needed=needed)
    except (DeltaproofError, OSError) as error:
        return Finding(name=name, ok=False, detail=str(error), needed=needed)


def _torch() -> str:
    specifier = load_catalogue().matrix.stacks["torch_peft"]["torch"]
    source = find_torch(specifier, find_links())
    return f"CPU build {source.version} from pip's find-links" if source.find_links else "CPU build from uv's CPU index"


def _cases() -> str:
    catalogue = load_catalogue()
    rows = " and ".join(
        f"{', '.join(cell.name for cell in catalogue.matrix.cells if cell.stack == stack)} ({stack})"
        for stack in catalogue.matrix.stacks
    )
    return f"{len(catalogue.cases)} cases of {len(catalogue.families)} families, rows {rows}"


def _folder(out: Path) -> str:
    Store(out).prepare()
    free_gib = shutil.disk_usage(out).free / 2**30
    if free_gib < NEEDED_GIB:
        needed = f"{NEEDED_GIB} GiB for the matrix's environments"
        raise DeltaproofError("little space is left", where=str(out), expected=needed, got=f"{free_gib:.1f}")
    return f"{out}: writable, {free_gib:.0f} GiB free, {os.cpu_count()} processors"


def _sandbox() -> str:
    """A job behind walls, of which nothing but the walls can fail."""
    with Sandbox(sys.executable, "builtins:len") as sandbox:
        outcome = sandbox.run("job")
    if outcome.value != len("job"):
        raise DeltaproofError(
            "upstream's code cannot be shut in, so `deltaproof canary` executes none and can tell nothing",
            got=outcome.why or outcome.how,
            next_step=_how_to_allow(),
        )
    return f"jobs of strangers are shut in, in {outcome.wall_s:.2f} s"


def _how_to_allow() -> str:
    """What to set, of the settings by which this machine may forbid namespaces."""
    forbidding = [
        f"{name.replace('/', '.')}={allowed}"
        for name, (forbidden, allowed) in _FORBIDDING.items()
        if (SETTINGS / name).is_file() and (SETTINGS / name).read_text(encoding="ascii").strip() == forbidden
    ]
    if forbidding:
        return f"Let users have namespaces of their own: sudo sysctl -w {' '.join(forbidding)}"
    return (
        "No setting of this machine forbids users namespaces of their own. In a container its seccomp or AppArmor "
        "profile may: allow it unshare, mount and pivot_root, as with --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined"
    )


def _environments(out: Path) -> list[Finding]:
    """Every built environment against its lock: exactly what was locked, and nothing of ours."""
    store, findings = Store(out), []
    for lock in sorted(store.locks.glob("*.txt")):
        import hashlib

        content = lock.read_bytes()
        directory = store.cells / hashlib.sha256(content).hexdigest()[:16]
        if not directory.is_dir():
            continue
        locked = parse_lock(content.decode(), where=str(lock))
        wrong = differences(locked, installed(directory)) if is_complete(directory, locked) else ["not complete"]
        detail = f"{len(locked)} distributions, as locked" if not wrong else "; ".join(wrong[:5])
        findings.append(Finding(name=f"environment {directory.name}", ok=not wrong, detail=detail))
    return findings
