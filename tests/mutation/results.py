"""What became of the mutants, by module, and which survivors nobody has given a reason for.

Pure. A mutant is known by its function and by what changed in it, because numbers and lines move. Knows no tool.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

LISTED = Path(__file__).with_name("survivors.toml")
WANTED = 0.95
"""Of all mutants, killed: by a test that fails, or that does not end."""
Fate = Literal["killed", "timeout", "survived", "no tests", "unchecked"]


class Change(NamedTuple):
    """What a mutant changes."""

    module: str
    """The file, `harness/metrics/kl.py`."""
    function: str
    """`kl_BT`, or `Outputs.save`."""
    was: str
    """The lines that it replaces, without indentation, joined by spaces."""
    now: str
    """Those that it puts there; empty if it only takes away."""

    def __str__(self) -> str:
        return f"{self.module} {self.function}: {self.was}  ->  {self.now}"


class Mutant(NamedTuple):
    """One change, and what became of it."""

    change: Change
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Survivors that no test could kill, or that none should, and why."""

    reason: str
    module: re.Pattern[str]
    function: re.Pattern[str]
    change: re.Pattern[str]
    """Of `was -> now`. All three are patterns of the whole text."""

    def explains(self, change: Change) -> bool:
        """Whether it means this one."""
        return bool(
            self.module.fullmatch(change.module)
            and self.function.fullmatch(change.function)
            and self.change.fullmatch(f"{change.was} -> {change.now}")
        )


class Result(NamedTuple):
    """Of a run."""

    lines: tuple[str, ...]
    """For people: a table of the modules, then what is wrong."""
    is_good: bool


def load_listed(path: Path = LISTED) -> tuple[Listed, ...]:
    """Every row of the list. Raises KeyError, TypeError or re.error where one is not as `Listed` has it."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["survivors"]
    return tuple(_listed(**row) for row in rows)


def _listed(*, reason: str, change: str = "", was: str = "", now: Sequence[str] = (), **where: str) -> Listed:
    """A row: `change` is a pattern, `was` and each of `now` are literal."""
    if now:
        change = f"{re.escape(was)} -> (?:{'|'.join(map(re.escape, now))})"
    module, function = where.pop("module", ".*"), where.pop("function", ".*")
    if where or not change or not reason:
        raise TypeError(f"a row has reason, module, function and either change or was and now; got {sorted(where)}")
    return Listed(reason=reason, module=re.compile(module), function=re.compile(function), change=re.compile(change))


def result_of(mutants: Sequence[Mutant], listed: Sequence[Listed], *, is_all: bool = True) -> Result:
    """What a run says. Good is: all were checked, enough are killed, and every survivor is listed, and no other.

    A run that is not of all modules cannot tell what is listed for nothing.
    """
    modules = sorted({mutant.change.module for mutant in mutants})
    rows = [_row(module, [mutant for mutant in mutants if mutant.change.module == module]) for module in modules]
    survivors = [mutant.change for mutant in mutants if mutant.fate in ("survived", "no tests")]
    unlisted = [change for change in survivors if not any(each.explains(change) for each in listed)]
    stale = [each for each in listed if is_all and not any(each.explains(change) for change in survivors)]
    num_unchecked = sum(mutant.fate == "unchecked" for mutant in mutants)
    share = _share(mutants)
    wrong = [f"{num_unchecked} mutants were not checked: run it again"] if num_unchecked else []
    wrong += [f"{share:.1%} are killed, and {WANTED:.0%} are wanted"] if share < WANTED else []
    wrong += [f"survived, and is not listed: {change}" for change in unlisted]
    wrong += [f"is listed, and none survived: {each.module.pattern} {each.change.pattern}" for each in stale]
    return Result((*_table([*rows, _row("all", mutants)]), *wrong), not wrong)


def _share(mutants: Sequence[Mutant]) -> float:
    """Killed of those that were checked; 0 where there are none, for nothing is no evidence."""
    fates = [mutant.fate for mutant in mutants if mutant.fate != "unchecked"]
    return sum(fate in ("killed", "timeout") for fate in fates) / len(fates) if fates else 0.0


def _row(name: str, mutants: Sequence[Mutant]) -> tuple[str, ...]:
    fates = [mutant.fate for mutant in mutants]
    survived = fates.count("survived") + fates.count("no tests")
    return (
        name,
        *map(str, (len(fates), fates.count("killed"), fates.count("timeout"), survived)),
        f"{_share(mutants):.1%}",
    )


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = [("module", "mutants", "killed", "timeouts", "survived", "share"), *rows]
    width = max(len(row[0]) for row in table)
    return [row[0].ljust(width) + "".join(cell.rjust(10) for cell in row[1:]) for row in table]
