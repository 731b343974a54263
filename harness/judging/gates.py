"""The table of tolerances (`gates.toml`): which gate each measurement must pass, and what it was set from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from harness.codec import decode
from harness.errors import CaseError

GATES_PATH = Path(__file__).with_name("gates.toml")


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
    noise: str
    """What clean repetitions were measured at."""
    nearest_fault: str
    """What the nearest fault was measured at."""
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTable:
    """All rows, for one kind of device."""

    device: str
    gates: tuple[Gate, ...]

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
    """Read the table. Raises CaseError on an unknown key or a wrong value."""
    return decode(GateTable, tomllib.loads(path.read_text(encoding="utf-8")), where=str(path.name), error=CaseError)
