"""The table of tolerances (`gates.toml`): which gate each measurement must pass, and what it was set from."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from harness.codec import decode
from harness.errors import CaseError

GATES_PATH = Path(__file__).with_name("gates.toml")
DIGEST_KEY = "digest"
"""The last table of the file: of all text before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One row: a metric, where it applies, and the bound that separates clean runs from the nearest fault."""

    metric: str
    kinds: tuple[Literal["write", "read"], ...]
    dtypes: tuple[str, ...]
    relation: Literal["at_most", "at_least", "all"]
    """`all` asks for value == num_compared (every sample)."""
    bound: float = 0.0
    carries: bool = True
    """False: it confirms and is shown, and alone fails nothing (DESIGN section 4.3)."""
    optional: bool = False
    """True for what some models do not have (routing, experts). Any other gate that carries must find its metric."""
    across_stacks: Literal["any", "no", "only"] = "any"
    """Whether it applies to routes whose reader is of another stack than the writer. Two stacks round in different
    places, so in bfloat16 their noise is not that of one stack with itself."""
    power: bool = False
    """True: the signal. Below the bound nothing can be told, so the verdict is INCONCLUSIVE, not FAIL."""
    noise: float | None = None
    """The worst of the clean results (of `all`: how many were not equal); None where there were none."""
    num_clean: int
    """Clean results behind it."""
    nearest: float | None = None
    """Of the faults that this metric can tell, the value nearest to the noise."""
    nearest_fault: str = ""
    """Whose it is."""
    unseen: tuple[str, ...] = ()
    """Faults that lie on the clean side of the bound, each with the metrics that catch it."""
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTable:
    """All rows, for one kind of device."""

    device: str
    measured_on: str
    """ISO date."""
    command: str
    versions: Mapping[str, Mapping[str, str]]
    """Row to package to version: what was measured."""
    gates: tuple[Gate, ...]
    digest: Mapping[str, str] = field(default_factory=dict)

    def of(self, kind: str, dtype: str, *, across_stacks: bool) -> tuple[Gate, ...]:
        """The gates of a write or a read in `dtype`, within one stack or across two."""
        elsewhere = "no" if across_stacks else "only"
        return tuple(
            gate
            for gate in self.gates
            if kind in gate.kinds and dtype in gate.dtypes and gate.across_stacks != elsewhere
        )


@cache
def load_gates(path: Path = GATES_PATH) -> GateTable:
    """Read the table. Raises CaseError on an unknown key, a wrong value, or an edit by hand."""
    text = path.read_text(encoding="utf-8")
    table: GateTable = decode(GateTable, tomllib.loads(text), where=str(path.name), error=CaseError)
    body = text.rpartition(f"\n[{DIGEST_KEY}]\n")[0]
    if table.digest.get("sha256") != digest_of_text(body):
        raise CaseError(
            "was edited by hand: its numbers are measured",
            where=path.name,
            next_step="`deltaproof calibrate` makes it; what metrics are for is in harness/calibration/policy.toml.",
        )
    return table


def digest_of_text(body: str) -> str:
    """SHA-256 of the text before the digest, whatever blank lines end it."""
    return hashlib.sha256(body.rstrip().encode()).hexdigest()
