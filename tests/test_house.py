"""The house's rules that no tool checks: what cells import, that modules and tests say what they are."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.execution.code import INSIDE
from harness.records.cases import STACKS

ROOT = Path(__file__).parents[1]
INSIDE_ROOMS = (
    "harness/artifacts.py",
    "harness/checkpoints",
    "harness/codec.py",
    "harness/errors.py",
    "harness/judging",
    "harness/metrics",
    "harness/records",
    "harness/worker.py",
)
"""What runs in a cell, where nothing of ours is installed: standard library, numpy, and each other."""
OUTSIDE_WORLD = ("harness", "reports")
INSIDE_WORLD = {"torch", "jax", "flax", "transformers", "peft", "trl", "datasets", "accelerate", "safetensors"}
NUMPY_FREE = ("harness/artifacts.py", "harness/codec.py", "harness/errors.py", "harness/records", "harness/worker.py")
"""Standard library only: they say so."""


def modules(*places: str) -> list[str]:
    """Python files at or below these places, relative to the repository."""
    found = []
    for place in places:
        path = ROOT / place
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        found += [file.relative_to(ROOT).as_posix() for file in files]
    return [name for name in found if "/out/" not in name]


ALL = modules("harness", "reference", "cases", "reports", "bench", "tests", "noxfile.py")


def imports(name: str) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, as a dotted name."""
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            # Of "from harness import codec" the module is harness.codec.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


SHARED = [name for name in modules("reference") if name.count("/") == 1]


def rooms() -> set[str]:
    """The dotted names of the rooms that run in a cell."""
    return {room.removesuffix(".py").replace("/", ".") for room in INSIDE_ROOMS}


def test_the_rooms_are_not_empty() -> None:
    """Each place exists, so that no rule below holds of nothing."""
    for room in INSIDE_ROOMS:
        assert modules(room), room
    assert len(ALL) > 100


@pytest.mark.parametrize("name", modules(*INSIDE_ROOMS))
def test_what_runs_in_a_cell_imports_numpy_alone(name: str) -> None:
    """The standard library, numpy, and other rooms of which the same is true."""
    for module in imports(name):
        top = module.split(".")[0]
        if top == "harness":
            assert any(module == room or module.startswith(f"{room}.") for room in rooms()), f"{name} imports {module}"
        else:
            assert top in {*sys.stdlib_module_names, "numpy"}, f"{name} imports {module}"


@pytest.mark.parametrize("name", modules(*NUMPY_FREE))
def test_the_lowest_rooms_need_no_numpy(name: str) -> None:
    """They are also read where nothing was installed yet."""
    assert "numpy" not in {module.split(".")[0] for module in imports(name)}


@pytest.mark.parametrize("name", modules(*OUTSIDE_WORLD))
def test_the_outside_world_imports_nothing_of_the_inside(name: str) -> None:
    """No torch, jax, transformers or peft, and none of the two rooms that run in a cell."""
    assert set() == {module.split(".")[0] for module in imports(name)} & (INSIDE_WORLD | {"reference", "cases"})


@pytest.mark.parametrize("name", modules("cases/faults", "cases/variations", "cases/injecting.py"))
def test_faults_are_read_where_no_stack_is(name: str) -> None:
    """What they patch they import when they strike: the outside world reads what they say of themselves."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {each.name for node in top if isinstance(node, ast.Import) for each in node.names}
    named |= {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
    assert set() == {module.split(".")[0] for module in named} & (INSIDE_WORLD | {"jaxlib", "optax", "pytest"})
    assert not any(module.startswith(f"reference.{stack}") for module in named for stack in STACKS)


@pytest.mark.parametrize("name", SHARED)
def test_what_the_stacks_share_imports_none_of_them(name: str) -> None:
    """Every module beside the stacks' folders runs in every cell, and is named by the import rule that says so."""
    assert set() == {module.split(".")[0] for module in imports(name)} & (INSIDE_WORLD | {"jaxlib", "optax"})
    assert not any(module.startswith(f"reference.{stack}") for module in imports(name) for stack in STACKS)
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    [rule] = [rule for rule in tools["importlinter"]["contracts"] if rule["name"].startswith("What the stacks share")]
    assert name.removesuffix(".py").replace("/", ".") in {*rule["source_modules"], "reference.__init__"}
    assert {f"reference.{stack}" for stack in STACKS} <= set(rule["forbidden_modules"])


def test_all_that_runs_in_a_cell_travels_there() -> None:
    """The copy that cells run holds each room, and what `cases` and `reference` import of the harness."""
    assert set(INSIDE_ROOMS) <= set(INSIDE)
    travels = {place.removesuffix(".py").replace("/", ".") for place in INSIDE}
    for name in modules("reference", "cases", "harness/planning"):
        if name.startswith("cases/canaries/"):
            continue  # executed apart, in a process that has imported what they need
        for module in imports(name):
            if module.split(".")[0] in ("harness", "reference", "cases"):
                assert any(module == each or module.startswith(f"{each}.") for each in travels), f"{name}: {module}"


@pytest.mark.parametrize("name", ALL)
def test_every_module_says_what_it_is(name: str) -> None:
    """A docstring, of one line at least."""
    docstring = ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring) > 15


@pytest.mark.parametrize("name", [name for name in ALL if Path(name).name.startswith("test_")])
def test_every_test_is_one_sentence(name: str) -> None:
    """Its docstring says what holds."""
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            docstring = ast.get_docstring(node)
            assert docstring, node.name
            assert docstring.rstrip().endswith((".", "…")), node.name


@pytest.mark.parametrize("name", sorted(set(ALL) - {"tests/test_house.py"}))
def test_no_file_names_a_machine(name: str) -> None:
    """No home folder and no absolute path of anybody's machine is in a source file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [] == re.findall(r"/(?:home|Users)/(?!me\b|x\b)\w+|/root/|/mnt/\w+", text)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch", {"torch"}),
        ("def f():\n    from harness import codec", {"harness.codec"}),
        ("import os.path, numpy as np", {"os.path", "numpy"}),
    ],
)
def test_imports_are_seen_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: set[str]
) -> None:
    """The rules above see what they should: at the top, in a function, several in a line."""
    (tmp_path / "module.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr("tests.test_house.ROOT", tmp_path)
    assert expected == set(imports("module.py"))
