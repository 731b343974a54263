"""Expressions of strangers: what they match, and that they end."""

from __future__ import annotations

import time

import pytest

from harness.errors import ArtifactError
from harness.verify.expressions import first_hits, is_plain
from harness.verify.expressions_apart import Hit, Query

NAMES = ["layers.0.q_proj", "layers.11.k_proj", "lm_head"]


@pytest.mark.parametrize("plain", [True, False], ids=["here", "apart"])
def test_the_first_expression_that_matches_counts(plain: bool) -> None:
    """The same in this process and in another, with what a group caught."""
    by_start = Query([r"layers\.(?P<layer>\d+)\.k", "layers", r".*_proj"], NAMES, False)
    whole = Query(["layers", r".*_proj"], NAMES, True)
    assert [[Hit(1, None), Hit(0, "11"), None], [Hit(1, None), Hit(1, None), None]] == first_hits(
        [by_start, whole], plain=plain, where="here"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("q_proj", True),
        ("layers.0.self_attn.q_proj", True),
        (r".*\.gate_up_proj", True),
        ("", True),
        (".*.*q", False),
        ("(q|k)_proj", False),
        ("q+", False),
        ("q{3}", False),
        ("[qk]_proj", False),
    ],
)
def test_names_need_no_process(text: str, expected: bool) -> None:
    """Nor does the one expression that PEFT itself writes; what repeats more may run away."""
    assert is_plain([text]) is expected


@pytest.mark.parametrize("plain", [True, False], ids=["here", "apart"])
@pytest.mark.parametrize("expression", ["(", "a{99999999999999999999}", "(" * 20_000, r"(?P<layer>a)(?P<layer>b)"])
def test_what_is_no_expression_is_refused(plain: bool, expression: str) -> None:
    """With the place where it stands, and no more of it than one can read."""
    with pytest.raises(ArtifactError, match="is no regular expression") as caught:
        first_hits([Query([expression], NAMES, True)], plain=plain, where="rank_pattern")
    assert "rank_pattern" == caught.value.where
    assert len(str(caught.value)) < 300


def test_an_expression_that_does_not_end_is_ended() -> None:
    """By its time, in another process."""
    started_s = time.monotonic()
    with pytest.raises(ArtifactError, match=r"takes too long; expected less than 0\.5 s"):
        first_hits([Query(["(a+)+b"], ["a" * 100], True)], plain=False, where="target_modules", limit_s=0.5)
    assert time.monotonic() - started_s < 10


def test_very_many_names_end_too() -> None:
    """What is matched here looks at the clock between two names."""
    with pytest.raises(ArtifactError, match="takes too long"):
        first_hits([Query(["a"] * 10, ["b"] * 10, True)], plain=True, where="rank_pattern", limit_s=-1)


def test_nothing_to_match_needs_nothing() -> None:
    """Most configurations have no patterns."""
    assert [[None], []] == first_hits([Query([], ["q"], True), Query(["("], [], True)], plain=False, where="")
