"""Where guards are executed: a process apart for each package and row, and folders that they import releases from."""

from __future__ import annotations

import threading
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


class Yielding:
    """An executor for threads that work in turn: who waits for an answer has `turn` no longer, until it is there.

    Python would let one think at a time anyway; so none repeats what another has begun to parse.
    """

    def __init__(self, executor: Executor, turn: threading.Lock) -> None:
        self._executor = executor
        self._turn = turn

    def run(self, request: object, *, limits: Limits, visible: tuple[Path, ...] = ()) -> Outcome:
        """What came of it."""
        self._turn.release()
        try:
            return self._executor.run(request, limits=limits, visible=visible)
        finally:
            self._turn.acquire()


def executors_of(
    rules: Mapping[str, Iterable[Rule]],
    pythons: Mapping[str, Path | str],
    stack: ExitStack,
    *,
    failed: Mapping[str, str] | None = None,
    begun: bool = False,
) -> dict[Key, Executor]:
    """One for each package and each row that its rules name; `pythons` are by row, and of others why they `failed`.

    What one package needs may itself be watched: one process has not imported both. Each starts when it is first asked,
    or now if it is to have `begun`.
    """
    needs: dict[Key, set[str]] = {}
    for package, each in rules.items():
        for rule in each:
            needs.setdefault((package, rule.row), set()).update(rule.needs)
    environment = cell_environment(scratch=Path("/scratch"), code=Path("/"), environ={})
    found: dict[Key, Executor] = {}
    for (package, row), preload in needs.items():
        if row not in pythons:
            why = f"the environment of row {row} could not be built"
            found[package, row] = Impossible(f"{why}: {failed[row]}" if failed and row in failed else why)
            continue
        sandbox = Sandbox(pythons[row], ENTRY, preload=sorted(preload), environment=environment)
        found[package, row] = stack.enter_context(sandbox)
        if begun:
            sandbox.begin()
    return found


def unpacked(tree: Tree, parent: Path) -> Path:
    """A folder with the tree's files, for a Python that is to import them; made once for each digest.

    Raises Unparsable if one was not read: the package would not be what it is.
    """
    for name, why in tree.left_out.items():
        raise Unparsable(f"{name} {why}")
    directory = (parent / f"{tree.digest}-{len(tree.files)}").resolve()
    if not directory.exists():
        with creating(directory) as partial:
            for name, content in tree.files.items():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    return directory
