"""The table of tolerances: what it must hold, and that it cannot be misread."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from harness.errors import CaseError
from harness.judging.gates import GATES_PATH, Gate, load_gates

GATES = load_gates().gates


def label(gate: Gate) -> str:
    """A gate's name in test ids."""
    return f"{gate.metric}-{'-'.join(gate.dtypes)}-{'-'.join(gate.kinds)}-{gate.across_stacks}"


def test_the_table_is_not_empty() -> None:
    """Both kinds of result have gates in both dtypes, and each has a signal to be judged against."""
    for kind in ("write", "read"):
        for dtype in ("float32", "bfloat16"):
            for across_stacks in (False, True) if kind == "read" else (False,):
                gates = load_gates().of(kind, dtype, across_stacks=across_stacks)
                assert len(gates) >= 6
                assert ["kl_base_trained_mean"] == [gate.metric for gate in gates if gate.power]
                assert "weight_residual_max" in {gate.metric for gate in gates if gate.carries}


def test_in_bfloat16_the_weights_carry_the_verdict_across_stacks() -> None:
    """Divergence, routing and samples are shown there and carry nothing; within a stack, and in float32, they carry."""
    symptoms = {"kl_ratio_equal_routing", "equal_routing_share", "samples_equal"}
    table = load_gates()
    within, across = (
        {gate.metric: gate for gate in table.of("read", "bfloat16", across_stacks=flag)} for flag in (False, True)
    )
    assert within.keys() == across.keys()
    assert set() == {name for name in symptoms if across[name].carries}
    assert symptoms - {"samples_equal"} == {name for name in symptoms if within[name].carries}
    assert symptoms - {"samples_equal"} == {
        name for name in within if within[name].carries and not across[name].carries
    }
    assert table.of("read", "float32", across_stacks=False) == table.of("read", "float32", across_stacks=True)


@pytest.mark.parametrize(
    ("across_stacks", "expected"),
    [("any", [True, True]), ("no", [True, False]), ("only", [False, True])],
)
def test_a_gate_stands_within_a_stack_or_across_or_both(
    across_stacks: Literal["any", "no", "only"], expected: list[bool]
) -> None:
    """As its row says."""
    table = replace(load_gates(), gates=(replace(GATES[0], across_stacks=across_stacks),))
    assert expected == [bool(table.of("read", "float32", across_stacks=flag)) for flag in (False, True)]


@pytest.mark.parametrize("gate", GATES, ids=label)
def test_every_gate_says_where_its_bound_comes_from(gate: Gate) -> None:
    """What was measured is beside each bound, and what carries a verdict lets the worst clean result through."""
    assert gate.evidence.strip()
    assert math.isfinite(gate.bound)
    assert gate.kinds
    assert gate.dtypes
    assert set(gate.dtypes) <= {"float32", "bfloat16"}
    if gate.noise is not None and gate.carries and gate.relation != "all":
        assert gate.noise <= gate.bound if gate.relation == "at_most" else gate.noise >= gate.bound
    if gate.nearest is not None and gate.relation != "all":
        assert gate.nearest > gate.bound if gate.relation == "at_most" else gate.nearest < gate.bound


def test_no_metric_is_gated_twice_for_one_result() -> None:
    """A metric has one bound a kind, dtype and side of the border between stacks: two would be two verdicts."""
    sides = {"any": ("within", "across"), "no": ("within",), "only": ("across",)}
    rows = [
        (gate.metric, kind, dtype, side)
        for gate in GATES
        for kind in gate.kinds
        for dtype in gate.dtypes
        for side in sides[gate.across_stacks]
    ]
    assert sorted(set(rows)) == sorted(rows)


def test_bfloat16_is_no_stricter_than_float32() -> None:
    """The same metric's bound in bfloat16 lets more through, never less."""
    bounds = {(gate.metric, dtype): gate for gate in GATES for dtype in gate.dtypes}
    pairs = [(gate, bounds[gate.metric, "bfloat16"]) for (_, dtype), gate in bounds.items() if dtype == "float32"]
    assert pairs
    for strict, loose in pairs:
        assert strict.bound <= loose.bound if strict.relation != "at_least" else strict.bound >= loose.bound


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        pytest.param('device = "cpu"', 'device = "cpu"\ncolour = 1', "unknown key 'colour'", id="unknown key"),
        pytest.param("unseen = []", "unseen = []\ncolour = 1", "unknown key 'colour'", id="unknown key of a gate"),
        pytest.param('evidence = "a count"', "", "key 'evidence' is missing", id="no evidence"),
        pytest.param('relation = "at_most"', 'relation = "about"', "unknown value", id="unknown relation"),
        pytest.param('across_stacks = "no"', 'across_stacks = "yes"', "unknown value", id="unknown side"),
        pytest.param('    "write",', '    "wrote",', "unknown value", id="unknown kind"),
        pytest.param("bound = 0.05", 'bound = "0.05"', "wrong type", id="a bound that is no number"),
        pytest.param("bound = 0.05", "bound = true", "wrong type", id="a bound that is a flag"),
        pytest.param("bound = 0.05", "bound = nan", "not a finite number", id="a bound that is NaN"),
        pytest.param("bound = 0.05", "bound = inf", "not a finite number", id="a bound that lets all through"),
        pytest.param("power = true", 'power = "yes"', "wrong type", id="a flag that is a text"),
        pytest.param("bound = 0.05", "bound = 0.04", "edited by hand", id="a bound that somebody liked better"),
        pytest.param('sha256 = "', 'sha256 = "0', "edited by hand", id="a digest of other text"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path: Path, good: str, bad: str, words: str) -> None:
    """Each mistake is a CaseError with the file's name; without it the same text loads."""
    text = GATES_PATH.read_text(encoding="utf-8")
    assert good in text
    (tmp_path / "good.toml").write_text(text, encoding="utf-8")
    (tmp_path / "bad.toml").write_text(text.replace(good, bad), encoding="utf-8")
    assert load_gates() == load_gates(tmp_path / "good.toml")
    with pytest.raises(CaseError, match=words) as raised:
        load_gates(tmp_path / "bad.toml")
    assert "bad.toml" in str(raised.value)
