"""`verify`: three directories in, a report out. Owns the order of the parts, and none of what they know."""

from __future__ import annotations

import time
from pathlib import Path

from harness.verify.adapters import WEIGHTS_FILE, read_adapter
from harness.verify.blocks import Files
from harness.verify.companions import Checkpoint, compare_checkpoints, is_tied, open_checkpoint
from harness.verify.crew import Crew, Progress, Silence
from harness.verify.fitting import judge_adapter
from harness.verify.judging import judge
from harness.verify.records import Adapter
from harness.verify.report import FilesSeen, Timing, VerifyReport
from harness.verify.sides import pair_sides, rules_of, side_of
from harness.verify.survey import size_bytes, survey
from harness.verify.work import claims_of, work_of


def verify(
    base: Path,
    adapter: Path,
    merged: Path | None = None,
    *,
    num_threads: int | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Whether the adapter in `adapter`, trained on `base`, is what `merged` holds; without it, whether it fits `base`.

    Raises ArtifactError if a directory cannot be read as what it claims to be. `num_threads` is one a core if left out.
    """
    started = time.perf_counter()
    read = read_adapter(adapter)
    base_checkpoint = open_checkpoint(base, role="base")
    rules = rules_of(base_checkpoint)
    base_side = side_of(base_checkpoint, rules)
    claims = claims_of(read, base_side, rules)
    with Files() as files:
        if merged is None:
            merged_checkpoint = None
            structure = (*read.findings, *claims.findings, *base_checkpoint.findings)
            judgement = judge_adapter(read, claims, structure, files)
        else:
            merged_checkpoint = open_checkpoint(merged, role="merged")
            merged_side = side_of(merged_checkpoint, rules, may_tie=is_tied(base_checkpoint.config) is not False)
            held = {name: tensor.entry.shape for name, tensor in claims.held.items()}
            paired = pair_sides(base_side, merged_side, rules, held)
            work = work_of(claims, read, base_side, merged_side, paired.pairings, files)
            companions = compare_checkpoints(base_checkpoint, merged_checkpoint)
            follower = progress or Silence()
            follower.started(sum(size_bytes(pairing) for pairing in paired.pairings.values()))
            with Crew(files, num_threads) as crew:
                seen = survey(work, crew, follower)
                structure = (*read.findings, *claims.findings, *paired.findings, *work.findings, *companions)
                is_untold = any(finding.kind == "family_unknown" for finding in claims.findings)
                untold = base_side.unexplained if is_untold else ()
                judgement = judge(seen, paired.doubles, structure, untold, claims.lacking, read.config, crew)
    return VerifyReport(
        verdict=judgement.verdict,
        exit_code=int(judgement.verdict.exit_code),
        findings=judgement.findings,
        tensors=judgement.tensors,
        experts=judgement.experts,
        passthrough=judgement.passthrough,
        layout=judgement.layout,
        base=_files_of(base_checkpoint),
        adapter=_adapter_files(read),
        merged=None if merged_checkpoint is None else _files_of(merged_checkpoint),
        timing=Timing(duration_s=time.perf_counter() - started, read_bytes=files.read_bytes),
        family=rules.name,
        sites=judgement.sites,
    )


def _files_of(checkpoint: Checkpoint) -> FilesSeen:
    entries = checkpoint.entries.values()
    return FilesSeen(
        directory=checkpoint.directory,
        files=tuple(sorted({entry.path.name for entry in entries})),
        num_tensors=len(entries),
        size_bytes=sum(entry.stop - entry.start for entry in entries),
    )


def _adapter_files(adapter: Adapter) -> FilesSeen:
    pairs = [entry for pair in adapter.pairs for entry in (pair.a, pair.b, pair.magnitude, pair.bias) if entry]
    entries = [*pairs, *(tensor.entry for tensor in adapter.whole)]
    return FilesSeen(
        directory=adapter.directory,
        files=(WEIGHTS_FILE,),
        num_tensors=len(entries),
        size_bytes=sum(entry.stop - entry.start for entry in entries),
    )
