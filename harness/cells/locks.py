"""A row of the matrix to a lock file: every distribution pinned, with hashes, as of a date.

Owns `locks/` of the output folder. A lock is named by what was asked (requirements, date, interpreter, platform), so
that asking again needs no network; its content's digest names the environment. Must not know how environments are made.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from packaging.utils import canonicalize_name

from harness import artifacts
from harness.cells import torch_source
from harness.cells.exclusive import exclusively
from harness.cells.records import ResolvedCell, TorchSource
from harness.cells.uv_tool import run_uv
from harness.errors import EnvironmentBuildError
from harness.records.cases import Cell, Matrix

FORMAT = 1
"""Part of every request: raise it when a lock of the same request would be written differently."""

_FROM_FIND_LINKS = "# torch: the CPU build in pip's find-links"
_FROM_UV = "# torch: the CPU index that uv knows"
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")


def resolve(cell: Cell, matrix: Matrix, *, out: Path, day: date) -> ResolvedCell:
    """The lock of `cell`, made now or found in `out`. Raises EnvironmentBuildError, with uv's own words as its log."""
    requirements = requirement_specifiers(cell, matrix)
    links = torch_source.find_links() if "torch" in requirements else ()
    asked = {
        "format": FORMAT,
        "requirements": requirements,
        "cutoff": cutoff_of(cell, matrix, day),
        "python": _python(),
        "find_links": links,
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    path = out / "locks" / f"{digest[:16]}.txt"
    # Two runs that resolve the same row must not end with different locks under one name.
    with exclusively(path):
        if not path.exists():
            _write(path, _compile(cell, requirements, links, str(asked["cutoff"])))
    return _read(cell, path, links)


def cutoff_of(cell: Cell, matrix: Matrix, day: date) -> str:
    """The moment (RFC 3339) after which nothing enters the lock: the matrix's, or with newest the day's start.

    The start, because what is published during a day would make two runs of that day differ.
    """
    follows_the_day = cell.newest or "newest" in cell.requirements.values()
    return f"{day.isoformat()}T00:00:00Z" if follows_the_day else matrix.cutoff


def requirement_specifiers(cell: Cell, matrix: Matrix) -> dict[str, str]:
    """What the row asks for: package to specifier, empty for the newest that fits."""
    own = {name: "" if version == "newest" else f"=={version}" for name, version in cell.requirements.items()}
    return {**matrix.shared, **matrix.stacks.get(cell.stack, {}), **own}


def parse_lock(text: str, *, where: str) -> dict[str, str]:
    """Every distribution (normalised name) that the lock `text` pins, to its version."""
    versions = {}
    for line in text.splitlines():
        if not line.strip() or line[0] in " \t#":
            continue
        pin = _PIN.match(line)
        if pin is None:
            raise EnvironmentBuildError("the lock holds a line that pins nothing", where=where, log=line)
        versions[canonicalize_name(pin[1])] = pin[2]
    return dict(sorted(versions.items()))


def _compile(cell: Cell, requirements: Mapping[str, str], links: tuple[str, ...], cutoff: str) -> str:
    source = torch_source.find_torch(requirements["torch"], links) if "torch" in requirements else TorchSource()
    # A build with the local version +cpu is the same release to uv as the one in the registry: say which we mean.
    pinned = {**requirements, "torch": f"=={source.version}"} if source.version else requirements
    lock = run_uv(
        [
            *("pip", "compile", "-", "--no-header", "--no-annotate", "--generate-hashes"),
            *("--python", sys.executable, "--no-python-downloads"),
            # Source distributions run code of strangers, and need compilers that a nightly machine has not.
            *("--only-binary", ":all:", "--exclude-newer", cutoff),
            *(source.resolve_arguments if "torch" in requirements else ()),
        ],
        where=cell.name,
        doing="resolving",
        stdin="".join(f"{name}{specifier}\n" for name, specifier in sorted(pinned.items())),
    )
    torch_source.refuse_cuda(parse_lock(lock, where=cell.name), where=cell.name)
    # The interpreter is written into the lock, because the environment has the lock's digest for its name.
    header = [f"# Locked by deltaproof for {_python()}. This file's digest names the environment: do not edit."]
    if "torch" in requirements:
        header.append(_FROM_FIND_LINKS if source.version else _FROM_UV)
    return "\n".join([*header, lock])


def _read(cell: Cell, path: Path, links: tuple[str, ...]) -> ResolvedCell:
    with artifacts.storing(path):
        content = path.read_bytes()
    text = content.decode()
    versions = parse_lock(text, where=cell.name)
    from_links = _FROM_FIND_LINKS in text.splitlines()
    return ResolvedCell(
        cell=cell,
        lock_path=path,
        lock_digest=hashlib.sha256(content).hexdigest(),
        versions=versions,
        torch_source=TorchSource(find_links=links, version=versions["torch"]) if from_links else TorchSource(),
    )


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial-{secrets.token_hex(4)}")
    with artifacts.storing(path):
        try:
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _python() -> str:
    implementation = platform.python_implementation()
    return f"{implementation} {platform.python_version()} on {sys.platform} {platform.machine()}"
