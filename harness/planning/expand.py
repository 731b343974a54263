"""Cases × cells to the jobs of a run: who writes what, who reads it, and what a cell cannot run and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from harness.checkpoints.dialects import routes_of
from harness.records.cases import Case, Family, Stack
from harness.records.jobs import PlannedRead, PlannedWrite

VERSIONED: Stack = "torch_peft"
"""The stack whose versions cases and families may ask for: the others have none of these packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCell:
    """What planning must know of a cell: its name, its stack, and the versions that its lock resolved to."""

    name: str
    stack: Stack
    versions: Mapping[str, str]
    newest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A case that a cell cannot run, with the reason. On the newest cell it counts as a failure."""

    case: Case
    cell: str
    reason: str
    newest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The jobs of one run."""

    writes: tuple[PlannedWrite, ...]
    reads: tuple[PlannedRead, ...]
    skips: tuple[Skip, ...]

    def counts(self) -> dict[str, int]:
        """How many writes, routes (by form, and off the diagonal) and skips there are."""
        forms = Counter(read.form for read in self.reads)
        return {
            "writes": len(self.writes),
            "routes": len(self.reads),
            "routes_lora": forms["lora"],
            "routes_merged": forms["merged"],
            "routes_across_cells": sum(1 for read in self.reads if read.writer != read.reader),
            "skipped": len(self.skips),
        }


def applies(case: Case, family: Family, stack: Stack, versions: Mapping[str, str]) -> str | None:
    """None if a cell of `stack` with these versions can write the case; else the reason why not."""
    for stacks, owner in ((case.stacks, f"case {case.name}"), (family.stacks, f"family {family.name}")):
        if stack not in stacks:
            return f"{owner} is for {' and '.join(stacks)}, the cell has {stack}"
    if stack != VERSIONED:
        return None
    for requirements, owner in ((case.writers, f"case {case.name}"), (family.requires, f"family {family.name}")):
        for package, specifier in requirements.items():
            version = versions.get(package)
            if version is None or not SpecifierSet(specifier).contains(version, prereleases=True):
                return f"{owner} needs {package} {specifier}, the cell has {version or 'none'}"
    return None


def make_plan(
    cases: Sequence[Case],
    families: Mapping[str, Family],
    cells: Sequence[PlanCell],
    wanted: Callable[[str], bool] = lambda _id: True,
) -> Plan:
    """Every write and every route of `cases` in `cells`; `wanted` chooses by id (a wanted read brings its write)."""
    writes: list[PlannedWrite] = []
    reads: list[PlannedRead] = []
    skips: list[Skip] = []
    for case in cases:
        family = families[case.family]
        for writer in cells:
            if not _is_written_by(case, family, writer):
                continue
            write = PlannedWrite(case=case, family=family, cell=writer.name)
            reason = applies(case, family, writer.stack, writer.versions)
            if reason is not None:
                if wanted(write.id):
                    skips.append(Skip(case=case, cell=writer.name, reason=reason, newest=writer.newest))
                continue
            routes = [
                PlannedRead(
                    case=case, family=family, writer=writer.name, reader=reader.name, form=form, dialect=dialect
                )
                for reader in (cells if case.grid else [writer])
                if reader.stack in family.stacks and _satisfies(family.requires, reader)
                for form, dialect in routes_of(case, family, writer.stack)
            ]
            chosen = [read for read in routes if wanted(read.id)]
            reads += chosen
            if chosen or wanted(write.id):
                writes.append(write)
    return Plan(writes=tuple(writes), reads=tuple(reads), skips=tuple(skips))


def _is_written_by(case: Case, family: Family, cell: PlanCell) -> bool:
    """Whether the case exists for the cell; a cell that lacks what the family requires reports it as skipped."""
    if case.cells and cell.name not in case.cells:
        return False
    return cell.stack in case.stacks and cell.stack in family.stacks and _satisfies(case.writers, cell)


def _satisfies(requirements: Mapping[str, str], cell: PlanCell) -> bool:
    return cell.stack != VERSIONED or all(
        package in cell.versions and SpecifierSet(specifier).contains(cell.versions[package], prereleases=True)
        for package, specifier in requirements.items()
    )
