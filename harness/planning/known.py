"""Known outcomes: `cases/known.toml` to declarations, checked against the cases and cells that exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.errors import CaseError
from harness.planning.toml_files import read_toml
from harness.records.cases import KnownOutcome, saved_as


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """`cases/known.toml`."""

    known: tuple[KnownOutcome, ...] = ()


def load_known(path: Path, cases: Collection[str], cells: Collection[str]) -> dict[str, KnownOutcome]:
    """Result id to its declaration. Raises CaseError on unknown cases or cells, and double declarations."""
    by_id: dict[str, KnownOutcome] = {}
    for known in read_toml(KnownFile, path).known:
        where = f"{path.name}: {known.name}"
        try:
            date.fromisoformat(known.expires)
        except ValueError as error:
            raise CaseError("expires is no date", where=where, expected="YYYY-MM-DD", got=known.expires) from error
        for names, existing, what in (
            (known.cases, cases, "case"),
            (known.writers, cells, "cell"),
            (known.readers, cells, "cell"),
        ):
            for name in names:
                if name not in existing:
                    options = ", ".join(sorted(existing))
                    raise CaseError(f"unknown {what}", where=where, expected=f"one of {options}", got=name)
        _check_lists(known, where)
        for identity in result_ids(known):
            if identity in by_id:
                raise CaseError(f"also declared by {by_id[identity].name}", where=f"{where}: {identity}")
            by_id[identity] = known
    return by_id


def _check_lists(known: KnownOutcome, where: str) -> None:
    """A declaration whose lists do not fit together would be about fewer results than its author thinks, or none."""
    if not known.cases or not known.writers:
        raise CaseError("is about no result", where=where, expected="cases and writers")
    if known.readers and known.diagonal:
        raise CaseError("says readers and diagonal", where=where, expected="one of them")
    if bool(known.forms) != bool(known.readers or known.diagonal):
        what = "is about no result: forms without readers" if known.forms else "has readers without forms"
        raise CaseError(what, where=where, expected="forms with readers or diagonal, or none of these for writes")
    if not known.dialects:
        raise CaseError("is about no result: no dialects", where=where, expected='some, or "" for the stack\'s own way')
    if any(known.dialects) and "lora" not in known.forms:
        raise CaseError("says dialects of no adapter", where=where, expected="lora among the forms")


def result_ids(known: KnownOutcome) -> Iterator[str]:
    """The exact results that a declaration is about."""
    for case in known.cases:
        for writer in known.writers:
            if not known.forms:
                yield f"{case}@{writer}"
            readers = (writer,) if known.diagonal else known.readers
            for reader in readers:
                for form in known.forms:
                    for dialect in known.dialects if form == "lora" else ("",):
                        yield f"{case}@{writer}>{saved_as(form, dialect)}>{reader}"
