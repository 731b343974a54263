"""What `deltaproof canary` does: sources, then each guard of each release in the environment that it names.

One package after the other (`looking.py`), so that the processes of one are gone when those of the next begin.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from harness.canaries import sources
from harness.canaries.judging import overall
from harness.canaries.looking import Environments, Looking, roots_of
from harness.canaries.request import CanaryRequest, Progress
from harness.canaries.rules import check_rows, rows_of
from harness.canaries.timeline import changes
from harness.cells.many import build_all, resolve_all
from harness.cells.records import Progress as CellProgress
from harness.planning.matrix import select_cells
from harness.records.canaries import SCHEMA_VERSION, CanaryReport, ReleaseReport, Rule, Told
from harness.records.cases import Matrix

Rules = Mapping[str, tuple[Rule, ...]]


def run_canaries(
    request: CanaryRequest,
    rules: Rules,
    matrix: Matrix,
    *,
    progress: Progress | None = None,
    cell_progress: CellProgress | None = None,
) -> CanaryReport:
    """Every guard of `rules`, in each of the releases that are asked for."""
    started, clock = datetime.now(UTC), time.perf_counter()
    check_rows(rules, matrix)
    if request.path is not None:
        for package, each in rules.items():
            sources.root_of(package, request.path, roots_of(each))  # before an environment is built for it
    request = replace(request, seed=request.seed or secrets.token_hex(8))
    releases = sources.Releases(request.out / "sources")
    wanted = {package: _versions(request, package, releases) for package in rules}
    if progress is not None:
        progress.started(sum(len(rules[package]) * len(versions) for package, versions in wanted.items()))
    environments = _environments(rules, matrix, request, cell_progress)
    reports: list[ReleaseReport] = []
    for package, versions in wanted.items():
        with ExitStack() as stack:
            looking = Looking(package, rules[package], request, releases, environments, stack, progress)
            reports += map(looking.at, versions)
    return CanaryReport(
        schema_version=SCHEMA_VERSION,
        run_id=f"canaries-{started:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}",
        started=started.isoformat(timespec="seconds"),
        duration_s=time.perf_counter() - clock,
        command=request.command,
        expression=request.expression,
        seed=request.seed,
        rules=tuple(_told(rule, package) for package, each in rules.items() for rule in each),
        releases=tuple(reports),
        changes=tuple(changes(reports)),
        exit_code=overall(reports),
    )


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


def _environments(rules: Rules, matrix: Matrix, request: CanaryRequest, progress: CellProgress | None) -> Environments:
    pythons: dict[str, Path | str] = {"": sys.executable}
    failed: dict[str, str] = {}
    if rows := tuple(sorted(rows_of(rules))):
        resolved = resolve_all(
            select_cells(matrix, rows), matrix, out=request.out, day=request.today, on_progress=progress
        )
        built = build_all(resolved.done.values(), out=request.out, on_progress=progress)
        pythons |= {name: cell.python for name, cell in built.done.items()}
        failed = {name: str(error) for name, error in {**resolved.failed, **built.failed}.items()}
    return Environments(pythons, failed)


def _told(rule: Rule, package: str) -> Told:
    return Told(
        name=rule.name, package=package, why=rule.why, thread=rule.thread, where=rule.where,
        symbols=tuple(rule.symbols.values()), expected=rule.expected,
    )  # fmt: skip
