"""What a verification says: the verdict, the counts and findings behind it, and what was seen of every weight.

A contract (DESIGN section 5): names of fields, verdicts and kinds are what other people's jobs read. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from harness.errors import ExitCode
from harness.verify.families import Part
from harness.verify.records import Finding

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """What is said of a merged checkpoint; of an adapter alone, that it fits its base or what keeps it from that."""

    CONTAINS = "CONTAINS"
    """All of the delta, and nothing else changed."""
    FITS = "FITS"
    """Of an adapter without a merged checkpoint: well-formed, and every part of it has a place in base."""
    WRONG_VALUES = "WRONG_VALUES"
    """It went in wrongly, or something that is not adapted changed."""
    WRONG_LAYOUT = "WRONG_LAYOUT"
    """It went in under another layout or packing."""
    BASE_UNCHANGED = "BASE_UNCHANGED"
    """None of it."""
    PARTIAL = "PARTIAL"
    """Some tensors or experts lack it, or part of the adapter has no place in base."""
    LOST_TO_ROUNDING = "LOST_TO_ROUNDING"
    """Less than half of it survives the stored dtype."""
    INCOMPLETE = "INCOMPLETE"
    """The delta is right, but something else that the model needs was lost, added or changed."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Nothing is known to be wrong, and not enough could be told."""

    @property
    def exit_code(self) -> ExitCode:
        """0 for what is good, 3 for what cannot be told, 1 for the rest."""
        if self in (Verdict.CONTAINS, Verdict.FITS):
            return ExitCode.OK
        return ExitCode.INCONCLUSIVE if self is Verdict.INCONCLUSIVE else ExitCode.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorCounts:
    """Weights by what became of them; one an expert, however they are stored."""

    targeted: int
    """With factors, or held in full by the adapter."""
    matched: int
    """As they should be; those that need no change among them."""
    unchanged: int
    """Still base's, where they should not be."""
    wrong: int
    """Neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertCounts:
    """Expert projections (gate, up and down each counted), taken from the files and never from a counter."""

    attempted: int
    """Whose delta is not zero."""
    applied: int
    """Whose files show it, or hold what it rounds to."""
    fallback: int
    """The rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassthroughCounts:
    """Weights that the adapter does not touch."""

    compared: int
    identical: int
    """Bit for bit, or under a change of dtype that the configuration states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSeen:
    """How the factors of fused experts are laid out (`harness/checkpoints/packing.py` has the words)."""

    fused: Literal["standard", "swapped", "per_expert"] | None
    """None where no experts are adapted."""
    packing: Literal["rank_major", "grouped_by_expert"] | None
    ambiguous: bool
    """Whether anything that decides could not be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSeen:
    """One directory that was read."""

    directory: Path
    files: tuple[str, ...]
    """Names of what holds tensors."""
    num_tensors: int
    size_bytes: int
    """Of the tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long it took."""

    duration_s: float
    read_bytes: int
    """Of tensors, of all three directories."""


State = Literal["applied", "lost", "zero", "missing", "wrong", "untold"]
"""`applied`: as predicted. `lost`: as predicted, which is base, as rounding leaves nothing. `zero`: the delta is zero,
and so is the change. `missing`: still base's. `wrong`: something else. `untold`: could not be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSeen:
    """What was seen of one adapted weight."""

    name: str
    """Canonical: one an expert, however it is stored."""
    layer: int | None
    expert: int | None
    part: Part | None
    """Of an expert's matrix."""
    state: State
    recovered: float | None
    """Projection of what changed onto the delta, over the delta: 1 where all of it is there, 0 where none is, 2 where
    it went in twice. None where the delta is zero, or nothing could be compared."""
    residual: float | None
    """Norm of what changed less the delta, over that of the delta."""
    num_elements: int
    num_wrong: int
    """Elements that are not as predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """All of it. `sites` is for pictures, and no part of the JSON."""

    schema_version: int = SCHEMA_VERSION
    verdict: Verdict
    exit_code: int
    findings: tuple[Finding, ...]
    """One a tensor, gravest first; alike ones are grouped when shown."""
    tensors: TensorCounts
    experts: ExpertCounts
    passthrough: PassthroughCounts
    layout: LayoutSeen
    base: FilesSeen
    adapter: FilesSeen
    merged: FilesSeen | None
    timing: Timing
    family: str
    """The row of families.toml; empty if there is none."""
    sites: tuple[SiteSeen, ...] = field(repr=False)
