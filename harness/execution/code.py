"""The copy of our code that cells run: what the inside needs, frozen at the start of a run.

Cells get this copy as their whole PYTHONPATH, so that neither our outside dependencies nor an edit made during a run
leak into a cell. Owns which files those are; must not know what they do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import harness
from harness.artifacts import creating, discard
from harness.errors import DeltaproofError
from harness.execution.store import Store
from harness.records.cases import STACKS

INSIDE = (
    "harness/__init__.py",
    "harness/errors.py",
    "harness/codec.py",
    "harness/artifacts.py",
    "harness/worker.py",
    "harness/records",
    "harness/checkpoints",
    "harness/metrics",
    "harness/judging",
    "harness/planning",
    "reference",
    "cases",
)
"""Files and folders that travel, relative to the folder in which the `harness` package lies."""

FAULTS, INJECTING = ("cases/faults/", "cases/variations/"), "cases/injecting.py"
"""What puts faults and variations into jobs on purpose: it decides what those artifacts hold, and no others."""

NOT_WORK = ("harness/judging/", "harness/planning/", *FAULTS, INJECTING)
"""What travels but changes no artifact: the judge is asked again outside, and plans reach a cell as records."""

_LEFT_OUT = ("__pycache__", "canaries", "tests", "out")


class Code(NamedTuple):
    """One copy of the code."""

    directory: Path
    digest: str
    """Of every file in the copy."""
    work_digests: Mapping[str, str]
    """By stack, of the files that decide what its artifacts hold: part of the key of each of its jobs. A new tolerance,
    a known outcome, a case more or an edit of another stack does not change it. Under "", of what no stack does."""
    fault_digests: Mapping[str, str]
    """By fault, of what puts it into a job: part of the key of the jobs that have it."""


def snapshot(store: Store, source: Path | None = None) -> Code:
    """Copy the inside's code into the store, unless it is there. `source` holds the packages; ours by default."""
    files = dict(_read(source or Path(harness.__file__).parent.parent))
    digest = _digest(files)
    directory = store.code / digest[:32]
    if directory.is_dir() and not _holds(directory, files):
        discard(directory)  # somebody edited the copy: its name would lie
    if not directory.is_dir():
        with creating(directory) as partial:
            for name, content in files.items():
                target = partial / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    work_digests = {
        stack: _digest({name: content for name, content in files.items() if _is_work(name, stack)})
        for stack in ("", *STACKS)
    }
    return Code(
        directory=directory, digest=digest, work_digests=work_digests, fault_digests=dict(_fault_digests(files))
    )


def _fault_digests(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    toolkit = {name: content for name, content in files.items() if name == INJECTING}
    faults = {name: content for name, content in files.items() if name.startswith(FAULTS)}
    for name, content in faults.items():
        # With the others that its text names: some are made of another. One that is named by chance does no harm.
        words = set(re.findall(r"\w+", content.decode(errors="replace")))
        whole = {each: faults[each] for each in faults if each == name or Path(each).stem in words}
        yield Path(name).stem, _digest({**whole, **toolkit})


def _read(source: Path) -> Iterator[tuple[str, bytes]]:
    for name in INSIDE:
        root = source / name
        if not root.exists():
            raise DeltaproofError("this installation is not whole", where=str(root), next_step="Install it again.")
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            parts = path.relative_to(source).parts
            hidden = any(part.startswith(".") or part in _LEFT_OUT for part in parts)
            if path.is_file() and not hidden and path.suffix != ".pyc":
                yield "/".join(parts), path.read_bytes()


def _is_work(name: str, stack: str) -> bool:
    # The TOML files under cases/ reach cells as records, which are in the keys of the jobs that they concern.
    is_plan = name.startswith("cases/") and name.endswith(".toml")
    is_elsewhere = name.startswith(tuple(f"reference/{other}/" for other in STACKS if other != stack))
    return not (is_plan or is_elsewhere or name.endswith(".md") or name.startswith(NOT_WORK))


def _holds(directory: Path, files: Mapping[str, bytes]) -> bool:
    return all((directory / name).is_file() and (directory / name).read_bytes() == files[name] for name in files)


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n".encode())
    return digest.hexdigest()
