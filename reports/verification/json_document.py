"""The JSON of a verification, which other people's jobs read: a contract, with `schema.json` beside it.

Owns the names and the order of its keys. Knows no other view.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.codec import encode
from harness.verify.report import FilesSeen, VerifyReport

SCHEMA_PATH = Path(__file__).with_name("schema.json")


def render(report: VerifyReport) -> str:
    """The JSON text of `report`.

    In ASCII: names are a stranger's, and whatever is in them stays a `\\u` escape wherever this is shown.
    """
    return json.dumps(document(report), indent=1, allow_nan=False) + "\n"


def document(report: VerifyReport) -> dict[str, Any]:
    """`report` as JSON values; without what is for pictures."""
    merged = None if report.merged is None else _directory(report.merged)
    return {
        "schema_version": report.schema_version,
        "verdict": report.verdict.value,
        "exit_code": int(report.exit_code),
        "findings": encode(report.findings),
        "tensors": encode(report.tensors),
        "experts": encode(report.experts),
        "passthrough": encode(report.passthrough),
        "layout": encode(report.layout),
        "files": {"base": _directory(report.base), "adapter": _directory(report.adapter), "merged": merged},
        "timing": encode(report.timing),
    }


def _directory(seen: FilesSeen) -> dict[str, Any]:
    return {
        "directory": str(seen.directory),
        "files": list(seen.files),
        "num_tensors": seen.num_tensors,
        "size_bytes": seen.size_bytes,
    }
