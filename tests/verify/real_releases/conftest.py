"""The merges of every release, made once for each state of this folder by the rows that differ in PEFT's layout.

Environments, wheels and merges outlive a session, in pytest's cache. Knows nothing of the verifier.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

import harness
from harness.artifacts import creating
from harness.cells.exclusive import exclusively
from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.cells.uv_tool import run_uv
from harness.cells.variables import cell_environment
from harness.errors import EnvironmentBuildError
from harness.planning.matrix import load_matrix, select_cells
from tests.conftest import OFFLINE
from tests.verify.real_releases.releases import WHEELS

ROOT = Path(harness.__file__).parent.parent
TODAY = date(2026, 11, 1)
ROWS = ("r1", "r2")
"""PEFT 0.19.1 with the standard layout of expert factors, and 0.18.1 with the swapped one."""
INSIDE = "tests.verify.real_releases.inside"
_NO_REGISTRY = f"If no package registry can be reached from here, {OFFLINE}=1 leaves these tests out."

Merges = Mapping[str, Path]
"""A row's name to a folder of each model: `base`, `adapter`, and the merge by each of MERGERS, with what it said."""


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Mapping[str, BuiltCell]:
    """Each row's environment, built now or by an earlier session."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("environments")
    matrix = load_matrix(ROOT / "cases" / "matrix.toml")
    resolved = resolve_all(select_cells(matrix, ROWS), matrix, out=folder, day=TODAY)
    outcomes = build_all(resolved.done.values(), out=folder)
    for row, error in {**resolved.failed, **outcomes.failed}.items():
        pytest.fail(f"the environment of {row} cannot be built: {error}\n{error.log}\n{_NO_REGISTRY}", pytrace=False)
    return outcomes.done


@pytest.fixture(scope="session")
def wheels(pytestconfig: pytest.Config) -> Path:
    """A folder of each release of unsloth_zoo, unpacked without what it requires, now or by an earlier session."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("unsloth_zoo")
    for version, sha256 in WHEELS.items():
        directory = folder / version
        with exclusively(directory):
            if directory.is_dir():
                continue
            with creating(directory) as partial:
                try:
                    run_uv(
                        [
                            *("pip", "install", "--no-deps", "--only-binary", ":all:", "--require-hashes"),
                            *("--python", sys.executable, "--no-python-downloads"),
                            *("--target", str(partial), "--requirement", "-"),
                        ],
                        where=version,
                        doing="installing",
                        stdin=f"unsloth_zoo=={version} --hash=sha256:{sha256}\n",
                    )
                except EnvironmentBuildError as error:
                    pytest.fail(f"unsloth_zoo {version}: {error}\n{error.log}\n{_NO_REGISTRY}", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def merges(
    environments: Mapping[str, BuiltCell],
    wheels: Path,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Merges:
    """What every release makes of every model, now or in an earlier session."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("merges")
    found = {}
    for row, environment in environments.items():
        directory = folder / _digest(environment.resolved.lock_digest)[:16]
        with exclusively(directory):  # one of pytest-xdist's workers merges, and the others wait for it
            if not directory.is_dir():
                with creating(directory) as partial:
                    _merge(environment.python, wheels, partial, tmp_path_factory.mktemp("scratch"))
        found[row] = directory
    return found


def _digest(lock_digest: str) -> str:
    digest = hashlib.sha256(lock_digest.encode())
    here = Path(__file__).parent
    for path in sorted([here / "models.py", here / "releases.py", *(here / "inside").glob("*.py")]):
        digest.update(f"\n{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _merge(python: Path, wheels: Path, out: Path, scratch: Path) -> None:
    ended = subprocess.run(
        [str(python), "-m", INSIDE, str(wheels), str(out)],
        env=cell_environment(scratch=scratch, code=ROOT),
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        pytest.fail(f"merging failed:\n{ended.stdout}\n{ended.stderr}", pytrace=False)
