"""Every harmless rewrite of every guard: `nox -s rewrites`, `python -m tests.canaries.rewrites [PACKAGE...]`.

Each guard must hold as it did before, or stay as broken as it is declared. A table says how many do.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.canaries.checking import Executor, Folders, check
from harness.canaries.executors import executors_of, unpacked
from harness.canaries.judging import known_in
from harness.canaries.rules import load_rules, rows_of
from harness.canaries.sources import Releases
from harness.canaries.symbols import placed
from harness.canaries.trees import Tree
from harness.cells.many import build_all, resolve_all
from harness.cli.console import DEFAULT_OUT
from harness.planning.matrix import load_matrix, select_cells
from harness.records.canaries import HOLDS, Rule, State, Verdict
from tests.canaries.rewriting import REWRITES, UNSEEN, Rewrite, rewrite

TODAY = date(2026, 11, 1)
CASES = Path(__file__).parents[2] / "cases"
ALL_AT_ONCE = "all at once"


def rewrite_named(name: str) -> Rewrite:
    """One of them, or all at once."""
    return rewrite if name == ALL_AT_ONCE else REWRITES[name]


def rewritten(tree: Tree, rules: Sequence[Rule], name: str) -> Tree:
    """A release with the code of these guards rewritten: their symbols, or the whole file of one that is imported."""
    names: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        if rule.behaviour:
            names[rule.where].add("*")
        for symbol in rule.symbols.values():
            path, inner = placed(rule.where, symbol)
            names[path].add(inner)
    for path, wanted in names.items():
        if path in tree.files:
            text = rewrite_named(name)(tree.text(path), wanted)
            assert text != tree.text(path), f"{name} changes nothing in {path}"
            tree = tree.with_file(path, text)
    return tree


def is_alarm(rule: Rule, verdict: Verdict, name: str) -> bool:
    """Whether anything is said of a rewritten guard that would not be said of it as it was."""
    if any(known_in(rule, rule.of_release)):
        return verdict.state is not State.BROKEN
    if name in UNSEEN:
        return verdict.state is not State.HELD
    return verdict.state not in HOLDS


def checked(
    rules: Sequence[Rule],
    name: str,
    fetch: Callable[[Rule], Tree],
    executor: Callable[[Rule], Executor],
    folders: Folders,
) -> Iterator[tuple[Rule, Verdict]]:
    """What is said of each guard of a package, when all of them are rewritten."""
    trees: dict[tuple[str, str], Tree] = {}
    for rule in rules:
        key = (rule.of_release, rule.source)
        if key not in trees:
            together = [each for each in rules if (each.of_release, each.source) == key]
            trees[key] = rewritten(fetch(rule), together, name)
        yield rule, check(rule, trees[key], executor(rule), folders, "a rewrite")


def main(packages: Sequence[str], out: Path) -> int:
    """1 if a guard sings at a rewrite."""
    rules = {package: each for package, each in load_rules().items() if package in packages or not packages}
    releases = Releases(out / "sources")
    alarms = []
    print(f"{'guards that hold':20}" + "".join(f"{name:>13}" for name in (*REWRITES, ALL_AT_ONCE)), flush=True)
    with ExitStack() as stack:
        executors = executors_of(rules, _pythons(rules, out), stack)
        for package, guards in rules.items():
            print(f"{package:20}", end="", flush=True)
            for name, found, duration_s in _each(package, guards, releases, executors):
                wrong = [(name, package, verdict) for rule, verdict in found if is_alarm(rule, verdict, name)]
                alarms += wrong
                told = f"{len(found) - len(wrong)}/{len(found)} {duration_s:.0f} s"
                print(f"{told:>13}", end="", flush=True)
            print()
    for name, package, verdict in alarms:
        print(f"\n{package}: {verdict.rule}: {name}: {verdict.state}: {verdict.why}")
        for call in verdict.wrong[:3]:
            print(f"    {call.call}: {call.expected} expected, {call.got}")
    return 1 if alarms else 0


def _each(
    package: str, rules: Sequence[Rule], releases: Releases, executors: Mapping[tuple[str, str], Executor]
) -> Iterator[tuple[str, list[tuple[Rule, Verdict]], float]]:
    """Of each rewrite its name, what is said of the guards, and how long that took."""
    kinds = dict.fromkeys((rule.of_release, rule.source) for rule in rules)
    trees = {(version, source): releases.tree(package, version, source) for version, source in kinds}
    for name in (*REWRITES, ALL_AT_ONCE):
        started = time.perf_counter()
        with TemporaryDirectory() as scratch:
            found = list(
                checked(
                    rules,
                    name,
                    lambda rule: trees[rule.of_release, rule.source],
                    lambda rule: executors[package, rule.row],
                    lambda tree: unpacked(tree, Path(scratch)),
                )
            )
            yield name, found, time.perf_counter() - started


def _pythons(rules: Mapping[str, tuple[Rule, ...]], out: Path) -> dict[str, Path | str]:
    """Of each row that a rule names, and this one."""
    matrix = load_matrix(CASES / "matrix.toml")
    resolved = resolve_all(select_cells(matrix, sorted(rows_of(rules))), matrix, out=out, day=TODAY)
    built = build_all(resolved.done.values(), out=out)
    for row, error in {**resolved.failed, **built.failed}.items():
        raise SystemExit(f"the environment of {row} cannot be built: {error}")
    return {"": sys.executable, **{row: cell.python for row, cell in built.done.items()}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    asked = parser.parse_args()
    sys.exit(main(asked.packages, asked.out))
