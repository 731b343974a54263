"""The output folder: where everything that a run makes lies. Owns names of folders; must not know what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.artifacts import storing, sweep_partials


class RunFolders(NamedTuple):
    """The folders of one run: what its processes were asked, what they told, what they printed."""

    root: Path
    batches: Path
    events: Path
    logs: Path


class Store:
    """`out` with its folders. Artifacts lie by key, shared by all runs; what only explains a run lies with the run."""

    def __init__(self, out: Path) -> None:
        self.out = out.absolute()
        self.bases = self.out / "bases"
        self.writes = self.out / "writes"
        self.reads = self.out / "reads"
        self.code = self.out / "code"
        self.cells = self.out / "cells"
        self.locks = self.out / "locks"
        self.scratch = self.out / "scratch"
        self._runs = self.out / "runs"

    def prepare(self) -> None:
        """Make the folders and remove what dead processes left half done. StorageError if `out` cannot be written."""
        for folder in (self.bases, self.writes, self.reads, self.code, self.cells, self.locks, self.scratch):
            with storing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove the partial artifacts and scratch folders of processes that are no more."""
        for folder in (self.bases, self.writes, self.reads, self.code, self.scratch):
            sweep_partials(folder)

    def run(self, run_id: str) -> RunFolders:
        """The folders of the run `run_id`, made if need be."""
        root = self._runs / run_id
        folders = RunFolders(root=root, batches=root / "batches", events=root / "events", logs=root / "logs")
        for folder in folders:
            with storing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        return folders
