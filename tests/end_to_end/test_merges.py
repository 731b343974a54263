"""What a real row merges is verified as it should be: every family, and what versions are known to break."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.runs.request import Catalogue, RunRequest
from harness.runs.workflow import run
from harness.verify import Verdict, verify
from tests.end_to_end.conftest import ROW, TODAY, NewOut
from tests.end_to_end.merges import Merge, problem, written

pytestmark = pytest.mark.registry

CASES = (
    "qwen3-float32-loop",
    "qwen3-float32-loop-tied_head_lora",
    "qwen3_moe-bfloat16-loop",
    "qwen3_moe-float32-loop-fused_on_disk",
    "glm4_moe-float32-loop",
    "deepseek_v3-bfloat16-loop",
    "qwen3_5_moe-bfloat16-loop",
)


@pytest.fixture(scope="module")
def merges(new_out: NewOut, catalogue: Catalogue) -> Mapping[str, Merge]:
    """One training of each case."""
    out = new_out()
    expression = " or ".join(f"{case}@{ROW}" for case in CASES)
    run(RunRequest(out=out, cells=(ROW,), expression=expression, today=TODAY, command="a test"), catalogue)
    return {merge.write.partition("@")[0]: merge for merge in written(out)}


def test_every_case_was_merged(merges: Mapping[str, Merge]) -> None:
    """No case escapes."""
    assert set(CASES) <= set(merges)


@pytest.mark.parametrize("case", CASES)
def test_a_merge_is_verified_as_declared(merges: Mapping[str, Merge], case: str) -> None:
    """CONTAINS, but for what is declared to break."""
    merge = merges[case]
    assert problem(merge, verify(merge.base, merge.adapter, merge.merged)) == ""


@pytest.mark.parametrize("case", [case for case in CASES if "tied" not in case])
def test_base_in_its_place_is_base(merges: Mapping[str, Merge], case: str) -> None:
    """The same adapter is not in the checkpoint that it was trained on."""
    merge = merges[case]
    report = verify(merge.base, merge.adapter, merge.base)
    assert (Verdict.BASE_UNCHANGED, 0) == (report.verdict, report.tensors.matched)
