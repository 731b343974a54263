"""What a job observed, as arrays: their names on disk, and the bundle that metrics measure.

Suffixes: `B` sequences, `T` tokens, `V` vocabulary, `D` hidden, `M` MoE layers, `K` chosen experts, `S` samples,
`N` new tokens. Imports numpy and the standard library only; knows nothing of torch or of how the arrays came to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from harness.metrics.npz import reading, write
from harness.metrics.weight_table import WeightTable
from harness.records.cases import Case, Dialect, Family, saved_as
from harness.records.jobs import Answer, Reach

BASE = "base.npz"
TRAINED = "trained.npz"
RELOADED = "reloaded.npz"
WEIGHTS = "weights.npz"
ORACLE = "oracle.safetensors"
RANKS = {"logits": 3, "tokens": 2, "margins": 2, "routing": 4, "stages": 4}
"""Axes of each array in an outputs file."""
MORE = {"sequences_BT": 2, "forced_SN": 2, "drawn_SN": 2, "unrepeated": 0}
"""Arrays that not every stack observes, with their axes."""
MERGED = "merged"


def adapter_folder(dialect: Dialect) -> str:
    """The folder, in a write's directory, of the adapter in `dialect`: "adapter", or "adapter-swapped"."""
    return saved_as("adapter", dialect)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """What a model computes on the case's tokens."""

    logits_BTV: np.ndarray
    """float32, whatever the model's dtype."""
    tokens_SN: np.ndarray
    """Greedily generated continuations; padded with -1 after the stop token."""
    margins_SN: np.ndarray
    """Logit of the chosen token minus that of the runner-up; 0 where padded."""
    routing_MBTK: np.ndarray
    """Chosen experts, sorted; shape (0, B, T, 0) for dense models."""
    stages: Mapping[str, np.ndarray]
    """Outputs of the forward pass in order (embed_tokens, layers.0.self_attn, layers.0.mlp, layers.0, …): (B, T, D)."""
    sequences_BT: np.ndarray | None = None
    """The tokens that `logits_BTV` are of, and that are trained on."""
    forced_SN: np.ndarray | None = None
    """`margins_SN` once more, from one pass over prompt and continuation, without a cache and without padding."""
    drawn_SN: np.ndarray | None = None
    """Continuations of one prompt, drawn under one seed at a temperature at which no two should be alike."""
    unrepeated: np.ndarray | None = None
    """How many logits a second pass over the same tokens gave otherwise; no axes."""

    def save(self, path: Path) -> None:
        """Write to `path` (npz, no pickles)."""
        arrays = {
            "logits": self.logits_BTV,
            "tokens": self.tokens_SN,
            "margins": self.margins_SN,
            "routing": self.routing_MBTK,
            "stage_names": np.array(list(self.stages)),
            # One array and not one a stage: opening is what reading costs.
            "stages": np.stack(list(self.stages.values())),
        }
        write(path, arrays | {name: values for name in MORE if (values := getattr(self, name)) is not None})


def load_outputs(path: Path) -> Outputs | None:
    """The outputs at `path`, or None if the job did not get that far. Raises ArtifactError if they cannot be read."""
    if not path.exists():
        return None
    status = path.stat()
    return _load_outputs(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _load_outputs(path: Path, _size_bytes: int, _mtime_ns: int) -> Outputs:
    # A write's outputs are what each of its routes is compared with, one after the other.
    with reading(path, "outputs") as arrays:
        more = {name: arrays[name] for name in MORE if name in arrays}
        for name, rank in (RANKS | {name: MORE[name] for name in more}).items():
            if arrays[name].ndim != rank:
                raise ValueError(f"{name} has {arrays[name].ndim} axes, not {rank}")
        names = [str(name) for name in arrays["stage_names"]]
        return Outputs(
            logits_BTV=arrays["logits"],
            tokens_SN=arrays["tokens"],
            margins_SN=arrays["margins"],
            routing_MBTK=arrays["routing"],
            stages=dict(zip(names, arrays["stages"], strict=True)),
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """Everything that is known of one write or one route. Metrics take it whole and use what they need."""

    case: Case
    family: Family
    form: str
    """Empty for a write."""
    answer: Answer
    written: Answer
    """The writer's answer; the same as `answer` for a write."""
    base: Outputs | None = None
    trained: Outputs | None = None
    reloaded: Outputs | None = None
    weights: WeightTable | None = None
    """Of a write: merged checkpoint on disk against the oracle. Of a route: the reloaded model against the oracle."""
    files: tuple[str, ...] = field(default_factory=tuple)
    """Paths in the saved forms, relative to the write's directory."""
    is_own_row: bool = False
    """Whether a route's reader is the row that wrote."""

    @property
    def reach(self) -> Reach | Literal[""]:
        """How far a route goes; empty for a write."""
        if not self.form:
            return ""
        if self.answer.stack != self.written.stack:
            return "other_stack"
        return "own_row" if self.is_own_row else "own_stack"


def observed_write(case: Case, family: Family, answer: Answer, directory: Path) -> Observed:
    """A write's observations, read from its artifact."""
    return Observed(
        case=case,
        family=family,
        form="",
        answer=answer,
        written=answer,
        base=load_outputs(directory / BASE),
        trained=load_outputs(directory / TRAINED),
        weights=WeightTable.load(directory / WEIGHTS),
        files=tuple(entry.path for entry in answer.files),
    )


def observed_read(
    case: Case,
    family: Family,
    form: str,
    answer: Answer,
    directory: Path,
    written: Answer,
    written_directory: Path,
    *,
    is_own_row: bool,
) -> Observed:
    """A route's observations, read from its artifact and from that of its write."""
    return Observed(
        case=case,
        family=family,
        form=form,
        answer=answer,
        written=written,
        base=load_outputs(written_directory / BASE),
        trained=load_outputs(written_directory / TRAINED),
        reloaded=load_outputs(directory / RELOADED),
        weights=WeightTable.load(directory / WEIGHTS),
        is_own_row=is_own_row,
    )
