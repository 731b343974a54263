"""Base checkpoints of a run: each written once by our own code, shared by all cells, and checked before it is reused.

Owns that they are there and whole; must not know what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from harness.artifacts import ANSWER, changed_files, creating, digest_of, discard, finish, read_answer
from harness.errors import ArtifactError, DeltaproofError, StorageError
from harness.execution.keys import base_key
from harness.execution.store import Store
from harness.records.cases import Case, Family
from harness.records.jobs import Answer, PlannedRead, PlannedWrite

WriteBase = Callable[[Path, Family, Case], None]
"""Writes the base checkpoint of a case into a folder that exists and is empty."""

_CHECKPOINT = "checkpoint"


class Base(NamedTuple):
    """A base checkpoint on disk; or why there is none."""

    path: Path
    digest: str
    error: str


def ensure_bases(
    planned: Sequence[PlannedWrite | PlannedRead], *, store: Store, work_digest: str, write_base: WriteBase, slots: int
) -> Mapping[str, Base]:
    """The base of every case in `planned`, by the case's name.

    One that cannot be written takes its own cases down, and no others. StorageError stops everything.
    """
    keys = {job.case.name: base_key(job.family, job.case, work_digest=work_digest) for job in planned}
    wanted = {keys[job.case.name]: job for job in planned}

    def ensure(key: str) -> Base:
        return _ensure(store.bases / key, wanted[key], write_base)

    with ThreadPoolExecutor(max_workers=slots) as pool:
        bases = dict(zip(wanted, pool.map(ensure, wanted), strict=True))
    return {name: bases[key] for name, key in keys.items()}


def _ensure(directory: Path, job: PlannedWrite | PlannedRead, write_base: WriteBase) -> Base:
    # The answer lies beside the checkpoint, not in it: what cells load is exactly what `write_base` wrote.
    checkpoint = directory / _CHECKPOINT
    if directory.exists() and not _is_whole(directory):
        discard(directory)  # whoever changed it: a base follows from its seed, so it is written again as it was
    if not directory.exists():
        try:
            with creating(directory) as partial:
                (partial / _CHECKPOINT).mkdir()
                write_base(partial / _CHECKPOINT, job.family, job.case)
                finish(partial, Answer(job=f"base of {job.case.name}"))
        except StorageError:
            raise
        except DeltaproofError as error:
            return Base(checkpoint, "", f"its base checkpoint cannot be written: {error}")
    return Base(checkpoint, digest_of(read_answer(directory).files), "")


def _is_whole(directory: Path) -> bool:
    try:
        return (directory / ANSWER).is_file() and not changed_files(directory, read_answer(directory))
    except ArtifactError:
        return False
