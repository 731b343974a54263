"""What a cell's process is started with: one pytest module, our copied code, and nothing that leaks in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.execution.process import environment_of, pytest_command
from harness.records.jobs import Batch, ReadJob, WriteJob
from tests.execution.plans import FAMILY, case, fake_cells

WRITE = WriteJob(id="one@r1", case=case("one"), family=FAMILY, writer="r1", base="b", directory="w")
READ = ReadJob(
    id="one@r1>merged>r1",
    case=case("one"),
    family=FAMILY,
    writer="r1",
    reader="r1",
    form="merged",
    base="b",
    written="w",
    directory="r",
)
BATCH = Batch(cell="r1", stack="torch_peft", phase="write", events="events.jsonl")


def test_each_phase_has_its_module() -> None:
    """The cell's own Python runs the module for writes or the one for reads, from the copy."""
    code = Path("/copy")
    write = pytest_command(Path("/cell/python"), code, replace(BATCH, writes=(WRITE,)))
    read = pytest_command(Path("/cell/python"), code, replace(BATCH, reads=(READ,)))
    assert ["/cell/python", "-m", "pytest"] == write[:3] == read[:3]
    assert ("/copy/cases/test_write.py", "/copy/cases/test_read.py") == (write[-1], read[-1])
    assert "/copy/cases/pytest.ini" in write


def test_the_environment_is_the_cells_with_our_code_alone() -> None:
    """The cell's variables stay, its import path is the copy, and nobody's pytest options reach it."""
    given = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": "/elsewhere", "PYTEST_ADDOPTS": "-x"}
    environment = environment_of(fake_cells(["r1"], given)["r1"], Path("/copy"), Path("/batch.json"), 7)
    assert ("1", "/copy") == (environment["HF_HUB_OFFLINE"], environment["PYTHONPATH"])
    assert ("/batch.json", "7") == (environment["DELTAPROOF_BATCH"], environment["DELTAPROOF_LIFELINE"])
    assert "PYTEST_ADDOPTS" not in environment
