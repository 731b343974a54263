"""What to do about a cause."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import harness.checkpoints.packing
import harness.checkpoints.taken
import harness.judging.findings
import harness.judging.weight_findings
import harness.runs.results
import reference.stored
from harness.judging.advice import ADVICE, what_to_do

NO_CAUSE = {"skipped"}
"""Kinds that need no advice: the reason says it already."""


RECORDS = {"Finding", "Contradiction"}


def named_kinds(path: str) -> set[str]:
    """Every text that a source file gives as a finding's kind: as argument, in an assignment, a loop or a return."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RECORDS:
            values: list[ast.expr] = [word.value for word in node.keywords if word.arg == "kind"]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "finding_of":
            values = node.args[:1]
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "kind" for t in node.targets):
            values = [node.value]
        elif isinstance(node, ast.FunctionDef) and node.name in (
            "_kind",
            "_field_kind",
            "_file_kind",
            "name_misreading",
        ):
            values = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            values = [each.elts[0] for each in node.iter.elts if isinstance(each, ast.Tuple)]
        else:
            continue
        for value in values:
            # Of "a if x else b" and "a or b" the branches, not the condition.
            parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            found |= {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    return found - {""}


KINDS = {
    kind
    for module in (
        harness.judging.findings,
        harness.judging.weight_findings,
        harness.runs.results,
        harness.checkpoints.packing,
        harness.checkpoints.taken,
        reference.stored,
    )
    for kind in named_kinds(str(module.__file__))
} - NO_CAUSE


def test_the_kinds_are_found() -> None:
    """What is read from the sources has kinds of every sort among it."""
    assert {
        "crashed", "config_changed", "keys_missing", "delta_missing", "delta_wrong_layout", "tied_weights_broken",
        "tensor_unexpected", "coverage_lost", "file_missing", "tokenizer_changed", "generation_config_changed",
        "loss_wrong", "delta_untrained", "initialisation_wrong", "decoding_differs", "no_signal", "not_run",
        "unreadable", "index_mismatch", "tensor_duplicated", "file_unreadable", "dtype_changed",
    } <= KINDS  # fmt: skip


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_that_can_be_found_has_advice(kind: str) -> None:
    """Nobody is told what is wrong without being told what to do."""
    assert what_to_do(f"{kind} something").endswith((".", ")."))


def test_no_advice_is_for_a_kind_that_does_not_exist() -> None:
    """A kind that nothing finds any more leaves its advice behind."""
    assert set() == set(ADVICE) - KINDS


def test_a_cause_of_several_kinds_has_the_advice_for_each_once() -> None:
    """In the cause's order, and nothing for no cause."""
    cause = "config_changed rope_theta; delta_missing experts.down,experts.up; config_changed eps"
    assert f"{ADVICE['config_changed']} {ADVICE['delta_missing']}" == what_to_do(cause)
    assert "" == what_to_do("")
