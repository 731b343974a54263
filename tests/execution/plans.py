"""Small plans, cells and bases for the engine's tests: shared by the tests and by the driver's process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.execution.outcome import WorkingCell
from harness.records.cases import AdapterSpec, Case, Family
from harness.records.jobs import Batch, PlannedRead, PlannedWrite

FAMILY = Family(
    name="tiny", why="a test", architecture="TinyForCausalLM", config={"hidden_size": 6}, tensors=(), adaptable={}
)

JAX = "jax"
WORK_DIGESTS = {"": "work", "torch_peft": "work", "jax_stacked": "work"}


def case(name: str, *, full_count: bool = False, steps: int = 60, why: str = "a test") -> Case:
    """A case of which only the name matters here."""
    return Case(
        name=name,
        why=why,
        family="tiny",
        dtype="float32",
        trainer="loop",
        adapter=AdapterSpec(adapt=("attention",)),
        steps=steps,
        forms=("merged",),
        full_count=full_count,
    )


def plan(cells: Sequence[str], cases: Sequence[str]) -> tuple[list[PlannedWrite], list[PlannedRead]]:
    """Every cell writes every case, and reads what every cell wrote."""
    all_cases = [case(name) for name in cases]
    writes = [PlannedWrite(case=each, family=FAMILY, cell=cell) for cell in cells for each in all_cases]
    reads = [
        PlannedRead(case=write.case, family=FAMILY, writer=write.cell, reader=reader, form="merged")
        for reader in cells
        for write in writes
    ]
    return writes, reads


def fake_cells(names: Sequence[str], environment: Mapping[str, str]) -> dict[str, WorkingCell]:
    """Cells whose Python is the one that runs the tests; the one called `JAX` is of the other stack."""
    return {
        name: WorkingCell(
            name=name,
            stack="jax_stacked" if name == JAX else "torch_peft",
            python=Path(sys.executable),
            lock_digest=f"lock of {name}",
            environment=environment,
        )
        for name in names
    }


def fake_command(python: Path, code: Path, batch: Batch) -> list[str]:
    """The fake worker. Without `site`: it needs none, and starts faster."""
    return [str(python), "-S", str(Path(__file__).with_name("fake_worker.py"))]


def write_fake_base(directory: Path, family: Family, case: Case) -> None:
    """A base checkpoint of one file."""
    (directory / "base.bin").write_bytes(b"base")
