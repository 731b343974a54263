"""The copy of the code: whole, frozen, and with two digests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import DeltaproofError
from harness.execution.code import INSIDE, snapshot
from harness.execution.store import Store
from harness.records.cases import STACKS

Edit = Callable[[Path], object]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source tree with everything that travels."""
    root = tmp_path / "source"
    for name in INSIDE:
        path = root / name if name.endswith(".py") else root / name / "module.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    (root / "harness" / "cli").mkdir()
    (root / "harness" / "cli" / "main.py").touch()
    (root / "cases" / "__pycache__").mkdir()
    (root / "cases" / "__pycache__" / "module.pyc").touch()
    (root / "cases" / "families").mkdir()
    (root / "cases" / "families" / "tiny.toml").touch()
    return root


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    store = Store(tmp_path / "out")
    store.prepare()
    return store


def append(name: str) -> Edit:
    """An edit of one file, which may be new."""

    def edit(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with (root / name).open("a") as file:
            file.write("# edited\n")

    return edit


def test_what_the_inside_needs_travels(source: Path, store: Store) -> None:
    """Files, packages and their data are copied; the outside world and caches are not."""
    code = snapshot(store, source)
    copied = {path.relative_to(code.directory).as_posix() for path in code.directory.rglob("*") if path.is_file()}
    assert "cases/families/tiny.toml" in copied and "reference/module.py" in copied
    assert not [name for name in copied if "cli" in name or "__pycache__" in name]
    assert code == snapshot(store, source)


@pytest.mark.parametrize(
    ("edit", "is_work"),
    [
        (append("reference/module.py"), True),
        (append("cases/module.py"), True),
        (append("cases/pytest.ini"), True),
        (append("harness/records/new.py"), True),
        (append("harness/judging/module.py"), False),
        (append("harness/planning/module.py"), False),
        (append("cases/known.toml"), False),
        (append("cases/families/tiny.toml"), False),
        (append("reference/README.md"), False),
    ],
    ids=["stack", "worker", "settings", "new file", "judge", "planning", "known outcome", "family", "docs"],
)
def test_an_edit_makes_another_copy(source: Path, store: Store, edit: Edit, is_work: bool) -> None:
    """Every edit has a copy of its own; only those that change what artifacts hold change the work's digest."""
    before = snapshot(store, source)
    edit(source)
    after = snapshot(store, source)
    assert before.directory != after.directory and before.digest != after.digest
    assert before.work_digests.keys() == after.work_digests.keys()
    assert {is_work} == {before.work_digests[stack] != digest for stack, digest in after.work_digests.items()}


@pytest.mark.parametrize("stack", STACKS)
def test_an_edit_of_one_stack_is_no_work_of_another(source: Path, store: Store, stack: str) -> None:
    """What the others wrote and read stays as it is, and so do base checkpoints, which no stack writes."""
    before = snapshot(store, source)
    append(f"reference/{stack}/module.py")(source)
    after = snapshot(store, source)
    assert before.digest != after.digest
    assert {"", *STACKS} == set(after.work_digests)
    changed = {each for each, digest in after.work_digests.items() if before.work_digests[each] != digest}
    assert {stack} == changed


def test_an_edit_outside_changes_nothing(source: Path, store: Store) -> None:
    """The command line and the caches are not in the copy."""
    before = snapshot(store, source)
    append("harness/cli/main.py")(source)
    append("cases/__pycache__/module.pyc")(source)
    assert before == snapshot(store, source)


def test_a_later_edit_does_not_reach_the_copy(source: Path, store: Store) -> None:
    """A running cell keeps the code that it started with; an edited copy is made again."""
    code = snapshot(store, source)
    append("cases/module.py")(source)
    assert "# cases\n" == (code.directory / "cases" / "module.py").read_text()
    append("cases/module.py")(code.directory)
    (source / "cases" / "module.py").write_text("# cases\n")
    assert code == snapshot(store, source)
    assert "# cases\n" == (code.directory / "cases" / "module.py").read_text()


def test_a_missing_part_is_named(source: Path, store: Store) -> None:
    """An installation without one of the packages is an error, not a smaller copy."""
    (source / "harness" / "codec.py").unlink()
    with pytest.raises(DeltaproofError, match=r"codec\.py: this installation is not whole"):
        snapshot(store, source)


def test_the_worker_needs_nothing_but_the_copy(store: Store, tmp_path: Path) -> None:
    """A Python without site-packages imports what a cell's process starts with from the real copy alone."""
    code = snapshot(store)
    imports = "import harness.worker, harness.artifacts, harness.records.jobs; print(harness.worker.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", imports],
        env={"PYTHONPATH": str(code.directory), "PATH": os.defpath},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(code.directory / "harness" / "worker.py") == done.stdout.strip()


def test_an_edit_of_a_fault_is_work_of_that_fault_alone(source: Path, store: Store) -> None:
    """The toolkit's is of all faults; neither is of the jobs that have none."""
    for name in ("merging/one.py", "merging/two.py"):
        append(f"cases/faults/{name}")(source)
    append("cases/injecting.py")(source)
    before = snapshot(store, source)
    assert {"one", "two"} == before.fault_digests.keys()
    append("cases/faults/merging/one.py")(source)
    edited = snapshot(store, source)
    assert before.work_digests == edited.work_digests
    assert {"one"} == {name for name, digest in edited.fault_digests.items() if before.fault_digests[name] != digest}
    append("cases/injecting.py")(source)
    after = snapshot(store, source)
    assert before.work_digests == after.work_digests
    assert not set(after.fault_digests.values()) & set(edited.fault_digests.values())
