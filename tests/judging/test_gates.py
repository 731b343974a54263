"""The table of tolerances: what it must hold, and that it cannot be misread."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.calibration.policy import POLICY_PATH, load_policy
from harness.errors import CaseError
from harness.judging.gates import GATES_PATH, Gate, Scope, Situation, check_scopes, load_gates
from harness.records.cases import FORMS
from harness.records.jobs import Reach

GATES = load_gates().gates
DTYPES = ("float32", "bfloat16")
REACHES: tuple[Reach, ...] = get_args(Reach)
READS = [Situation("read", dtype, form, reach) for dtype in DTYPES for form in FORMS for reach in REACHES]
SITUATIONS = [*READS, *(Situation("write", dtype) for dtype in DTYPES)]


def label(gate: Gate) -> str:
    """A gate's name in test ids."""
    return "-".join((gate.metric, *gate.dtypes, *gate.kinds, *gate.forms, *gate.reaches))


def bounds(situation: Situation) -> dict[str, Gate]:
    """Metric to gate."""
    return {gate.metric: gate for gate in load_gates().of(situation)}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: "-".join(filter(None, situation)))
def test_every_situation_has_gates(situation: Situation) -> None:
    """Several, with one signal to be judged against, and with the weights among those that carry."""
    gates = load_gates().of(situation)
    assert len(gates) >= 6
    assert ["kl_base_trained_mean"] == [gate.metric for gate in gates if gate.power]
    assert "weight_residual_max" in {gate.metric for gate in gates if gate.carries}


def test_in_bfloat16_divergence_carries_nothing_across_stacks() -> None:
    """Divergence, routing and samples are shown there; weights and stages of the forward pass carry everywhere."""
    symptoms = {"kl_ratio_equal_routing", "equal_routing_share", "samples_equal"}
    within, across = (bounds(Situation("read", "bfloat16", "merged", reach)) for reach in ("own_stack", "other_stack"))
    assert within.keys() == across.keys()
    assert set() == {name for name in symptoms if across[name].carries}
    assert symptoms - {"samples_equal"} == {name for name in within if within[name].carries > across[name].carries}
    assert across["stage_error_max"].carries
    for form in FORMS:
        assert 1 == len({tuple(bounds(Situation("read", "float32", form, reach)).values()) for reach in REACHES})


def test_an_adapter_that_its_own_row_reloads_is_judged_as_in_float32() -> None:
    """Nothing of it is rounded and nothing is summed otherwise, so bfloat16 is no excuse; of a merge it is one."""
    exact = {"kl_ratio_equal_routing": 1e-9, "weight_residual_max": 1e-4, "stage_error_max": 1e-4}
    lora, merged = (bounds(Situation("read", "bfloat16", form, "own_row")) for form in FORMS)
    assert exact == {name: lora[name].bound for name in exact}
    assert all(merged[name].bound > bound for name, bound in exact.items())
    assert bounds(Situation("read", "bfloat16", "lora", "own_stack"))["kl_ratio_equal_routing"].bound > 1e-9


SCOPE = Scope(metric="m", kinds=("read",), dtypes=("float32",))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {(form, reach) for form in FORMS for reach in REACHES}, id="every route"),
        pytest.param({"forms": ("lora",)}, {("lora", reach) for reach in REACHES}, id="a form"),
        pytest.param({"reaches": ("own_row",)}, {(form, "own_row") for form in FORMS}, id="a reach"),
        pytest.param({"reaches": ("own_row",), "forms": ("lora",)}, {("lora", "own_row")}, id="both"),
        pytest.param({"kinds": ("write",)}, {("", "")}, id="a write has neither"),
    ],
)
def test_a_gate_knows_its_routes(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """As its row says, in its dtype alone."""
    assert expected == {(each.form, each.reach) for each in replace(SCOPE, **changes).situations()}
    table = replace(load_gates(), gates=(replace(GATES[0], **{"kinds": ("read",), **changes}),))
    for situation in SITUATIONS:
        is_meant = situation.kind in table.gates[0].kinds and (situation.form, situation.reach) in expected
        assert is_meant == bool(table.of(situation))


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, "two gates judge m", id="twice the same"),
        pytest.param({"reaches": ("own_row",)}, "got read float32 lora own_row", id="a part of it"),
        pytest.param({"forms": ("merged",), "kinds": ("write", "read")}, "a write has no reader", id="a write's form"),
        pytest.param({"reaches": ("own_row",), "kinds": ("write",)}, "a write has no reader", id="a write's reach"),
        pytest.param({"dtypes": ("bfloat16",)}, "", id="another dtype"),
        pytest.param({"metric": "n"}, "", id="another metric"),
        pytest.param({"kinds": ("write",)}, "", id="another kind"),
    ],
)
def test_no_metric_is_judged_twice(changes: dict[str, Any], words: str) -> None:
    """Two bounds for one situation would be two verdicts; and nobody asks how a write was read."""
    scopes = (SCOPE, replace(SCOPE, **changes))
    if not words:
        check_scopes(scopes, where="here")
        return
    with pytest.raises(CaseError, match=words):
        check_scopes(scopes, where="here")


@pytest.mark.parametrize(
    ("scopes", "text"),
    [
        pytest.param(
            (SCOPE, SCOPE),
            "policy.toml: two gates judge m: which one counts?; got read float32 lora own_row",
            id="twice",
        ),
        pytest.param(
            (replace(SCOPE, kinds=("write",), forms=("lora",)),),
            "policy.toml: a write has no reader: m asks for one. "
            'Leave `reaches` and `forms` out, or make a row of its own for kinds = ["read"].',
            id="of a write",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_told_whole(scopes: tuple[Scope, ...], text: str) -> None:
    """Where, what, and what to do."""
    with pytest.raises(CaseError) as raised:
        check_scopes(scopes, where="policy.toml")
    assert text == str(raised.value)


def test_two_gates_for_one_thing_are_refused_where_they_are_read(tmp_path: Path) -> None:
    """In the policy, from which the table is made."""
    text = POLICY_PATH.read_text(encoding="utf-8")
    first = text.index("[[gates]]")
    second = text.index("[[gates]]", first + 1)
    (tmp_path / "policy.toml").write_text(text + "\n" + text[first:second], encoding="utf-8")
    with pytest.raises(CaseError, match=r"policy\.toml: two gates judge kl_base_trained_mean"):
        load_policy(tmp_path / "policy.toml")
    assert len(load_policy()) == len(tomllib.loads(text)["gates"])


def test_bfloat16_is_no_stricter_than_float32() -> None:
    """The same metric's bound in bfloat16 lets more through, never less, in every situation."""
    pairs = [
        (gate, bounds(situation._replace(dtype="bfloat16"))[metric])
        for situation in SITUATIONS
        if situation.dtype == "float32"
        for metric, gate in bounds(situation).items()
    ]
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
        pytest.param('    "own_stack",', '    "own_house",', "unknown value", id="unknown reach"),
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
