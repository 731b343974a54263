"""The newest kill matrix of a folder, as the report of a run tells of it: found by the name that its writer left."""

from __future__ import annotations

from pathlib import Path

from harness import codec
from harness.errors import DeltaproofError
from harness.records.faults import SCHEMA_VERSION, KillMatrix, KillSummary

FAULTS = "faults.json"
LATEST_FAULTS = "latest-faults"
"""In the output folder, beside `latest`: the run id of the newest kill matrix."""


def newest_faults(out: Path) -> KillSummary | None:
    """The numbers of the newest kill matrix in `out`; None where there is none, or none that can be read."""
    try:
        run_id = (out / LATEST_FAULTS).read_text(encoding="utf-8").strip()
        if run_id in ("", "..") or Path(run_id).name != run_id:
            return None  # a name that leads elsewhere is none of ours
        matrix = codec.read_json(KillMatrix, out / "runs" / run_id / FAULTS)
    except (DeltaproofError, OSError, ValueError):
        return None  # of another schema, cut short or gone: it cannot say what the checks are worth
    return summary_of(matrix) if matrix.schema_version == SCHEMA_VERSION else None


def summary_of(matrix: KillMatrix) -> KillSummary:
    """Its numbers."""
    return KillSummary(
        run_id=matrix.run_id,
        started_at=matrix.started_at,
        expression=matrix.expression,
        seed=matrix.seed,
        num_faults=matrix.num_faults,
        num_caught=matrix.num_caught,
        num_false_alarms=matrix.num_false_alarms,
        num_controls=matrix.num_controls,
        exit_code=matrix.exit_code,
    )
