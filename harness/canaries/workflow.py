"""What `deltaproof canary` does: sources, then each guard of each release in the environment that it names.

Rows are executed side by side, each in one process apart that has imported once what its guards need.
"""

from __future__ import annotations

import secrets
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

from packaging.utils import canonicalize_name

from harness.canaries import sources
from harness.canaries.checking import Executor, check
from harness.canaries.executors import Impossible, Key, executors_of, unpacked
from harness.canaries.judging import count, exit_code, one_line, overall
from harness.canaries.remembering import Remembering
from harness.canaries.rules import check_rows, rows_of
from harness.canaries.timeline import changes
from harness.canaries.trees import Tree
from harness.cells.many import build_all, resolve_all
from harness.cells.records import Progress as CellProgress
from harness.errors import ArtifactError, UsageError
from harness.planning.matrix import select_cells
from harness.records.canaries import SCHEMA_VERSION, CanaryReport, ReleaseReport, Rule, Source, State, Told, Verdict
from harness.records.cases import Matrix
from harness.runs.selection import parse

MAX_TOLD = 1000
"""Of a sentence about a guard, in which there may be names from its source."""
Rules = Mapping[str, tuple[Rule, ...]]


class Progress(Protocol):
    """Is told how far the work is; `checked` by several threads."""

    def started(self, num_guards: int) -> None:
        """So many guards will be checked, over all releases."""

    def looking(self, release: str) -> None:
        """A release comes next: its package and version."""

    def checked(self, rule: str) -> None:
        """One guard more was checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRequest:
    """What is asked. Of version, newest, path and since at most one; none is what is installed, or else the newest."""

    out: Path
    packages: tuple[str, ...]
    version: str = ""
    newest: bool = False
    path: Path | None = None
    since: str = ""
    until: str = ""
    expression: str = ""
    """Over `rule@package`; empty for all."""
    seed: str = ""
    """Empty for one that nobody can know."""
    today: date
    command: str


def run_canaries(
    request: CanaryRequest,
    rules: Rules,
    matrix: Matrix,
    *,
    progress: Progress | None = None,
    cell_progress: CellProgress | None = None,
) -> CanaryReport:
    """Every guard of the packages that are asked for, in each of the releases."""
    started, clock = datetime.now(UTC), time.perf_counter()
    check_rows(rules, matrix)
    chosen = _chosen(request, rules)
    if request.path is not None:
        for package, each in chosen.items():
            sources.root_of(package, request.path, _roots(each))  # before an environment is built for it
    seed = request.seed or secrets.token_hex(8)
    releases = sources.Releases(request.out / "sources")
    wanted = [(package, version) for package in chosen for version in _versions(request, package, releases)]
    if progress is not None:
        progress.started(sum(len(chosen[package]) for package, _ in wanted))
    with ExitStack() as stack:
        executors = _executors(chosen, matrix, request, stack, cell_progress)
        reports = [
            _release(package, version, chosen[package], request, releases, executors, seed, progress)
            for package, version in wanted
        ]
    return CanaryReport(
        schema_version=SCHEMA_VERSION,
        run_id=f"canaries-{started:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}",
        started=started.isoformat(timespec="seconds"),
        duration_s=time.perf_counter() - clock,
        command=request.command,
        expression=request.expression,
        seed=seed,
        rules=tuple(_told(rule, package) for package, each in chosen.items() for rule in each),
        releases=tuple(reports),
        changes=tuple(changes(reports)),
        exit_code=overall(reports),
    )


def _chosen(request: CanaryRequest, rules: Rules) -> dict[str, tuple[Rule, ...]]:
    named = {canonicalize_name(package): package for package in rules}
    if unknown := [package for package in request.packages if canonicalize_name(package) not in named]:
        raise UsageError("no canaries watch it", where=unknown[0], expected=f"one of {', '.join(sorted(rules))}")
    packages = [named[canonicalize_name(package)] for package in request.packages] or tuple(rules)
    matches = parse(request.expression)
    chosen = {
        package: tuple(rule for rule in rules[package] if matches(f"{rule.name}@{package}")) for package in packages
    }
    if not any(chosen.values()):
        names = ", ".join(rule.name for package in packages for rule in rules[package][:2])
        raise UsageError("no canary matches -k", expected=f"a part of a name, such as {names}", got=request.expression)
    return {package: each for package, each in chosen.items() if each}


def _versions(request: CanaryRequest, package: str, releases: sources.Releases) -> list[str]:
    """What to look at, by version; "" for what is installed or a folder, "?" for what nobody could tell."""
    if request.path is not None:
        return [""]
    if request.version:
        return [request.version]
    if not request.newest and not request.since and not request.until and sources.is_installed(package):
        return [""]
    try:
        found = releases.versions(package, request.since, request.until)
    except sources.Unreachable as error:
        return [f"?{error}"]
    return found if request.since or request.until else found[-1:]


def _roots(rules: Iterable[Rule]) -> list[str]:
    """The folders that a package's guards are in."""
    return sorted({PurePosixPath(rule.where).parts[0] for rule in rules})


def _release(
    package: str,
    version: str,
    rules: Sequence[Rule],
    request: CanaryRequest,
    releases: sources.Releases,
    executors: Mapping[Key, Executor],
    seed: str,
    progress: Progress | None,
) -> ReleaseReport:
    clock = time.perf_counter()
    roots = _roots(rules)
    trees: dict[str, Tree | str] = {}
    for source in dict.fromkeys(rule.source for rule in rules):
        try:
            trees[source] = _tree(package, version, source, roots, request, releases)
        except (sources.Unreachable, ArtifactError) as error:
            trees[source] = str(error)
    known = [tree for tree in trees.values() if isinstance(tree, Tree)]
    name = known[0].version if known else version.partition("?")[0] or "?"
    if progress is not None:
        progress.looking(f"{package} {name}")

    def work(row: str) -> list[Verdict]:
        told = []
        for rule in rules:
            if rule.row == row:
                tree = trees[rule.source]
                if isinstance(tree, str):
                    verdict = _untold(rule, tree)
                else:
                    verdict = _checked(rule, tree, executors[package, row], request, seed)
                # Of a release that nobody has seen, nobody can say what it need not have.
                told.append(count(rule, verdict, name, request.today, is_installed=not version) if known else verdict)
                if progress is not None:
                    progress.checked(rule.name)
        return told

    rows = sorted({rule.row for rule in rules})
    with ThreadPoolExecutor(max_workers=len(rows)) as pool:
        verdicts = {verdict.rule: verdict for told in pool.map(work, rows) for verdict in told}
    ordered = tuple(verdicts[rule.name] for rule in rules)
    return ReleaseReport(
        package=package,
        version=name,
        origin=known[0].origin if known else next(tree for tree in trees.values() if isinstance(tree, str)),
        digest=known[0].digest if known else "",
        verdicts=ordered,
        exit_code=exit_code(ordered),
        duration_s=time.perf_counter() - clock,
        rerun=_rerun(package, version, request, seed),
    )


def _checked(rule: Rule, tree: Tree, executor: Executor, request: CanaryRequest, seed: str) -> Verdict:
    """What is said of a guard. What nobody thought of is told of it alone: others hold or do not all the same."""
    try:
        made = check(rule, tree, executor, lambda each: unpacked(each, request.out / "sources" / "unpacked"), seed)
        looked_at = tuple(one_line(each, MAX_TOLD) for each in made.looked_at)
        return replace(made, why=one_line(made.why, MAX_TOLD), looked_at=looked_at)
    except Exception as error:  # noqa: BLE001 - a release is whatever somebody made it
        return _untold(rule, f"it could not be checked: {type(error).__name__}: {error}")


def _untold(rule: Rule, why: str) -> Verdict:
    return Verdict(rule=rule.name, state=State.CANNOT_TELL, counts=True, why=one_line(why), looked_at=())


def _tree(
    package: str, version: str, source: Source, roots: list[str], request: CanaryRequest, releases: sources.Releases
) -> Tree:
    if version.startswith("?"):
        raise sources.Unreachable(version[1:])
    if request.path is not None:
        return sources.folder(package, request.path, roots, source)
    if version:
        return releases.tree(package, version, source)
    return sources.installed(package, roots, source)


def _executors(
    rules: Rules, matrix: Matrix, request: CanaryRequest, stack: ExitStack, progress: CellProgress | None
) -> dict[Key, Executor]:
    """In the environments of the rows, or in this Python; of those that cannot be built, what says so."""
    pythons: dict[str, Path | str] = {"": sys.executable}
    failed: dict[str, str] = {}
    if rows := tuple(sorted(rows_of(rules))):
        resolved = resolve_all(
            select_cells(matrix, rows), matrix, out=request.out, day=request.today, on_progress=progress
        )
        built = build_all(resolved.done.values(), out=request.out, on_progress=progress)
        pythons |= {name: cell.python for name, cell in built.done.items()}
        failed = {name: str(error) for name, error in {**resolved.failed, **built.failed}.items()}
    return {
        (package, row): Impossible(f"the environment of row {row} could not be built: {failed[row]}")
        if row in failed
        else Remembering(executor)
        for (package, row), executor in executors_of(rules, pythons, stack).items()
    }


def _told(rule: Rule, package: str) -> Told:
    return Told(
        name=rule.name, package=package, why=rule.why, thread=rule.thread, where=rule.where,
        symbols=tuple(rule.symbols.values()), expected=rule.expected,
    )  # fmt: skip


def _rerun(package: str, version: str, request: CanaryRequest, seed: str) -> str:
    """`version` is "" for what is installed; of releases that could not be listed, as it was asked."""
    which = ["--version", version] if version else []
    if request.path is not None:
        which = ["--path", str(request.path)]
    elif version.startswith("?"):
        ends = [("--since", request.since), ("--until", request.until)]
        which = [word for option, value in ends if value for word in (option, value)] or ["--newest"]
    return shlex.join(["deltaproof", "canary", "--package", package, *which, "--seed", seed])
