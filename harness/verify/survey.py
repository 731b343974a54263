"""All weights compared, on all cores: each against what the adapter says of it, and the others against base.

Owns threads, the order of work and the memory that it takes: of a pair of factors until its last weight is done. Gives
evidence; judges nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checkpoints.safetensors_file import SIZES_BYTES
from harness.verify.compare import compare
from harness.verify.crew import Crew, Progress
from harness.verify.dora import compare_dora
from harness.verify.evidence import Evidence, Pairing
from harness.verify.factors import LowRank, Reading, read_values
from harness.verify.places import Site
from harness.verify.unchanged import compare_held, compare_unchanged
from harness.verify.ways import (
    BASE_FIRST,
    BOTH_FIRST,
    DELTA_FIRST,
    DELTA_IN_BASE_DTYPE,
    IN_BASE_DTYPE,
    SUM,
    Way,
)
from harness.verify.work import BiasJob, FactorJob, HeldJob, Work
from harness.verify.workspace import Workspace

HOPELESS = 0.6
"""Of a weight: where more is wrong, rounding the delta first or last does not matter."""
CHUNK_BYTES = 16 * 1024 * 1024
"""Of stored weights in one task: some milliseconds of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteEvidence:
    """One adapted weight, under the delta that was expected of it."""

    job: FactorJob
    index: int
    """In the target's order."""
    pairing: Pairing | None
    evidence: Evidence | None
    """None where it could not be compared."""
    reading: Reading
    way: Way
    is_zero: bool
    """The delta is, so that nothing should have changed."""
    is_finite: bool = True
    """Of the factors."""

    @property
    def site(self) -> Site:
        """Which weight."""
        return self.job.sites[self.index]

    @property
    def stored_name(self) -> str:
        """As merged calls it, or base where merged has none."""
        return self.pairing.merged.entry.name if self.pairing else self.job.stored_names[self.index]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was seen."""

    sites: tuple[SiteEvidence, ...]
    held: tuple[tuple[HeldJob, Evidence | None], ...]
    biases: tuple[tuple[BiasJob, Evidence | None], ...]
    unchanged: tuple[tuple[Pairing, Evidence], ...]


def survey(work: Work, crew: Crew, progress: Progress) -> Survey:
    """Compare everything."""
    preferred = Preferred()
    tasks: list[Callable[[Workspace], list[SiteEvidence]]] = []
    for job in work.factors:
        chunks = list(_chunks(job))
        left = Countdown(len(chunks), job.factors.release)
        tasks += [_site_task(job, chunk, preferred, left, progress) for chunk in chunks]
    unchanged_tasks = [_unchanged_task(chunk, progress) for chunk in _grouped(work.unchanged)]
    sites = tuple(site for some in crew.run(tasks) for site in some)
    unchanged = tuple(each for some in crew.run(unchanged_tasks) for each in some)
    held = tuple(crew.run([_held_task(job) for job in work.held]))
    biases = tuple(crew.run([_bias_task(job) for job in work.biases]))
    return Survey(sites=sites, held=held, biases=biases, unchanged=unchanged)


def size_bytes(pairing: Pairing) -> int:
    """Of the weight, in both checkpoints."""
    return pairing.num_elements * sum(SIZES_BYTES[each.entry.dtype] for each in (pairing.base, pairing.merged))


class Preferred:
    """The way in which the last weights of a kind were merged, to be tried first; PEFT's differs for fused experts.

    Any thread may overwrite it: it is a guess.
    """

    def __init__(self) -> None:
        self._ways: dict[bool, Way] = {}

    def ways(self, pairing: Pairing) -> list[Way]:
        """All ways that are right without a word, the likeliest first."""
        before, after = pairing.base.entry.dtype, pairing.merged.entry.dtype
        ways = [SUM] if after == "F32" else [SUM, DELTA_FIRST]
        if before != after:
            ways += [IN_BASE_DTYPE, DELTA_IN_BASE_DTYPE, BASE_FIRST, BOTH_FIRST]
        preferred = self._ways.get(self._kind(pairing))
        return sorted(ways, key=lambda way: way != preferred)

    def note(self, pairing: Pairing, way: Way) -> None:
        """A weight was merged in this way."""
        self._ways[self._kind(pairing)] = way

    @staticmethod
    def _kind(pairing: Pairing) -> bool:
        return pairing.site.expert is not None


class Countdown:
    """Does something when the last of several tasks is done."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._count = count
        self._then = then
        self._lock = threading.Lock()

    def done(self) -> None:
        """One less."""
        with self._lock:
            self._count -= 1
            is_last = self._count == 0
        if is_last:
            self._then()


def see_site(job: FactorJob, index: int, space: Workspace, preferred: Preferred) -> SiteEvidence:
    """One adapted weight, under each reading that the configuration leaves, in each way that is right."""
    pairing = job.pairings[index]
    seen: SiteEvidence | None = None
    for reading in job.readings:
        delta = job.factors.delta(index, reading)
        if pairing is None:
            return SiteEvidence(
                job=job, index=index, pairing=None, evidence=None, reading=reading, way=SUM, is_zero=delta.is_zero
            )
        evidence, way = _see(job, pairing, delta, space, preferred)
        current = SiteEvidence(
            job=job,
            index=index,
            pairing=pairing,
            evidence=evidence,
            reading=reading,
            way=way,
            is_zero=not evidence.delta_squared > 0 and delta.is_zero,
            is_finite=evidence.explains or delta.is_finite,
        )
        if evidence.explains:
            return current
        seen = seen or current
    assert seen is not None
    return seen


def _see(
    job: FactorJob, pairing: Pairing, delta: LowRank, space: Workspace, preferred: Preferred
) -> tuple[Evidence, Way]:
    if job.pair.magnitude is not None:
        magnitude = read_values(space.files, job.pair.magnitude)
        return compare_dora(pairing, delta, magnitude, space), SUM
    found: list[tuple[Evidence, Way]] = []
    for way in preferred.ways(pairing):
        evidence = compare(pairing, delta, way, space)
        found.append((evidence, way))
        if evidence.explains:
            preferred.note(pairing, way)
            break
        if evidence.num_same == evidence.num_elements or evidence.num_non_finite:
            break  # all of it is base's, or no way gives such numbers: the others say no more
        is_same_dtype = pairing.base.entry.dtype == pairing.merged.entry.dtype
        if is_same_dtype and evidence.num_wrong > HOPELESS * evidence.num_elements:
            break
    return min(found, key=lambda each: each[0].num_wrong)


def _site_task(
    job: FactorJob, chunk: Sequence[int], preferred: Preferred, left: Countdown, progress: Progress
) -> Callable[[Workspace], list[SiteEvidence]]:
    def task(space: Workspace) -> list[SiteEvidence]:
        seen = []
        for index in chunk:
            seen.append(see_site(job, index, space, preferred))
            pairing = job.pairings[index]
            progress.advanced(0 if pairing is None else size_bytes(pairing))
        left.done()
        return seen

    return task


def _unchanged_task(
    chunk: Sequence[Pairing], progress: Progress
) -> Callable[[Workspace], list[tuple[Pairing, Evidence]]]:
    def task(space: Workspace) -> list[tuple[Pairing, Evidence]]:
        seen = []
        for pairing in chunk:
            seen.append((pairing, compare_unchanged(pairing, space)))
            progress.advanced(size_bytes(pairing))
        return seen

    return task


def _held_task(job: HeldJob) -> Callable[[Workspace], tuple[HeldJob, Evidence | None]]:
    def task(space: Workspace) -> tuple[HeldJob, Evidence | None]:
        if job.merged is None or job.problem:
            return job, None
        expected = read_values(space.files, job.tensor.entry).reshape(-1)
        return job, compare_held(expected, job.merged, job.base, space)

    return task


def _bias_task(job: BiasJob) -> Callable[[Workspace], tuple[BiasJob, Evidence | None]]:
    def task(space: Workspace) -> tuple[BiasJob, Evidence | None]:
        if job.pairing is None or job.pair.bias is None:
            return job, None
        values = read_values(space.files, job.pair.bias)[None]
        one = LowRank(np.ones((1, 1), np.float32), values, job.pair.scaling)
        ways = Preferred().ways(job.pairing)
        found = [compare(job.pairing, one, way, space) for way in ways]
        return job, next((evidence for evidence in found if evidence.explains), found[0])

    return task


def _chunks(job: FactorJob) -> Iterator[list[int]]:
    """Indices of weights whose bytes make a task."""
    chunk: list[int] = []
    filled = 0
    for index, pairing in enumerate(job.pairings):
        chunk.append(index)
        filled += 0 if pairing is None else size_bytes(pairing)
        if filled >= CHUNK_BYTES:
            yield chunk
            chunk, filled = [], 0
    if chunk:
        yield chunk


def _grouped(pairings: Sequence[Pairing]) -> Iterator[list[Pairing]]:
    chunk: list[Pairing] = []
    filled = 0
    for pairing in pairings:
        chunk.append(pairing)
        filled += size_bytes(pairing)
        if filled >= CHUNK_BYTES:
            yield chunk
            chunk, filled = [], 0
    if chunk:
        yield chunk
