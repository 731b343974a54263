"""Where guards are executed: a process apart for each package and row, and folders that they import releases from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from harness.artifacts import creating
from harness.canaries.checking import ENTRY, Executor
from harness.canaries.trees import Tree, Unparsable
from harness.cells.variables import cell_environment
from harness.records.canaries import Rule
from harness.sandbox.client import Limits, Outcome, Sandbox

Key = tuple[str, str]
"""A package and a row."""


class Impossible:
    """In the place of a process whose environment cannot be had."""

    def __init__(self, why: str) -> None:
        self._why = why

    def run(self, request: object, *, limits: Limits, visible: tuple[Path, ...] = ()) -> Outcome:
        """Nothing."""
        return Outcome(how="impossible", why=self._why)


def executors_of(
    rules: Mapping[str, Iterable[Rule]], pythons: Mapping[str, Path | str], stack: ExitStack
) -> dict[Key, Executor]:
    """One for each package and each row that its rules name; `pythons` are by row, those that cannot be had left out.

    What one package needs may itself be watched: one process has not imported both. Each starts when it is first asked.
    """
    needs: dict[Key, set[str]] = {}
    for package, each in rules.items():
        for rule in each:
            needs.setdefault((package, rule.row), set()).update(rule.needs)
    environment = cell_environment(scratch=Path("/scratch"), code=Path("/"), environ={})
    return {
        (package, row): stack.enter_context(
            Sandbox(pythons[row], ENTRY, preload=sorted(preload), environment=environment)
        )
        if row in pythons
        else Impossible(f"the environment of row {row} could not be built")
        for (package, row), preload in needs.items()
    }


def unpacked(tree: Tree, parent: Path) -> Path:
    """A folder with the tree's files, for a Python that is to import them; made once for each digest.

    Raises Unparsable if one was not read: the package would not be what it is.
    """
    for name, why in tree.left_out.items():
        raise Unparsable(f"{name} {why}")
    directory = parent / f"{tree.digest}-{len(tree.files)}"
    if not directory.exists():
        with creating(directory) as partial:
            for name, content in tree.files.items():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    return directory
