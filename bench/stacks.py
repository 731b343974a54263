"""The part `jax`: both stacks side by side in one run, in processes of their own that take turns.

Every process stays, and waits while another is measured, so that a machine that is slow for a while is slow for all.
Each stack is measured with one thread and with a thread a core, and shown with what suits it better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.comparisons import Comparison, comparisons
from bench.figures import Figure, Part, Unmeasured
from bench.models import write_model
from bench.results import difference
from bench.rounds import fastest, ratio
from bench.sides import Side, UnmeasuredError, num_cores, side_environment
from bench.work import Done, Drop, Measure, Prepare
from harness.cli.console import stderr
from harness.records.cases import Family, Stack

ROOT = Path(__file__).parent.parent
MEASURED: Mapping[Stack, tuple[str, str]] = {
    "torch_peft": ("newest", "bench.torch_side"),
    "jax_stacked": ("jax", "bench.jax_side"),
}
"""By stack, the row that it is measured in, and the program."""
ROWS = tuple(row for row, _ in MEASURED.values())
AT_LEAST_S = 0.25
"""How long a turn lasts: what takes less is repeated, and the median counts."""

Sides = Mapping[tuple[Stack, int], Side]
"""By stack and number of threads."""


class Entrant(NamedTuple):
    """A contender in one process."""

    name: str
    num_threads: int

    def __str__(self) -> str:
        return f"{self.name} ({self.num_threads} thread{'s' if self.num_threads > 1 else ''})"


def measure(
    pythons: Mapping[str, Path], families: Mapping[str, Family], out: Path, words: Sequence[str] = ()
) -> Iterator[Figure | Unmeasured]:
    """All figures, or those of the comparisons whose names have one of `words`, in the folder `out`, which is made.

    `pythons` are the interpreters of the two rows.
    """
    out.mkdir()
    wanted = [each for each in comparisons() if not words or any(word in each.what for word in words)]
    with ExitStack() as stack:
        try:
            sides = _start(pythons, out, stack)
        except UnmeasuredError as error:
            yield Unmeasured(part=Part.JAX, what="the stacks' processes", reason=str(error))
            return
        for number, comparison in enumerate(wanted, start=1):
            stderr().print(f"[{number}/{len(wanted)}] {comparison.what}", markup=False, highlight=False)
            for name in dict.fromkeys(each.work.checkpoint for each in comparison.contenders.values()):
                if not (out / name).exists():
                    write_model(name, out / name, families)
            try:
                yield from _compare(comparison, sides)
            except UnmeasuredError as error:
                yield Unmeasured(part=Part.JAX, what=comparison.what, reason=str(error))


def _start(pythons: Mapping[str, Path], out: Path, stack: ExitStack) -> Sides:
    """Every process, ready. `stack` ends them."""
    sides = {}
    for name, (row, module) in MEASURED.items():
        for num_threads in sorted({1, num_cores()}):
            variables = side_environment(scratch=out / "scratch", code=ROOT, num_threads=num_threads)
            log = out / f"{name}-{num_threads}.log"
            side = Side([str(pythons[row]), "-m", module], variables=variables, folder=out, log=log)
            sides[name, num_threads] = stack.enter_context(side)
    for side in sides.values():
        side.wait_until_ready()  # imports take processors too
    return sides


def _compare(comparison: Comparison, sides: Sides) -> Iterator[Figure]:
    entrants = {
        Entrant(name, num_threads): side
        for name, contender in comparison.contenders.items()
        for (stack, num_threads), side in sides.items()
        if stack == contender.stack and (not comparison.compiling or num_threads == num_cores())
    }
    try:
        for entrant, side in entrants.items():
            side.ask(Prepare(name=entrant.name, work=comparison.contenders[entrant.name].work))
        first = {} if comparison.compiling else _do_once(comparison, entrants)
        durations_s = _take_turns(comparison, entrants)
    finally:
        with suppress(UnmeasuredError):  # of one that has ended: what is on its way says so already
            for entrant, side in entrants.items():
                side.ask(Drop(name=entrant.name))
    yield from _figures(comparison, {entrant: done.durations_s[0] for entrant, done in first.items()}, durations_s)


def _do_once(comparison: Comparison, entrants: Mapping[Entrant, Side]) -> dict[Entrant, Done]:
    """What each has done the first time, with whatever it compiles. Raises UnmeasuredError if not all do the same."""

    def do(side: Side) -> dict[Entrant, Done]:
        own = [entrant for entrant, other in entrants.items() if other is side]
        return {entrant: side.ask(Measure(name=entrant.name)) for entrant in own}

    # Where the first time is a figure, too, nobody else works meanwhile.
    with ThreadPoolExecutor(max_workers=1 if comparison.tokens else num_cores()) as pool:
        parts = list(pool.map(do, dict.fromkeys(entrants.values())))
    done = {entrant: part[entrant] for entrant in entrants for part in parts if entrant in part}
    if found := difference({str(entrant): each.result for entrant, each in done.items()}):
        raise UnmeasuredError(found)
    return done


def _take_turns(comparison: Comparison, entrants: Mapping[Entrant, Side]) -> dict[Entrant, list[float]]:
    """Seconds by entrant and round."""
    durations_s: dict[Entrant, list[float]] = {entrant: [] for entrant in entrants}
    for _ in range(comparison.rounds):
        for entrant, side in entrants.items():
            turn = side.ask(Measure(name=entrant.name, at_least_s=AT_LEAST_S))
            durations_s[entrant].append(median(turn.durations_s))
    return durations_s


def _figures(
    comparison: Comparison, first_s: Mapping[Entrant, float], durations_s: Mapping[Entrant, list[float]]
) -> Iterator[Figure]:
    chosen = {
        name: fastest({each: rounds_s for each, rounds_s in durations_s.items() if each.name == name})
        for name in comparison.contenders
    }
    for name, entrant in chosen.items():
        what, rounds_s = f"{comparison.what}: {entrant}", durations_s[entrant]
        if not comparison.tokens:
            scale, unit = (1.0, "s") if median(rounds_s) >= 1 else (1e3, "ms")
            value, best = scale * median(rounds_s), scale * min(rounds_s)
            yield Figure(part=Part.JAX, what=what, value=value, unit=unit, best=best)
            continue
        speeds = [comparison.tokens / duration_s for duration_s in rounds_s]
        yield Figure(part=Part.JAX, what=what, value=median(speeds), unit="tokens/s", best=max(speeds))
        yield Figure(part=Part.JAX, what=f"{what}, first call", value=first_s[entrant], unit="s")
        if comparison.contenders[name].stack == "jax_stacked":
            compiling_s = first_s[entrant] - median(rounds_s)
            yield Figure(part=Part.JAX, what=f"{what}, compiling of that", value=compiling_s, unit="s")
    for promise in comparison.ratios:
        times = ratio(durations_s[chosen[promise.slow]], durations_s[chosen[promise.fast]])
        yield Figure(
            part=Part.JAX,
            what=f"{comparison.what}: {promise.slow} over {promise.fast}",
            value=times.value,
            unit="times",
            at_most=promise.at_most,
            at_least=promise.at_least,
            spread=(times.low, times.high),
        )
