"""Output folders that share one built environment, and the command line as a process.

Environments and locks outlive a session (pytest's cache holds them); what is trained in them never does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest

import harness
from harness import codec
from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.planning.matrix import select_cells
from harness.records.results import Report
from harness.runs.request import Catalogue, load_catalogue
from tests.conftest import OFFLINE

ROOT = Path(harness.__file__).parent.parent
TODAY = date(2026, 11, 1)
ROW = "r1"

NewOut = Callable[[], Path]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """All that is under `cases/`."""
    return load_catalogue()


@pytest.fixture(scope="session")
def built(catalogue: Catalogue, pytestconfig: pytest.Config) -> BuiltCell:
    """The row r1, built now or by an earlier session. Its folder is for environments and locks alone."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("environments")
    cells = select_cells(catalogue.matrix, [ROW])
    resolved = resolve_all(cells, catalogue.matrix, out=folder, day=TODAY)
    outcomes = build_all(resolved.done.values(), out=folder)
    for error in (*resolved.failed.values(), *outcomes.failed.values()):
        hint = f"If no package registry can be reached from here, {OFFLINE}=1 leaves these tests out."
        pytest.fail(f"the environment of {ROW} cannot be built: {error}\n{error.log}\n{hint}", pytrace=False)
    return outcomes.done[ROW]


@pytest.fixture(scope="session")
def new_out(built: BuiltCell, tmp_path_factory: pytest.TempPathFactory) -> NewOut:
    """Makes output folders in which nothing is trained, and the environment is there."""

    def make() -> Path:
        out = tmp_path_factory.mktemp("out")
        shared = built.directory.parent.parent
        for name in ("cells", "locks"):
            (out / name).symlink_to(shared / name, target_is_directory=True)
        return out

    return make


def run_command(out: Path, *results: str) -> list[str]:
    """The command line of `deltaproof run` for these results (ids) of the row, in `out`."""
    options = ["--cells", ROW, "--out", str(out), "-k", " or ".join(results), "--json"]
    return [sys.executable, "-m", "harness.cli.main", "run", *options]


def start(command: list[str], environment: Mapping[str, str] | None = None, root: Path = ROOT) -> subprocess.Popen[str]:
    """`command` as a process, in the repository's root or that of a copy."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env=dict(os.environ if environment is None else environment),
    )


def routes(case: str) -> tuple[str, str]:
    """The ids of both routes by which the row reads its own `case`."""
    return f"{case}@{ROW}>lora>{ROW}", f"{case}@{ROW}>merged>{ROW}"


def report_of(output: str) -> Report:
    """The report that `run --json` printed."""
    return codec.decode(Report, json.loads(output), where="stdout")


def verdicts(report: Report) -> dict[str, str]:
    """Each result's, by its id."""
    return {result.id: result.judgement.verdict for result in report.results}
