"""One guard of one release: found, taken out, executed apart, judged. The process it is executed in is given."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Protocol

from harness.canaries.drawing import draw, named
from harness.canaries.extracting import extract
from harness.canaries.judging import Asked, judge
from harness.canaries.symbols import Symbol, digest_of, elsewhere, find, is_reached, parameters_of, placed
from harness.canaries.trees import Tree, Unparsable
from harness.records.canaries import Rule, State, Verdict
from harness.sandbox.client import Limits, Outcome

ENTRY = "harness.canaries.inside:answer"
MAX_CANDIDATES = 5
"""Of other places where a guard may have gone: each is executed."""
BEHAVIOUR_MEMORY_BYTES = 4 * 2**30


class Executor(Protocol):
    """Has a request executed apart: `inside.answer`."""

    def run(self, request: Any, *, limits: Limits, visible: tuple[Path, ...] = ()) -> Outcome:
        """What came of it."""


class Folders(Protocol):
    """Where the files of a tree lie, for what imports them."""

    def __call__(self, tree: Tree) -> Path:
        """A folder with all of the tree's files in it, which nobody writes."""


def check(rule: Rule, tree: Tree, executor: Executor, folders: Folders, seed: str) -> Verdict:
    """What is said of a guard, but for what counts: `judging.count`."""
    started = time.perf_counter()
    try:
        verdict = (
            _behaviour(rule, tree, executor, folders, seed) if rule.behaviour else _guard(rule, tree, executor, seed)
        )
    except (Unparsable, RecursionError) as error:
        verdict = _verdict(rule, State.CANNOT_TELL, f"{error}", ())
    return replace(verdict, duration_s=time.perf_counter() - started)


def _behaviour(rule: Rule, tree: Tree, executor: Executor, folders: Folders, seed: str) -> Verdict:
    """The package is imported, by a Python that has what it needs."""
    if not any(path.startswith(rule.where) for path in (*tree.files, *tree.left_out)):
        return _verdict(rule, State.ABSENT, f"there is no {rule.where}", ())
    folder = folders(tree)
    asked, outcome = _execute(
        rule, {"folders": [str(folder)], "modules": {}, "stand_ins": [], "symbols": {}}, executor, seed, (folder,)
    )
    state, why, wrong = judge(asked, outcome)
    return replace(_verdict(rule, state, why, (f"{tree.package} itself, imported in row {rule.row}",)), wrong=wrong)


def _guard(rule: Rule, tree: Tree, executor: Executor, seed: str) -> Verdict:
    """Where it should be; or where it may have gone, if it is not there."""
    here = {alias: find(tree, *placed(rule.where, name)) for alias, name in rule.symbols.items()}
    symbols = {alias: symbol for alias, symbol in here.items() if symbol is not None}
    if len(symbols) == len(here):
        return _executed(rule, tree, symbols, executor, seed)
    gone = ", ".join(rule.symbols[alias] for alias, symbol in here.items() if symbol is None)
    verdicts = []
    for candidate in _candidates(rule, tree, symbols):
        verdict = _executed(rule, tree, candidate, executor, seed)
        if verdict.state is State.HELD or verdict.state is State.CHANGED:
            places = ", ".join(str(symbol) for symbol in candidate.values())
            return replace(verdict, state=State.MOVED, why=f"{gone}: now {places}; {verdict.why}")
        verdicts.append(verdict)
    if verdicts:
        tried = tuple(place for verdict in verdicts for place in verdict.looked_at)
        broken = next((each for each in verdicts if each.state is State.BROKEN), None)
        if broken is not None:
            return replace(
                broken, why=f"{gone} is gone from {rule.where}; what may be it: {broken.why}", looked_at=tried
            )
        return replace(verdicts[0], looked_at=tried)
    copies = [str(each) for name in rule.symbols.values() for each in _copies(rule, tree, name)]
    left = f"; a copy lies in {', '.join(copies[:MAX_CANDIDATES])}, which {rule.where} does not use" if copies else ""
    return _verdict(rule, State.ABSENT, f"{gone} is nowhere in {tree.package}{left}", (rule.where, "all other files"))


def _candidates(rule: Rule, tree: Tree, symbols: Mapping[str, Symbol]) -> Iterator[dict[str, Symbol]]:
    """Where the guard may be, all of it: one alias after the other, so that each is somewhere, and reached."""
    found: list[dict[str, Symbol]] = [dict(symbols)]
    for number, (alias, name) in enumerate(rule.symbols.items()):
        if alias not in symbols:
            path, inner = placed(rule.where, name)
            pinned = [parts[number] for each in rule.pinned if len(parts := each.split("-")) == len(rule.symbols)]
            reached = (each for each in elsewhere(tree, path, inner, pinned) if is_reached(tree, path, each))
            places = list(itertools.islice(reached, MAX_CANDIDATES))
            found = [{**each, alias: place} for each in found for place in places][:MAX_CANDIDATES]
    yield from found


def _copies(rule: Rule, tree: Tree, name: str) -> Iterator[Symbol]:
    """What has the name of a guard that is not where it was, and is not used instead."""
    path, inner = placed(rule.where, name)
    if find(tree, path, inner) is None:
        yield from (each for each in elsewhere(tree, path, inner) if not is_reached(tree, path, each))


def _executed(rule: Rule, tree: Tree, symbols: Mapping[str, Symbol], executor: Executor, seed: str) -> Verdict:
    program = extract(tree, symbols, rule.needs, rule.leaves)
    request = {
        "folders": [], "modules": dict(program.modules), "stand_ins": list(program.stand_ins),
        "symbols": dict(program.symbols),
    }  # fmt: skip
    asked, outcome = _execute(rule, request, executor, seed, ())
    state, why, wrong = judge(asked, outcome, program.stand_ins)
    if state is State.HELD and (doubts := (*program.doubts, *_on_what_is_missing(outcome))):
        state, why = State.CANNOT_TELL, f"{why}, but {doubts[0]}"
    digest = "-".join(digest_of(symbol.node) for symbol in symbols.values())
    first = next(iter(symbols.values()))
    parameters = parameters_of(first.node)
    if rule.parameters and parameters is not None and parameters[: len(rule.parameters)] != rule.parameters:
        why = f"{why}; its parameters are {', '.join(parameters)}"
    if state is State.HELD and rule.pinned and digest not in rule.pinned:
        state, why = State.CHANGED, f"{why}; its code is another than when it was read: review it"
    in_row = f" in row {rule.row}" if rule.row else ""
    executed = f"{len(asked)} calls{in_row}, with {program.num_statements} statements of the package"
    looked_at = (*map(str, symbols.values()), executed)
    made = _verdict(rule, state, why, looked_at)
    return replace(made, wrong=wrong, digest=digest, path=first.path, line=first.line)


def _execute(
    rule: Rule, request: Mapping[str, Any], executor: Executor, seed: str, visible: tuple[Path, ...]
) -> tuple[list[Asked], Outcome]:
    """What was asked, in an order that nobody outside can know, and what came of it."""
    random = Random(f"{seed} {rule.name}")
    asked: list[Asked] = []
    groups = []
    for _ in range(rule.times):
        given = draw(named(rule.given, rule.calls), random, rule.name)
        calls = random.sample(rule.calls, len(rule.calls))
        asked += [Asked(call=call, given=given) for call in calls]
        groups.append({"given": given, "calls": [call.call for call in calls]})
    sent = {
        **request,
        "before": list(rule.before),
        "setup": rule.setup,
        "groups": groups,
        "seed": random.getrandbits(32),
    }
    memory = BEHAVIOUR_MEMORY_BYTES if rule.needs else Limits().memory_bytes
    return asked, executor.run(sent, limits=Limits(time_s=rule.time_s, memory_bytes=memory), visible=visible)


def _on_what_is_missing(outcome: Outcome) -> Iterator[str]:
    """What was decided by asking whether something is there that is not there, and is where the package is used."""
    missing = outcome.value.get("missing") if isinstance(outcome.value, dict) else None
    if missing and isinstance(missing, list):
        names = ", ".join(str(each) for each in missing[:3])
        yield f"it asked whether there is {names}, which is not there"


def _verdict(rule: Rule, state: State, why: str, looked_at: tuple[str, ...]) -> Verdict:
    return Verdict(rule=rule.name, state=state, counts=True, why=why, looked_at=looked_at)
