"""`deltaproof doctor`: is everything there that a run needs, and if not, what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
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

NEEDED_GIB = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    detail: str


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="The findings as JSON on stdout.")] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Look at Python, uv, torch's source, the cases, the output folder and the environments already built."""
    findings = [
        _attempt("python", lambda: f"{sys.version.split()[0]} at {sys.executable}"),
        _attempt("uv", find_uv),
        _attempt("torch", _torch),
        _attempt("cases", _cases),
        _attempt("output folder", lambda: _folder(out)),
        *_environments(out),
    ]
    for finding in findings:
        mark, style = ("ok  ", "green") if finding.ok else ("FAIL", "red")
        stderr().print(f"{mark} {finding.name}: {finding.detail}", style=style, markup=False, highlight=False)
    if as_json:
        write_stdout(json.dumps([{"name": f.name, "ok": f.ok, "detail": f.detail} for f in findings], indent=1))
    raise typer.Exit(ExitCode.OK if all(finding.ok for finding in findings) else ExitCode.ENVIRONMENT)


def _attempt(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=look())
    except (DeltaproofError, OSError) as error:
        return Finding(name=name, ok=False, detail=str(error))


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
