"""`deltaproof plan`, without the registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import EnvironmentBuildError, ExitCode
from tests.cli.conftest import Said

Command = Callable[..., Said]
pytestmark = pytest.mark.usefixtures("resolved")


def test_json_holds_the_whole_plan(deltaproof: Command, rows: list[str]) -> None:
    """Counts that are those of the lists, the rows' versions, writes, routes and skips with their reasons."""
    said = deltaproof("plan", "--json")
    plan = json.loads(said.out)
    assert ExitCode.OK == said.code
    assert {"counts", "cells", "unresolved", "writes", "routes", "skips"} == set(plan)
    assert rows == list(plan["cells"])
    assert (len(plan["writes"]), len(plan["routes"]), len(plan["skips"])) == tuple(
        plan["counts"][name] for name in ("writes", "routes", "skipped")
    )
    assert {"transformers": "4.57.6", "peft": "0.19.1", "trl": "0.25.1"} == plan["cells"]["r3"]
    assert {"jax": "0.10.2", "jaxlib": "", "flax": "0.12.8", "optax": "0.2.8"} == plan["cells"]["jax"]
    assert "qwen3_moe-float32-loop@r1>lora>r3" in plan["routes"]
    assert "qwen3_moe-float32-loop@jax>lora-swapped>r2" in plan["routes"]
    assert all("needs transformers" in skip["reason"] for skip in plan["skips"])
    assert {} == plan["unresolved"]


def test_people_get_a_table_and_the_counts(deltaproof: Command) -> None:
    """On stderr; stdout stays empty."""
    said = deltaproof("plan")
    assert (ExitCode.OK, "") == (said.code, said.out)
    assert "qwen3_moe-float32-loop" in said.err
    assert "skipped: qwen3_5_moe-float32-loop@r3: family qwen3_5_moe needs transformers" in said.err
    counts = json.loads(deltaproof("plan", "--json").out)["counts"]
    assert f"{counts['writes']} writes, {counts['routes']} routes" in said.err


def test_rows_and_expression_choose(deltaproof: Command) -> None:
    """Fewer rows, one case: its write, and its two routes."""
    plan = json.loads(deltaproof("plan", "--json", "--cells", "r4,r1", "-k", "qwen3-float32-loop@r1>lora>r4").out)
    assert ["r1", "r4"] == list(plan["cells"])
    assert (["qwen3-float32-loop@r1"], ["qwen3-float32-loop@r1>lora>r4"]) == (plan["writes"], plan["routes"])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("llama-float32-loop@jax>lora>r2", ["llama-float32-loop@jax>lora>r2"], id="none"),
        pytest.param(
            "qwen3_moe-float32-loop@jax>lora-swapped>r2",
            ["qwen3_moe-float32-loop@jax>lora-swapped>r2"],
            id="in a whole id",
        ),
        pytest.param(
            "square and per_expert and >r2",
            [f"qwen3_moe-float32-loop-{case}@jax>lora-per_expert>r2" for case in ("square_gate_up", "square")],
            id="as a word",
        ),
    ],
)
def test_a_dialect_is_chosen_as_all_else_is(deltaproof: Command, expression: str, expected: list[str]) -> None:
    """By the id of a route, or by a word of it."""
    assert expected == json.loads(deltaproof("plan", "--json", "-k", expression).out)["routes"]


def test_quick_is_less(deltaproof: Command) -> None:
    """A pull request's matrix is a part of the whole."""
    quick, whole = (json.loads(deltaproof("plan", "--json", *more).out) for more in (["--quick"], []))
    assert 0 < quick["counts"]["routes"] < whole["counts"]["routes"]
    assert set(quick["routes"]) < set(whole["routes"])


def test_a_row_that_cannot_be_resolved_is_exit_4_and_the_others_are_planned(
    deltaproof: Command, resolved: dict[str, EnvironmentBuildError]
) -> None:
    """With the resolver's own words, in the JSON as on stderr."""
    resolved["r2"] = EnvironmentBuildError("cannot be resolved", where="r2", log="Because a needs [b], no solution")
    said = deltaproof("plan", "--json")
    plan = json.loads(said.out)
    assert ExitCode.ENVIRONMENT == said.code
    assert {"r2": "Because a needs [b], no solution"} == plan["unresolved"]
    assert "r2" not in plan["cells"]
    assert {"r1", "r3"} < set(plan["cells"])
    assert not any("@r2" in write for write in plan["writes"])
    assert "Because a needs [b], no solution" in said.err


def test_nothing_is_asked_of_the_registry_for_a_typo(deltaproof: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown row and an expression that cannot be read are told before anything is resolved or made."""

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("resolved")

    monkeypatch.setattr("harness.cli.plan.resolve_all", never)
    for arguments in (("--cells", "r9"), ("-k", "a or")):
        assert ExitCode.USAGE == deltaproof("plan", *arguments, "--out", "elsewhere").code
    assert not Path("elsewhere").exists()


def test_an_output_folder_that_cannot_be_made_is_one_line(deltaproof: Command) -> None:
    """A file in the way: exit 2."""
    Path("file").write_text("in the way")
    said = deltaproof("plan", "--out", "file/out")
    assert (ExitCode.USAGE, 1) == (said.code, len(said.err.strip().splitlines()))
    assert "cannot be written" in said.err
