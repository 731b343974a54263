"""The exception tree and the exit codes. Every user-visible error says what, where, expected, got and what to do.

Imports the standard library only: this module is also used inside a cell.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What every verb exits with (a contract: CI jobs read these numbers)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    ENVIRONMENT = 4
    INTERRUPTED = 130


class DeltaproofError(Exception):
    """A problem that we can explain. Shown as one line, never as a traceback.

    `what` happened, `where` (file, case, cell, tensor), what was `expected`, what we `got`, and what to do `next`.
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.next_step = next_step
        super().__init__(self.__str__())

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.got is not None:
            text += f"; got {self.got}"
        if self.next_step is not None:
            text += f". {self.next_step}"
        return text


class UsageError(DeltaproofError):
    """An argument or an input file is wrong: exit 2."""

    exit_code = ExitCode.USAGE


class CaseError(UsageError):
    """A file under `cases/` (matrix, family, round trip, known outcome) does not say something we can plan."""


class ArtifactError(UsageError):
    """A checkpoint, an adapter or a record on disk cannot be read as what it claims to be."""


class EnvironmentBuildError(DeltaproofError):
    """A cell could not be resolved or built: exit 4. `log` holds the builder's own words."""

    exit_code = ExitCode.ENVIRONMENT

    def __init__(self, what: str, *, where: str, log: str, next_step: str | None = None) -> None:
        self.log = log
        super().__init__(what, where=where, next_step=next_step)


class StorageError(DeltaproofError):
    """The output folder cannot be written (full disk, permissions): exit 2, since only the user can mend it."""

    exit_code = ExitCode.USAGE
