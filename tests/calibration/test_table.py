"""The table is what is read again: every number of it, and no edit by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.calibration.placing import Placed
from harness.calibration.policy import Policy, load_policy
from harness.calibration.table import HEADER, render
from harness.errors import CaseError
from harness.judging.gates import Gate, load_gates

POLICY = Policy(metric="m", kinds=("read",), dtypes=("float32",), relation="at_most", evidence='it is "so"')
PLACED = Placed(
    bound=1e-9, noise=5.2e-13, num_clean=159, nearest=7.1e-6, nearest_fault="scale", unseen=("f (weights)",),
    carries=True,
)  # fmt: skip


def test_what_is_written_is_what_judges(tmp_path: Path) -> None:
    """A gate with all its numbers, and one without noise or fault."""
    path = tmp_path / "gates.toml"
    bare = Placed(bound=0.0, noise=None, num_clean=0, nearest=None, nearest_fault="", carries=False)
    versions = {"r1": {"peft": "0.19.1"}}
    path.write_text(
        render(
            [(POLICY, PLACED), (replace(POLICY, metric="n"), bare)],
            device="cpu",
            measured_on="2026-11-21",
            command="x",
            versions=versions,
        )
    )
    table = load_gates(path)
    assert ("cpu", "2026-11-21", "x", versions) == (table.device, table.measured_on, table.command, table.versions)
    first, second = table.gates
    assert (1e-9, 5.2e-13, 159, 7.1e-6, "scale", ("f (weights)",)) == (
        first.bound, first.noise, first.num_clean, first.nearest, first.nearest_fault, first.unseen,
    )  # fmt: skip
    assert ('it is "so"', None, None, False) == (first.evidence, second.noise, second.nearest, second.carries)


def test_all_of_a_policy_is_in_its_gate(tmp_path: Path) -> None:
    """Where it applies and what its failing means, beside what was measured."""
    policy = Policy(
        metric="m", kinds=("read",), dtypes=("float32", "bfloat16"), reaches=("own_row", "own_stack"),
        forms=("merged",), relation="at_least", carries=True, optional=True, power=True, of_signal=True, bound=0.5,
        evidence="a test",
    )  # fmt: skip
    placed = replace(PLACED, carries=False)
    path = tmp_path / "gates.toml"
    path.write_text(render([(policy, placed)], device="cpu", measured_on="2026-11-21", command="x", versions={}))
    assert load_gates(path).gates == (
        Gate(
            metric="m", kinds=("read",), dtypes=("float32", "bfloat16"), reaches=("own_row", "own_stack"),
            forms=("merged",), relation="at_least", carries=False, optional=True, power=True, of_signal=True,
            bound=1e-9, noise=5.2e-13, num_clean=159, nearest=7.1e-6, nearest_fault="scale", unseen=("f (weights)",),
            evidence="a test",
        ),
    )  # fmt: skip


def test_people_are_told_first_who_made_it() -> None:
    """And that it is not theirs to edit."""
    text = render([(POLICY, PLACED)], device="cpu", measured_on="2026-11-21", command="x", versions={})
    assert text.startswith(f"{HEADER}\n")


def test_a_table_with_two_gates_for_one_thing_is_refused(tmp_path: Path) -> None:
    """Though its digest is right: the two would be two verdicts."""
    path = tmp_path / "gates.toml"
    twice = [(POLICY, PLACED), (replace(POLICY, reaches=("own_row",)), PLACED)]
    path.write_text(render(twice, device="cpu", measured_on="2026-11-21", command="x", versions={}))
    with pytest.raises(CaseError, match="two gates judge m"):
        load_gates(path)


def test_the_table_that_judges_follows_the_policy() -> None:
    """Row by row: nothing is gated that nobody asked for, and nothing that was asked for is left out."""
    policy, gates = load_policy(), load_gates().gates
    assert len(policy) == len(gates)
    for asked, gate in zip(policy, gates, strict=True):
        for name in ("metric", "kinds", "dtypes", "relation", "optional", "reaches", "forms", "power", "evidence"):
            assert getattr(asked, name) == getattr(gate, name), gate.metric
        assert asked.bound in (None, gate.bound)
        assert asked.carries or not gate.carries
