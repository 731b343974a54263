"""The kill matrix as JSON: its records, encoded. A contract that jobs read, with `schema.json` beside it."""

from __future__ import annotations

import json

from harness.codec import encode
from harness.records.faults import KillMatrix


def render(matrix: KillMatrix) -> str:
    """The JSON text, in ASCII."""
    return json.dumps(encode(matrix), indent=1, allow_nan=False) + "\n"
