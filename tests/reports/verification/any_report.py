"""Reports of any content that their types allow, for hypothesis: what a view must bear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from harness.verify.families import Part
from harness.verify.records import Finding
from harness.verify.report import (
    ExpertCounts,
    FilesSeen,
    LayoutSeen,
    PassthroughCounts,
    SiteSeen,
    TensorCounts,
    Timing,
    Verdict,
    VerifyReport,
)
from reports.verification.advice import KINDS
from tests.reports.verification.builders import HOSTILE

COUNTS = st.integers(0, 10**6)
NUMBERS = st.none() | st.integers(0, 12)
NAMES = (
    st.builds("model.layers.{}.mlp.experts.{}.gate_proj.weight".format, st.integers(0, 5), st.integers(0, 5))
    | st.builds("model.layers.{}.self_attn.{}_proj.weight".format, st.integers(0, 5), st.sampled_from("qkvo"))
    | st.sampled_from(["lm_head.weight", "", ".", HOSTILE])
    | st.text(max_size=20)
)
"""What a model has, and what a stranger may have put there."""
TEXTS = NAMES | st.builds("{} of {} elements".format, COUNTS, st.floats())
FINDINGS = st.builds(
    Finding,
    kind=st.sampled_from([*KINDS, "unheard_of"]),
    message=TEXTS,
    tensor=NAMES,
    layer=NUMBERS,
    expert=NUMBERS,
    expected=TEXTS,
    got=TEXTS,
)
SITES = st.builds(
    SiteSeen,
    name=NAMES,
    layer=NUMBERS,
    expert=NUMBERS,
    part=st.none() | st.sampled_from(Part.__args__),  # type: ignore[attr-defined]
    recovered=st.none() | st.floats() | st.floats(-0.5, 2.5),
    residual=st.none() | st.floats(),
    num_elements=COUNTS,
    num_wrong=COUNTS,
)
FILES = st.builds(
    FilesSeen,
    directory=NAMES.map(Path),
    files=st.lists(NAMES, max_size=3).map(tuple),
    num_tensors=COUNTS,
    size_bytes=st.integers(0, 2**50),
)
REPORTS = st.builds(
    VerifyReport,
    verdict=st.sampled_from(Verdict),
    exit_code=st.just(0),
    findings=st.lists(FINDINGS, max_size=8).map(tuple),
    tensors=st.builds(TensorCounts, targeted=COUNTS, matched=COUNTS, unchanged=COUNTS, wrong=COUNTS),
    experts=st.builds(ExpertCounts, attempted=COUNTS, applied=COUNTS, fallback=COUNTS),
    passthrough=st.builds(PassthroughCounts, compared=COUNTS, identical=COUNTS),
    layout=st.builds(LayoutSeen),
    base=FILES,
    adapter=FILES,
    merged=st.none() | FILES,
    timing=st.builds(Timing, duration_s=st.floats(0, 1e9), read_bytes=st.integers(0, 2**50)),
    family=NAMES,
    sites=st.lists(SITES, max_size=12).map(tuple),
    schema_version=st.just(1),
).map(lambda report: replace(report, exit_code=int(report.verdict.exit_code)))
"""Whole reports; verdict and exit code agree, and nothing else has to."""
