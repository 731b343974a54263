"""The ways to look at a merged checkpoint that are measured, each as one process that must have done what it is for.

Must not know what is made of the times.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Ended, launch
from bench.sides import UnmeasuredError, num_cores, side_environment
from bench.verify_work import ADAPTER, BASE, MERGED, Size

ROOT = Path(__file__).parent.parent
LARGEST_ROUNDING = 1e-3
"""A step of bfloat16 at the largest of the weights. The largest delta is ten times that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """All of them, for the works in one folder."""

    folder: Path
    python: Path
    """The interpreter that a user has, with transformers and PEFT."""

    def write(self, work: str, size: Size) -> Ended:
        """Make the three folders of `work`. In a process, for the memory that it takes."""
        # One thread: products that are cut for several differ in their last bits.
        variables = {**self._own(), "OPENBLAS_NUM_THREADS": "1"}
        options = ["--layers", str(size.num_layers), "--shard-bytes", str(size.shard_bytes)]
        command = [sys.executable, "-m", "bench.verify_work", str(self.folder / work), *options]
        return launch(command, variables=variables, folder=self.folder, name=f"write-{work}")

    def verify(self, work: str) -> Ended:
        """`deltaproof verify`. Raises UnmeasuredError if it does not find the adapter."""
        options = [f"--{name}={self.folder / work / name}" for name in (BASE, ADAPTER, MERGED)]
        command = [sys.executable, "-m", "harness.cli.main", "verify", "--json", *options]
        ended = launch(command, variables=self._own(), folder=self.folder, name=f"verify-{work}")
        verdict = json.loads(ended.stdout)["verdict"]
        if verdict != "CONTAINS":
            raise UnmeasuredError(f"the verdict on {work} is {verdict}")
        return ended

    def merge(self, work: str) -> Ended:
        """Merge again and compare. Raises UnmeasuredError if it finds more than what rounding explains."""
        variables = side_environment(scratch=self.folder / "scratch", code=ROOT, num_threads=num_cores())
        directories = [str(self.folder / work / name) for name in (BASE, ADAPTER, MERGED)]
        command = [str(self.python), "-m", "bench.merging_way", *directories]
        ended = launch(command, variables=variables, folder=self.folder, name=f"merge-{work}")
        found = json.loads(ended.stdout)
        if not found["num_tensors"] or found["difference"] > LARGEST_ROUNDING:
            raise UnmeasuredError(f"merged again, {work} is another: {found}")
        return ended

    def read(self, work: str) -> Ended:
        """Read base and merged, and no more. Raises UnmeasuredError if not all has been read."""
        directories = [self.folder / work / name for name in (BASE, MERGED)]
        command = [sys.executable, "-m", "bench.reading_way", str(num_cores()), *map(str, directories)]
        ended = launch(command, variables=self._own(), folder=self.folder, name=f"read-{work}")
        size_bytes = sum(path.stat().st_size for each in directories for path in each.glob("*.safetensors"))
        if json.loads(ended.stdout)["num_bytes"] != size_bytes:
            raise UnmeasuredError(f"of {work}, {size_bytes} bytes, not all was read: {ended.stdout}")
        return ended

    def _own(self) -> dict[str, str]:
        """What is compiled for the first run is there for the others, and for nobody else."""
        return {**os.environ, "PYTHONPATH": str(ROOT), "DELTAPROOF_CACHE": str(self.folder / "compiled")}
