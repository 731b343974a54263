"""The report of canaries as JSON: its records, encoded. A contract that jobs read, with `schema.json` beside it."""

from __future__ import annotations

import json

from harness.codec import encode
from harness.records.canaries import CanaryReport


def render(report: CanaryReport) -> str:
    """The JSON text, in ASCII."""
    return json.dumps(encode(report), indent=1, allow_nan=False) + "\n"
