"""Builders of canary reports: good ones, one with every state, a long timeline, one that strangers wrote."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

from harness.canaries.judging import exit_code, overall
from harness.canaries.timeline import changes
from harness.records.canaries import SCHEMA_VERSION, CanaryReport, ReleaseReport, State, Told, Verdict, Wrong
from tests.reports.conftest import HOSTILE

WRONG = Wrong(
    call="standard: layout((E * r, H), (2 * I, E * r), E, 2 * I, H)",
    expected="['standard', 2]",
    got="['swapped', 2]",
    given="E = 4, r = 2, I = 11, H = 37",
)
RULES = (
    "layout_by_shape", "expert_count_from_the_model", "experts_merged_on_disk", "fallback_raises",
    "generation_config_saved", "nothing_uploaded_before_the_check",
)  # fmt: skip
KNOWN = "known: shards are uploaded first (https://github.com/unslothai/unsloth-zoo/pull/647)"


def told(name: str, package: str = "unsloth_zoo", **changes: Any) -> Told:
    """A rule, as a report has it."""
    made = Told(
        name=name,
        package=package,
        why="Taken for one another, every delta is lost or wrong.",
        thread="https://github.com/unslothai/unsloth-zoo/pull/647",
        where=f"{package}/saving_utils.py",
        symbols=(f"_{name}",),
        expected=">=2026.5.2",
    )
    return replace(made, **changes)


def verdict(name: str, state: State = State.HELD, **changes: Any) -> Verdict:
    """What is said of a guard; where it was found, if it was."""
    found = state not in (State.ABSENT, State.CANNOT_TELL)
    broken = state is State.BROKEN
    made = Verdict(
        rule=name,
        state=state,
        counts=True,
        why={State.ABSENT: f"_{name} is nowhere in unsloth_zoo", State.CANNOT_TELL: "it was not executed"}.get(
            state, "1 of 27 calls went otherwise than they must" if broken else "27 calls went as they must"
        ),
        looked_at=(f"_{name} in unsloth_zoo/saving_utils.py, line 120", "27 calls, with 3 statements") if found else (),
        path="unsloth_zoo/saving_utils.py" if found else "",
        line=120 if found else 0,
        wrong=(WRONG,) if broken else (),
        digest="0123456789abcdef" if found else "",
    )
    return replace(made, **changes)


def release(
    *verdicts: Verdict, version: str = "2026.10.9", package: str = "unsloth_zoo", **changes: Any
) -> ReleaseReport:
    """One release, with the exit code that its verdicts make."""
    made = ReleaseReport(
        package=package,
        version=version,
        origin=f"wheel {package}-{version}-py3-none-any.whl, sha256 f68e0576b0e9bd2e",
        digest="f68e0576b0e9bd2e" * 4,
        verdicts=verdicts,
        exit_code=exit_code(verdicts),
        duration_s=2.5,
        rerun=f"deltaproof canary --package {package} --version {version} --seed 7",
    )
    return replace(made, **changes)


def report(*releases: ReleaseReport, **more: Any) -> CanaryReport:
    """All of it, with the rules that it names and the changes that are in it."""
    names = dict.fromkeys((each.package, verdict.rule) for each in releases for verdict in each.verdicts)
    made = CanaryReport(
        schema_version=SCHEMA_VERSION,
        run_id="canaries-20261121T232750-8fac",
        started="2026-11-21T23:27:50+00:00",
        duration_s=19.4,
        command="deltaproof canary --package unsloth_zoo --newest",
        seed="7",
        rules=tuple(told(name, package) for package, name in names),
        releases=releases,
        changes=tuple(changes(releases)),
        exit_code=overall(releases),
    )
    return replace(made, **more)


def known(name: str = RULES[5]) -> Verdict:
    """Broken, as it is declared."""
    return verdict(name, State.BROKEN, counts=False, declared="known", note=KNOWN)


def early(name: str) -> Verdict:
    """Not there, in a release that need not have it."""
    return verdict(name, State.ABSENT, counts=False, note="not expected before >=2026.5.2")


GOOD = release(*(verdict(name) for name in RULES[:5]), known())
STATES = release(
    verdict(RULES[0], State.BROKEN, wrong=(WRONG, replace(WRONG, call="no experts: layout(0)"))),
    verdict(RULES[1], State.ABSENT),
    verdict(RULES[2], State.CANNOT_TELL),
    verdict(RULES[3], State.MOVED, path="unsloth_zoo/moved.py", line=7),
    verdict(RULES[4], State.CHANGED),
    known(),
    verdict("held", declared="mended", note="mended: declared as broken in >=2026 (a reason)"),
)
LONG = tuple(f"2026.{4 + number // 8}.{1 + number % 8}" for number in range(55))
MANY = tuple(f"{RULES[number % 6]}_{number}" for number in range(20))


def _long(number: int, version: str) -> ReleaseReport:
    """Guards come one after the other; some break for a time, and each second release has other code."""

    def one(place: int, name: str) -> Verdict:
        if number < place // 2:
            return early(name)
        digest = f"{number // (3 + place % 5):016x}"
        if place % 6 == 2 and 10 < number < 31:
            return verdict(name, State.BROKEN, digest=digest)
        if place % 6 == 5:
            return known(name)
        moved = place == 8 and number > 40
        return verdict(name, State.MOVED if moved else State.HELD, digest=digest)

    return release(*(one(place, name) for place, name in enumerate(MANY)), version=version)


def hostile(value: Any) -> Any:
    """A record with a stranger's words in every text that is not one of a few."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = {"schema_version", "declared", "rule", "name", "package"}
        made = {
            field.name: hostile(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in kept
        }
        return replace(value, **made)
    if isinstance(value, tuple):
        return tuple(hostile(each) for each in value)
    return f"{HOSTILE} {value}" if type(value) is str and value else value


TIMELINE = report(
    release(early(RULES[0]), verdict(RULES[1], State.BROKEN), verdict(RULES[2]), version="2026.5.1"),
    release(verdict(RULES[0]), verdict(RULES[1]), verdict(RULES[2], digest="f" * 16), version="2026.5.2"),
    release(verdict(RULES[0], State.BROKEN), verdict(RULES[1], State.MOVED), verdict(RULES[2], State.ABSENT),
            version="2026.5.3"),
)  # fmt: skip
REPORTS = {
    "good": report(GOOD),
    "states": report(STATES),
    "timeline": TIMELINE,
    "long": report(*(_long(number, version) for number, version in enumerate(LONG))),
    "packages": report(
        GOOD,
        release(verdict("swap"), package="peft", version="0.21.2"),
        release(verdict("swap", State.CANNOT_TELL), package="trl", version="?", origin="no network", digest=""),
    ),
    "selection": report(GOOD, expression="experts and not saved"),
    "empty": report(exit_code=3),
    "hostile": hostile(report(replace(GOOD, version="2026.10.8"), STATES)),
    "hostile_release": hostile(report(STATES)),
}
"""Shaped like real ones."""
