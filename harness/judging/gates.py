"""The table of tolerances (`gates.toml`): which gate each measurement must pass, and what it was set from."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from harness.codec import decode
from harness.errors import CaseError
from harness.records.cases import FORMS, Form
from harness.records.jobs import Reach

GATES_PATH = Path(__file__).with_name("gates.toml")
DIGEST_KEY = "digest"
"""The last table of the file: of all text before it."""


Kind = Literal["write", "read"]


class Situation(NamedTuple):
    """What gates ask of a result before they judge it."""

    kind: str
    dtype: str
    form: str = ""
    """Empty for a write, which leaves every form."""
    reach: str = ""
    """Empty for a write, which has no reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A metric, and in which situations it is judged by one bound."""

    metric: str
    kinds: tuple[Kind, ...]
    dtypes: tuple[str, ...]
    reaches: tuple[Reach, ...] = ()
    """Of routes; empty for all. Clean noise is another within a row (none at all, of an adapter), between rows and
    between stacks, which round in different places."""
    forms: tuple[Form, ...] = ()
    """Of routes; empty for all. A merge rounds its weights, an adapter does not."""

    def situations(self) -> Iterator[Situation]:
        """Every situation that it is for."""
        for kind in self.kinds:
            for dtype in self.dtypes:
                if kind == "write":
                    yield Situation(kind, dtype)
                    continue
                for form in self.forms or FORMS:
                    for reach in self.reaches or get_args(Reach):
                        yield Situation(kind, dtype, form, reach)


def check_scopes(scopes: Iterable[Scope], *, where: str) -> None:
    """Raise CaseError where two bounds would judge one metric of one result, or a write is asked how it was read."""
    taken = set[tuple[str, Situation]]()
    for scope in scopes:
        if "write" in scope.kinds and (scope.reaches or scope.forms):
            raise CaseError(
                f"a write has no reader: {scope.metric} asks for one",
                where=where,
                next_step='Leave `reaches` and `forms` out, or make a row of its own for kinds = ["read"].',
            )
        for situation in scope.situations():
            if (scope.metric, situation) in taken:
                got = " ".join(filter(None, situation))
                raise CaseError(f"two gates judge {scope.metric}: which one counts?", where=where, got=got)
            taken.add((scope.metric, situation))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Scope):
    """One row: where it applies, and the bound that separates clean runs from the nearest fault."""

    relation: Literal["at_most", "at_least", "all"]
    """`all` asks for value == num_compared (every sample)."""
    bound: float = 0.0
    carries: bool = True
    """False: it confirms and is shown, and alone fails nothing (DESIGN section 4.3)."""
    optional: bool = False
    """True for what some models do not have (routing, experts). Any other gate that carries must find its metric."""
    power: bool = False
    """True: the signal. Below the bound nothing can be told, so the verdict is INCONCLUSIVE, not FAIL."""
    of_signal: bool = False
    """True: a ratio to the signal. Where that is below its floor, there is nothing for it to be a ratio of."""
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

    def of(self, situation: Situation) -> tuple[Gate, ...]:
        """The gates that judge a result in this situation: at most one a metric."""
        return tuple(gate for gate in self.gates if situation in gate.situations())


@cache
def load_gates(path: Path = GATES_PATH) -> GateTable:
    """Read the table. Raises CaseError on unknown keys, wrong values, two gates for one thing, or an edit by hand."""
    text = path.read_text(encoding="utf-8")
    table: GateTable = decode(GateTable, tomllib.loads(text), where=str(path.name), error=CaseError)
    body = text.rpartition(f"\n[{DIGEST_KEY}]\n")[0]
    if table.digest.get("sha256") != digest_of_text(body):
        raise CaseError(
            "was edited by hand: its numbers are measured",
            where=path.name,
            next_step="`deltaproof calibrate` makes it; what metrics are for is in harness/calibration/policy.toml.",
        )
    check_scopes(table.gates, where=path.name)
    return table


def digest_of_text(body: str) -> str:
    """SHA-256 of the text before the digest, whatever blank lines end it."""
    return hashlib.sha256(body.rstrip().encode()).hexdigest()
