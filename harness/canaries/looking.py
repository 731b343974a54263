"""One package's releases, each guard in each: side by side in the processes apart, and one thread at a time here."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.canaries import sources
from harness.canaries.checking import check
from harness.canaries.executors import Yielding, executors_of, unpacked
from harness.canaries.judging import count, exit_code, one_line
from harness.canaries.remembering import Remembering
from harness.canaries.request import CanaryRequest, Progress
from harness.canaries.trees import Tree
from harness.errors import ArtifactError
from harness.records.canaries import ReleaseReport, Rule, Source, State, Verdict

MAX_TOLD = 1000
"""Of a sentence about a guard, in which there may be names from its source."""


class Environments(NamedTuple):
    """Of the rows: their Pythons, and this one; or why they cannot be built."""

    pythons: Mapping[str, Path | str]
    failed: Mapping[str, str]


class Looking:
    """At one package's releases."""

    def __init__(
        self,
        package: str,
        rules: Sequence[Rule],
        request: CanaryRequest,
        releases: sources.Releases,
        environments: Environments,
        stack: ExitStack,
        progress: Progress | None,
    ) -> None:
        self._package = package
        self._rules = rules
        self._request = request
        self._releases = releases
        self._progress = progress
        self._turn = threading.Lock()
        self._pool = stack.enter_context(ThreadPoolExecutor(max_workers=len(rules)))
        # Ended before the threads, so that none of them waits for an answer, or begins, when somebody has had enough.
        begun = executors_of({package: rules}, environments.pythons, stack, failed=environments.failed, begun=True)
        self._executors = {row: Remembering(Yielding(executor, self._turn)) for (_, row), executor in begun.items()}
        self._is_over = threading.Event()
        stack.callback(self._is_over.set)

    def at(self, version: str) -> ReleaseReport:
        """One release: "" is what is installed or a folder, "?" and why what nobody can have."""
        clock = time.perf_counter()
        package, rules, request = self._package, self._rules, self._request
        trees = self._trees(version)
        known = [tree for tree in trees.values() if isinstance(tree, Tree)]
        name = known[0].version if known else version.partition("?")[0] or "?"
        if self._progress is not None:
            self._progress.looking(f"{package} {name}")

        def look(rule: Rule) -> tuple[str, Verdict]:
            with self._turn:
                if self._is_over.is_set():
                    return rule.name, _untold(rule, "it was interrupted")
                verdict = self._checked(rule, trees[rule.source])
                if known:  # of a release that nobody has seen, nobody can say what it need not have
                    verdict = count(rule, verdict, name, request.today, is_installed=not version)
                if self._progress is not None:
                    self._progress.checked(rule.name)
                return rule.name, verdict

        # What imports the whole package takes longest: it runs while the others are taken out of their sources.
        verdicts = dict(self._pool.map(look, sorted(rules, key=lambda rule: not rule.behaviour)))
        ordered = tuple(verdicts[rule.name] for rule in rules)
        return ReleaseReport(
            package=package,
            version=name,
            origin=known[0].origin if known else next(tree for tree in trees.values() if isinstance(tree, str)),
            digest=known[0].digest if known else "",
            verdicts=ordered,
            exit_code=exit_code(ordered),
            duration_s=time.perf_counter() - clock,
            rerun=_rerun(package, version, request),
        )

    def _trees(self, version: str) -> dict[str, Tree | str]:
        """By source; or why it cannot be had."""
        trees: dict[str, Tree | str] = {}
        for source in dict.fromkeys(rule.source for rule in self._rules):
            try:
                trees[source] = self._tree(version, source)
            except (sources.Unreachable, ArtifactError) as error:
                trees[source] = str(error)
        return trees

    def _tree(self, version: str, source: Source) -> Tree:
        roots = roots_of(self._rules)
        if version.startswith("?"):
            raise sources.Unreachable(version[1:])
        if self._request.path is not None:
            return sources.folder(self._package, self._request.path, roots, source)
        if not version and source == "sdist":
            version = sources.installed_release(self._package)
        if version:
            return self._releases.tree(self._package, version, source)
        return sources.installed(self._package, roots, source)

    def _checked(self, rule: Rule, tree: Tree | str) -> Verdict:
        """What is said of a guard. What nobody thought of is told of it alone: others hold or do not all the same."""
        if isinstance(tree, str):
            return _untold(rule, tree)
        parent = self._request.out / "sources" / "unpacked"
        try:
            made = check(rule, tree, self._executors[rule.row], lambda each: unpacked(each, parent), self._request.seed)
            archive = () if rule.source == self._rules[0].source else (tree.origin,)
            looked_at = tuple(one_line(each, MAX_TOLD) for each in (*made.looked_at, *archive))
            return replace(made, why=one_line(made.why, MAX_TOLD), looked_at=looked_at)
        except Exception as error:  # noqa: BLE001 - a release is whatever somebody made it
            return _untold(rule, f"it could not be checked: {type(error).__name__}: {error}")


def roots_of(rules: Iterable[Rule]) -> list[str]:
    """The folders that a package's guards are in."""
    return sorted({PurePosixPath(rule.where).parts[0] for rule in rules})


def _untold(rule: Rule, why: str) -> Verdict:
    return Verdict(rule=rule.name, state=State.CANNOT_TELL, counts=True, why=one_line(why), looked_at=())


def _rerun(package: str, version: str, request: CanaryRequest) -> str:
    """`version` is "" for what is installed; of releases that could not be listed, as it was asked."""
    which = ["--version", version] if version else []
    if request.path is not None:
        which = ["--path", str(request.path)]
    elif version.startswith("?"):
        ends = [("--since", request.since), ("--until", request.until)]
        which = [word for option, value in ends if value for word in (option, value)] or ["--newest"]
    return shlex.join(["deltaproof", "canary", "--package", package, *which, "--seed", request.seed])
