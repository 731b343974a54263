"""The verdict in words, the counts, and what to do: something sound for every verdict and every kind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import harness.verify
from harness.verify.records import Finding
from harness.verify.report import ExpertCounts, LayoutSeen, TensorCounts, Timing, Verdict, VerifyReport
from harness.verify.verdicts import VERDICTS
from reports.verification import words
from reports.verification.advice import AFTER, AFTER_WARNINGS, KINDS, advice, next_step
from tests.reports.verification import builders

CONTRACT = """
delta_missing delta_wrong_packing delta_wrong_layout delta_wrong_scale delta_wrong_sign delta_applied_twice
delta_wrong_values experts_permuted gate_up_swapped lost_to_rounding passthrough_changed tensor_missing
tensor_unexpected tensor_duplicated shape_mismatch dtype_changed non_finite adapter_key_unmatched
modules_to_save_lost tied_weights_broken config_mismatch generation_config_missing generation_config_changed
tokenizer_changed index_mismatch ambiguous_layout adapter_unsupported adapter_incomplete adapter_key_wrapped
quantised_weights family_unknown merge_rounding b_all_zero delta_unexplained
"""
"""The kinds of DESIGN section 5 and of docs/design/005-verify.md."""


def kinds_in_source() -> Iterator[str]:
    """Every text that the verifier's code gives a finding, or a diagnosis, as its kind."""
    for path in Path(harness.verify.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "kind" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def warned(report: VerifyReport, *kinds: str) -> VerifyReport:
    """The same with warnings."""
    found = [Finding(kind=kind, severity="warning", message="beware") for kind in kinds]
    return replace(report, findings=tuple(found))


@pytest.mark.parametrize("kind", sorted({*CONTRACT.split(), *VERDICTS, *kinds_in_source()} - {"linear", "embedding"}))
def test_every_kind_has_words_and_advice(kind: str) -> None:
    """A sentence that can be counted, and a next step that ends as one."""
    said = KINDS[kind].says.format(count="3 of 12", weights="weights", are="are", have="have")
    assert len(said) > 10
    assert "{" not in said
    assert advice(kind).endswith(".")


def test_there_are_kinds_in_the_source() -> None:
    """The walk above sees something."""
    assert {"adapter_unsupported", "index_mismatch"} <= set(kinds_in_source())


def test_an_unknown_kind_is_shown_without_advice() -> None:
    """A kind that was added later, and not here."""
    found = Finding(kind="delta_sung", severity="error", message="in tune")
    assert "" == advice("delta_sung")
    assert words.headline(builders.report(Verdict.PARTIAL, (), [found])).endswith(": delta_sung (1)")


@pytest.mark.parametrize("merged", [True, False], ids=["merged", "adapter alone"])
@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_headline_and_a_next_step(verdict: Verdict, merged: bool) -> None:
    """In words of its own, naming the directory that it is about."""
    report = builders.report(verdict, merged=merged)
    assert set(AFTER) == set(Verdict)
    assert next_step(report).endswith(".")
    about = verdict is Verdict.WRONG_LAYOUT or "/models/merged" in words.headline(report)
    assert about or "/models/base" in words.headline(report)
    assert "{" not in words.headline(report)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param(builders.clean(), "all of the adapter is in /models/merged, and nothing else changed", id="clean"),
        pytest.param(
            warned(builders.clean(), "merge_rounding"),
            "all of the adapter is in /models/merged, and nothing else changed (1 warning)",
            id="a warning is in the first line",
        ),
        pytest.param(
            builders.one_lost_expert(),
            "a part of the adapter is not in /models/merged: 3 of 85 adapted weights are still base's (layer 1)",
            id="lost expert",
        ),
        pytest.param(
            builders.wrong_packing(12, 128),
            "the adapter went in under another layout: 4608 of 4608 expert weights have the delta of another packing "
            "(layers 0-11)",
            id="packing",
        ),
        pytest.param(
            builders.report(
                Verdict.INCOMPLETE, findings=[Finding(kind="config_mismatch", severity="error", message="")]
            ),
            "all of the adapter is in /models/merged, and something else that the model needs is not as in base: a "
            "configuration says something else",
            id="config",
        ),
        pytest.param(
            builders.adapter_alone(),
            "the adapter fits /models/base: each of the 85 weights that it adapts is there",
            id="fits",
        ),
        pytest.param(
            builders.report(
                Verdict.INCONCLUSIVE,
                findings=[Finding(kind="family_unknown", severity="error", message="")],
                merged=False,
            ),
            "it cannot be told whether the adapter fits /models/base: there are no naming rules for this model_type",
            id="unknown family",
        ),
        pytest.param(
            builders.report(
                Verdict.INCONCLUSIVE, findings=[Finding(kind="ambiguous_layout", severity="warning", message="")]
            ),
            "it cannot be told whether the adapter is in /models/merged: the files fit more than one way to read the "
            "adapter",
            id="only a warning says why",
        ),
    ],
)
def test_the_headline_says_what_happened(report: VerifyReport, expected: str) -> None:
    """In one line, with how much of what, and in which layers."""
    assert expected == words.headline(report)


@pytest.mark.parametrize(
    ("num", "targeted", "expected"),
    [
        (1, 85, "1 of 85 adapted weights is still base's"),
        (1, 1, "1 of 1 adapted weight is still base's"),
        (3, 3, "3 of 3 adapted weights are still base's"),
        (3, 2, "3 adapted weights are still base's"),
    ],
)
def test_numbers_and_words_agree(num: int, targeted: int, expected: str) -> None:
    """One is, two are; and a total that is too small is not said."""
    found = [Finding(kind="delta_missing", severity="error", message="")] * num
    tensors = TensorCounts(targeted=targeted, matched=0, unchanged=num, wrong=0)
    report = replace(builders.report(Verdict.PARTIAL, findings=found), tensors=tensors)
    assert words.headline(report).endswith(f": {expected}")


def test_a_headline_of_many_kinds_names_some() -> None:
    """And counts the others."""
    kinds = ("delta_missing", "passthrough_changed", "config_mismatch", "tokenizer_changed", "index_mismatch")
    found = [Finding(kind=kind, severity="error", message="") for kind in kinds]
    said = words.headline(builders.report(Verdict.WRONG_VALUES, findings=found))
    assert said.endswith("a configuration says something else, 2 more kinds of findings")


def test_warnings_change_what_to_do() -> None:
    """A clean verdict with warnings asks to read them; a clean one asks for nothing."""
    assert AFTER[Verdict.CONTAINS] == next_step(builders.clean())
    assert AFTER_WARNINGS == next_step(warned(builders.clean(), "merge_rounding"))


def test_counts_say_what_is_amiss() -> None:
    """All four lines of a clean report are good; one lost expert makes two of them bad."""
    assert [True, True, True, True] == [count.is_good for count in words.counts(builders.clean())]
    lost = {count.name: (count.words, count.is_good) for count in words.counts(builders.one_lost_expert())}
    assert {
        "tensors": ("85 targeted: 82 matched, 3 unchanged, 0 wrong", False),
        "experts": ("72 attempted: 69 applied, 3 fallback", False),
        "passthrough": ("27 compared: 27 identical", True),
        "layout": ("fused standard, packing rank_major", True),
    } == lost


def test_counts_of_a_dense_model_have_no_experts() -> None:
    """Where no experts are adapted there are none to count; nothing targeted is never good."""
    built = builders.report(Verdict.INCONCLUSIVE, ())
    dense = replace(
        built,
        layout=LayoutSeen(fused=None, packing=None, ambiguous=False),
        experts=ExpertCounts(attempted=0, applied=0, fallback=0),
    )
    assert ["tensors", "passthrough"] == [count.name for count in words.counts(dense)]
    assert not words.counts(dense)[0].is_good
    ambiguous = replace(dense, layout=LayoutSeen(fused=None, packing=None, ambiguous=True))
    assert ("layout", "ambiguous", False) == words.counts(ambiguous)[-1]


def test_an_adapter_alone_counts_what_it_targets() -> None:
    """Nothing was compared, and no line says that anything was."""
    assert ["85 targeted", "72 attempted", "fused standard, packing rank_major"] == [
        count.words for count in words.counts(builders.adapter_alone())
    ]


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 KiB"), (3_865_470_566, "3.6 GiB"), (2**60, "1048576 TiB")],
)
def test_sizes_are_said_in_units(size_bytes: int, expected: str) -> None:
    """With the digits that matter."""
    assert expected == words.size(size_bytes)


def test_effort_is_bytes_time_and_rate() -> None:
    """Without a rate where there was no time or nothing to read."""
    assert "7.8 GiB read in 2.3 s (3.4 GiB per second)" == words.effort(builders.clean())
    idle = replace(builders.clean(), timing=Timing(duration_s=0.0, read_bytes=0))
    assert "0 bytes read in 0.0 s" == words.effort(idle)
