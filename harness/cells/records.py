"""What the rooms of `cells` hand on: where torch comes from, a row as locked, a row as built, and what became of many.

Standard library and our own records only. Must not know how locks or environments are made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from harness.errors import EnvironmentBuildError
from harness.records.cases import Cell

State = Literal["resolving", "resolved", "building", "built", "reused", "failed"]
Progress = Callable[[str, State], None]
"""Told the name of a cell and what has just begun or ended for it. Called from threads, but never by two at once."""

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchSource:
    """Where the CPU build of torch comes from: the first that has it of pip's find-links and uv's own CPU index."""

    find_links: tuple[str, ...] = ()
    """Locations (folders or addresses) that have a CPU wheel of torch; empty for uv's CPU index."""
    version: str = ""
    """The version there, with its `+cpu`; empty for uv's CPU index."""

    @property
    def install_arguments(self) -> tuple[str, ...]:
        """What `uv pip sync` must be told, so that it finds what the lock names."""
        if not self.find_links:
            return ("--torch-backend", "cpu")
        return tuple(word for location in self.find_links for word in ("--find-links", location))

    @property
    def resolve_arguments(self) -> tuple[str, ...]:
        """What `uv pip compile` must be told."""
        # Neither torch's own index nor a page of links says when a file was uploaded, and for uv's cut-off a file
        # without a date does not exist (uv issue 16846). The matrix pins torch, so that no date is needed.
        return (*self.install_arguments, "--exclude-newer-package", "torch=false")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedCell:
    """A row with its lock: every distribution to one version, with the hashes of its files."""

    cell: Cell
    lock_path: Path
    lock_digest: str
    """SHA-256 of the lock's content: the name of the environment, and part of the name of every result."""
    versions: Mapping[str, str]
    """Every locked distribution (normalised name) to its version."""
    torch_source: TorchSource


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCell:
    """A row with its environment, which holds exactly what the lock says."""

    resolved: ResolvedCell
    python: Path
    """The environment's interpreter. Not to be resolved: a link's target knows nothing of the environment."""
    directory: Path
    versions: Mapping[str, str]
    """Every distribution as found installed."""
    reused: bool
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes(Generic[Done]):
    """What became of several rows. A row is in one of the two: one that fails does not stop the others."""

    done: Mapping[str, Done]
    failed: Mapping[str, EnvironmentBuildError]
