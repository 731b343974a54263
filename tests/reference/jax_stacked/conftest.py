"""What transformers and PEFT compute of the scenarios: recorded once for each state of the code, by the newest row.

The environment and what was recorded outlive a session, in pytest's cache, as do the programs that jax compiles. Knows
nothing of the stack that is compared.
"""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

import harness
from harness.artifacts import creating
from harness.cells.exclusive import exclusively
from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.cells.variables import cell_environment
from harness.planning.matrix import load_matrix, select_cells
from tests.conftest import OFFLINE
from tests.reference.jax_stacked.scenarios import FAMILIES, SCENARIOS

# Before anything imports jax: programs are compiled as in a cell, for the processor that torch computes on.
os.environ |= {name: cell_environment(scratch=Path(), code=Path())[name] for name in ("JAX_PLATFORMS", "XLA_FLAGS")}

ROOT = Path(harness.__file__).parent.parent
TODAY = date(2026, 11, 1)
"""The newest row is what was newest then: these tests are of our stack, not of tomorrow's transformers."""
ROW = "newest"
HERE = "tests/reference/jax_stacked"
MANIFEST = "manifest.json"
"""The last file that is written."""
SOURCES = (
    f"{HERE}/__init__.py",
    f"{HERE}/scenarios.py",
    f"{HERE}/torch_side",
    "tests/__init__.py",
    "tests/reference/__init__.py",
    *(f"cases/families/{family}.toml" for family in FAMILIES),
    "harness/__init__.py",
    "harness/codec.py",
    "harness/errors.py",
    "harness/checkpoints",
    *(f"harness/planning/{name}.py" for name in ("__init__", "families", "toml_files")),
    *(f"harness/records/{name}.py" for name in ("__init__", "cases")),
    *(f"reference/{name}.py" for name in ("__init__", "data", "torch_peft/__init__", "torch_peft/adapting")),
)
"""What decides what is recorded, apart from the environment: a test compares it with what was imported."""

Goldens = Callable[[str], Path]


@pytest.fixture(scope="session", autouse=True)
def cached_programs(pytestconfig: pytest.Config) -> None:
    """Programs that jax has compiled once are found again: compiling is most of what these tests take."""
    import jax  # here and not above: tests of adapters are collected without it

    assert pytestconfig.cache is not None
    jax.config.update("jax_compilation_cache_dir", str(pytestconfig.cache.mkdir("jax")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="module", autouse=True)
def forgotten_programs() -> Iterator[None]:
    """A process forgets a module's programs: each maps memory, of which Linux allows a process 65,530 mappings."""
    import jax

    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="session")
def newest(pytestconfig: pytest.Config) -> BuiltCell:
    """The newest row's environment, built now or by an earlier session."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("environments")
    matrix = load_matrix(ROOT / "cases" / "matrix.toml")
    resolved = resolve_all(select_cells(matrix, [ROW]), matrix, out=folder, day=TODAY)
    outcomes = build_all(resolved.done.values(), out=folder)
    for error in (*resolved.failed.values(), *outcomes.failed.values()):
        hint = f"If no package registry can be reached from here, {OFFLINE}=1 leaves these tests out."
        pytest.fail(f"the environment of {ROW} cannot be built: {error}\n{error.log}\n{hint}", pytrace=False)
    return outcomes.done[ROW]


@pytest.fixture(scope="session")
def recorded(newest: BuiltCell, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all scenarios and their manifest, recorded now or by an earlier session."""
    assert pytestconfig.cache is not None
    directory = pytestconfig.cache.mkdir("goldens") / _digest(newest.resolved.lock_digest)[:16]
    with exclusively(directory):  # one of pytest-xdist's workers records, and the others wait for it
        if not (directory / MANIFEST).is_file():
            with creating(directory) as partial:
                _record(newest.python, partial, tmp_path_factory.mktemp("scratch"))
    return directory


@pytest.fixture(scope="session")
def goldens(recorded: Path) -> Goldens:
    """The folder of a scenario's files, by its name."""

    def find(scenario: str) -> Path:
        assert scenario in SCENARIOS, f"no scenario is called {scenario!r}"
        return recorded / scenario

    return find


def sources() -> Iterator[str]:
    """Every file of `SOURCES`, relative to the root."""
    for name in SOURCES:
        path = ROOT / name
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        assert files, f"{name} is not there"
        yield from (file.relative_to(ROOT).as_posix() for file in files)


def _digest(lock_digest: str) -> str:
    digest = hashlib.sha256(lock_digest.encode())
    for name in sources():
        digest.update(f"\n{name}\0".encode() + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return digest.hexdigest()


def _record(python: Path, out: Path, scratch: Path) -> None:
    ended = subprocess.run(
        [str(python), "-m", f"{HERE}/torch_side".replace("/", "."), str(out)],
        env=cell_environment(scratch=scratch, code=ROOT) | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        pytest.fail(f"the torch side failed:\n{ended.stdout}\n{ended.stderr}", pytrace=False)
