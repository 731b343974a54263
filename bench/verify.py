"""The part `verify`: `deltaproof verify`, what a user does without it, and only reading, on the same files in turns.

Every turn is a whole process, with all that it imports. The files are in the page cache. Owns what was promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.figures import Figure, Part, Unmeasured
from bench.processes import Ended
from bench.rounds import ratio
from bench.sides import UnmeasuredError
from bench.verify_ways import Ways
from bench.verify_work import Size
from harness.cli.console import stderr

ROW = "newest"
"""Of cases/matrix.toml: the environment that a user has."""
ROUNDS = 5
LARGE, SMALL, SHARDED = "12 layers", "3 layers", "3 layers in small shards"
SIZES: Mapping[str, Size] = {
    LARGE: Size(),
    SMALL: Size(num_layers=3),
    SHARDED: Size(num_layers=3, shard_bytes=20_000_000),
}
"""By the name of the folder."""

TIMES_FASTER = 10.0
SHARE_OF_READING = 0.5
LIMIT_GIB = 1.0
SHARE_OF_MEMORY = 0.2
TIMES_MEMORY = 1.2
"""Of one checkpoint over another. Not 1: threads do not always have their peaks at the same time, and what is told of
each weight takes memory of its own."""

_figure = partial(Figure, part=Part.VERIFY)


class Turn(NamedTuple):
    """What takes turns."""

    verified: Ended
    """The large work."""
    read: Ended
    """Likewise."""
    small: Ended
    """Another work verified."""
    sharded: Ended
    """Likewise."""


def measure(python: Path, out: Path) -> Iterator[Figure | Unmeasured]:
    """All figures, in the folder `out`, which is made. `python` is the row's interpreter."""
    out.mkdir()
    ways = Ways(folder=out, python=python)
    try:
        _say(f"writing {LARGE}, then PEFT, once")
        ways.write(LARGE, SIZES[LARGE])
        try:
            merged = ways.merge(LARGE)
        except UnmeasuredError as error:  # it takes much more memory than the rest
            yield Unmeasured(part=Part.VERIFY, what="PEFT again, and compare", reason=str(error))
            merged = None
        _say(f"writing {SMALL}, twice")  # not sooner: PEFT needs the memory that they take in the page cache
        for name in (SMALL, SHARDED):
            ways.write(name, SIZES[name])
        ways.read(LARGE)  # so that all of it is in the page cache again
        first = ways.verify(LARGE)
        turns = []
        for number in range(1, ROUNDS + 1):
            _say(f"verify and only reading, round {number} of {ROUNDS}")
            turns.append(Turn(ways.verify(LARGE), ways.read(LARGE), ways.verify(SMALL), ways.verify(SHARDED)))
        yield from _speeds(first, turns, merged)
        yield from _memory(turns, merged)
    except UnmeasuredError as error:
        yield Unmeasured(part=Part.VERIFY, what="deltaproof verify", reason=str(error))


def _speeds(first: Ended, turns: Sequence[Turn], merged: Ended | None) -> Iterator[Figure]:
    verified_s = [turn.verified.wall_s for turn in turns]
    read_s = [turn.read.wall_s for turn in turns]
    for what, rounds_s in (("deltaproof verify", verified_s), ("only reading", read_s)):
        yield _figure(what=what, value=median(rounds_s), unit="s", best=min(rounds_s))
    processor_s = [turn.verified.processor_s for turn in turns]
    what = "deltaproof verify, processor time"  # on a busy machine it says more
    yield _figure(what=what, value=median(processor_s), unit="s", best=min(processor_s))
    yield _figure(what="deltaproof verify, the first time", value=first.wall_s, unit="s")
    if merged is not None:
        yield _figure(what="PEFT again, and compare", value=merged.wall_s, unit="s")
        yield _figure(what="PEFT again, and compare, processor time", value=merged.processor_s, unit="s")
        yield _ratio("PEFT over verify", [merged.wall_s] * len(turns), verified_s, at_least=TIMES_FASTER)
    yield _ratio("only reading over verify", read_s, verified_s, at_least=SHARE_OF_READING)


def _memory(turns: Sequence[Turn], merged: Ended | None) -> Iterator[Figure]:
    # Against a limit, the most of any round: it must always hold.
    peak_gib = max(turn.verified.peak_gib for turn in turns)
    yield _figure(what="memory of verify", value=peak_gib, unit="GiB", at_most=LIMIT_GIB)
    if merged is not None:
        yield _figure(what="memory of PEFT", value=merged.peak_gib, unit="GiB")
        share = peak_gib / merged.peak_gib
        yield _figure(what="memory of verify over PEFT's", value=share, unit="times", at_most=SHARE_OF_MEMORY)
    small_gib = [turn.small.peak_gib for turn in turns]
    for name, others in ((LARGE, [turn.verified for turn in turns]), (SHARDED, [turn.sharded for turn in turns])):
        other_gib = [each.peak_gib for each in others]
        yield _ratio(f"memory of verify: {name} over {SMALL}", other_gib, small_gib, at_most=TIMES_MEMORY)


def _ratio(
    what: str,
    more: Sequence[float],
    less: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    times = ratio(more, less)
    spread = (times.low, times.high)
    return _figure(what=what, value=times.value, unit="times", at_least=at_least, at_most=at_most, spread=spread)


def _say(what: str) -> None:
    stderr().print(f"verify: {what}", markup=False, highlight=False)
