"""Rotary frequencies against the configuration that is held."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.records.jobs import FieldValue
from reference.rotary import NAME, compare_frequencies, expected_frequencies

DEFAULT = {"rope_theta": 300.0, "head_dim": 16}
LLAMA3 = DEFAULT | {
    "rope_scaling.rope_type": "llama3",
    "rope_scaling.factor": 4.0,
    "rope_scaling.low_freq_factor": 1.0,
    "rope_scaling.high_freq_factor": 3.0,
    "rope_scaling.original_max_position_embeddings": 24,
}


def held(config: dict[str, object]) -> list[FieldValue]:
    """Fields that came back as they should."""
    return [FieldValue(name=name, expected=json.dumps(value), got=json.dumps(value)) for name, value in config.items()]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"rope_theta": 100.0, "head_dim": 4}, [1.0, 0.1], id="default"),
        pytest.param({"head_dim": 4}, [1.0, 0.01], id="no theta"),
        pytest.param({"rope_theta": 100.0, "head_dim": 8, "partial_rotary_factor": 0.5}, [1.0, 0.1], id="partial"),
        pytest.param({"rope_theta": 100.0, "head_dim": 8, "qk_rope_head_dim": 4}, [1.0, 0.1], id="latent attention"),
        pytest.param(
            {**LLAMA3, "rope_theta": 1e4, "head_dim": 4}, [1.0, 0.0025], id="llama3, fast kept and slow scaled"
        ),
    ],
)
def test_frequencies_follow_the_configuration(config: dict[str, object], expected: list[float]) -> None:
    """By hand: theta to the power of -2i/d, over the rotated dimensions alone."""
    assert expected == pytest.approx(list(expected_frequencies(config)))


def test_llama3_mixes_those_between() -> None:
    """24 positions are 1 to 3 turns there: 24 f / 2 pi = 2 is half-way between f and f / 4."""
    frequency = 2 * 2 * np.pi / 24
    theta = frequency**-2
    found = expected_frequencies(LLAMA3 | {"rope_theta": theta, "head_dim": 4})
    assert frequency * (0.5 + 0.5 / 4) == pytest.approx(found[1])


def test_float32_is_the_same_and_bfloat16_is_not() -> None:
    """What a model computes in float32 is as expected; rounded to eight bits, or fewer of them, both are told."""
    exact = expected_frequencies(dict(DEFAULT))
    same = compare_frequencies(held(dict(DEFAULT)), exact.astype(np.float32))
    assert (NAME, same.expected) == (same.name, same.got)
    coarse = (exact.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    for other in (coarse, exact[:-1]):
        found = compare_frequencies(held(dict(DEFAULT)), other)
        assert found.expected == same.expected != found.got


@pytest.mark.parametrize(
    ("frequencies", "is_same"),
    [
        pytest.param([1.0, 0.01], True, id="follow what is held"),
        pytest.param([1.0, 300**-0.5], True, id="follow what is declared"),
        pytest.param([1.0, 0.02], False, id="follow neither"),
    ],
)
def test_a_lost_field_is_another_finding(frequencies: list[float], is_same: bool) -> None:
    """Frequencies may follow base's configuration or the one that came back; only those of neither are told."""
    fields = [FieldValue(name="rope_theta", expected="300.0", got="10000.0"), *held({"head_dim": 4})]
    found = compare_frequencies(fields, frequencies)
    assert is_same == (found.expected == found.got)
    assert "[1.0, 0.057735027]" == found.expected
