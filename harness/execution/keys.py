"""Keys of artifacts: a digest of everything that decides what an artifact holds. Same key, same work: reused.

Pure. What only decides whether or where a job is done (its reason, its place in the grid) is not in its key.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from harness import codec
from harness.records.cases import Case, Family
from harness.records.jobs import PlannedRead, PlannedWrite

_PLANNING_OF_CASE = ("why", "grid", "stacks", "writers", "cells", "quick")
_PLANNING_OF_FAMILY = ("why", "requires", "stacks")
_DESCRIBED: dict[int, tuple[Case | Family, str]] = {}
"""By identity, with the record itself, so that no other can take its place: records hold tables and have no hash."""


def base_key(family: Family, case: Case, *, work_digest: str) -> str:
    """The key of a base checkpoint, which all cases share that want the same one."""
    wanted = {"config": case.config, "dtype": case.dtype, "seed": case.seed, "save": case.save}
    return _digest({"base": wanted, "family": _family(family), "code": work_digest})


def write_key(
    planned: PlannedWrite, *, work_digest: str, lock_digest: str, base_digest: str, fault_digest: str = ""
) -> str:
    """The key of a write. `lock_digest` is its cell's; `base_digest` that of the base's contents; `fault_digest` that
    of the code of the fault that is put into it, if any.
    """
    return _job_key(planned, work_digest, lock_digest, {"base": base_digest}, fault_digest)


def read_key(
    planned: PlannedRead,
    *,
    work_digest: str,
    lock_digest: str,
    base_digest: str,
    written_digest: str,
    fault_digest: str = "",
) -> str:
    """The key of a read. `lock_digest` is its reader's, `fault_digest` as for a write.

    `written_digest` is that of the written artifact's contents as they are on disk now. So an artifact that somebody
    damages gets new reads, on the damaged files, and never the verdict of the whole ones.
    """
    contents = {"base": base_digest, "written": written_digest}
    return _job_key(planned, work_digest, lock_digest, contents, fault_digest)


def _job_key(
    planned: PlannedWrite | PlannedRead, work: str, lock: str, contents: dict[str, Any], fault_digest: str
) -> str:
    if planned.strike is not None:
        contents = {**contents, "strike": planned.strike, "fault": fault_digest}
    # The id names the cells: two rows that happen to resolve to one lock each prove their own artifacts.
    case = _described(planned.case, _PLANNING_OF_CASE)
    return _digest(
        {"job": planned.id, "case": case, "family": _family(planned.family), "code": work, "lock": lock, **contents}
    )


def _family(family: Family) -> str:
    return _described(family, _PLANNING_OF_FAMILY)


def _described(record: Case | Family, left_out: tuple[str, ...]) -> str:
    """The digest of a record without the fields that only plan. A run asks for the same few a thousand times."""
    kept = _DESCRIBED.get(id(record))
    if kept is None or kept[0] is not record:
        fields = {name: value for name, value in codec.encode(record).items() if name not in left_out}
        kept = _DESCRIBED[id(record)] = (record, _digest(fields))
    return kept[1]


def _digest(value: dict[str, Any]) -> str:
    text = json.dumps(codec.encode(value), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:40]
