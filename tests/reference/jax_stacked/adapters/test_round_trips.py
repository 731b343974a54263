"""What is written in any dialect is read again: the same factors, scaled alike, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ArtifactError
from harness.records.cases import Dialect
from reference.jax_stacked.adapters.convert import fused, per_projection
from reference.jax_stacked.adapters.names import expand
from reference.jax_stacked.adapters.reading import read_adapter
from reference.jax_stacked.adapters.record import Adapter, Target
from reference.jax_stacked.adapters.writing import write_adapter
from tests.reference.jax_stacked.adapters.conftest import (
    Choice,
    assert_same,
    change_config,
    deltas,
    largest_error,
    moe_targets,
    random_adapter,
)

DIALECTS: tuple[Dialect, ...] = ("standard", "swapped", "per_expert")
FUSED_DIALECTS: tuple[Dialect, ...] = ("standard", "swapped")
ROUNDING = 1e-7


def alike(*parts: str, rank: int = 3, alpha: float = 5.0) -> Choice:
    """All modules whose paths have one of `parts`, with the same rank and alpha."""
    return lambda path: (rank, alpha) if any(part in path for part in parts) else None


def by_place(path: str) -> tuple[int, float] | None:
    """Ranks and alphas that differ by module and by layer; E is 5, so r < E and r ≥ E are both there."""
    first = "layers.0." in path
    if "q_proj" in path:
        return (2, 3.0) if first else (4, 3.0)
    if "gate_up_proj" in path:
        return (3, 8.0) if first else (6, 2.5)
    if "down_proj" in path:
        return (7, 8.0) if first else (7, 1.0)
    return (2, 0.5) if "embed_tokens" in path else None


def partly(path: str) -> tuple[int, float] | None:
    """Each layer with other modules than the next."""
    return (
        (3, 5.0)
        if path.endswith(("0.self_attn.q_proj", "0.mlp.experts.gate_up_proj", "1.mlp.experts.down_proj"))
        else None
    )


CHOICES: dict[str, Choice] = {
    "everything": alike(""),
    "attention": alike("self_attn"),
    "experts": alike("experts"),
    "gate_up": alike("gate_up"),
    "down": alike("down"),
    "embedding and head": alike("embed_tokens", "lm_head"),
    "high rank": alike("experts", rank=11),
    "patterns": by_place,
    "partly": partly,
}


def read_back(adapter: Adapter, dialect: Dialect, targets: dict[str, Target], directory: Path) -> Adapter:
    """`adapter`, written and read."""
    write_adapter(directory, adapter, dialect, targets=targets)
    return read_adapter(directory, targets)


@pytest.mark.parametrize("rslora", [False, True], ids=["plain", "rslora"])
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_round_trip_changes_nothing(tmp_path: Path, dialect: Dialect, choice: str, rslora: bool) -> None:
    """Fused experts come back fused, or in a dialect that has none by projection, to the bit."""
    targets = moe_targets(dense_too=True)
    adapter = random_adapter(targets, CHOICES[choice], rslora=rslora)

    got = read_back(adapter, dialect, targets, tmp_path)

    assert_same(per_projection(adapter) if dialect == "per_expert" else adapter, got)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_gate_and_up_of_their_own_keep_their_deltas(tmp_path: Path, dialect: Dialect) -> None:
    """Where experts must be fused the ranks add up; where not, they come back as they were."""
    targets = {path: target for path, target in expand(moe_targets()).items() if "gate_up" not in path}
    adapter = random_adapter(targets, lambda path: (2, 3.0) if "up_proj" in path else (4, 8.0))

    got = read_back(adapter, dialect, targets, tmp_path)

    assert largest_error(deltas(adapter), deltas(got)) < ROUNDING
    assert_same(adapter if dialect == "per_expert" else fused(adapter), got)


@given(
    dialect=st.sampled_from(DIALECTS),
    sizes=st.tuples(st.integers(2, 6), st.integers(1, 7), st.integers(1, 7)),
    ranks=st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_sizes_and_ranks_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    dialect: Dialect,
    sizes: tuple[int, int, int],
    ranks: tuple[int, int],
) -> None:
    """Square or not, r below or above E: shapes tell the layout wherever both expert parameters are adapted."""
    num_experts, hidden, inner = sizes
    targets = moe_targets(num_experts=num_experts, hidden=hidden, inner=inner)
    adapter = random_adapter(targets, lambda path: (ranks[0] if "down" in path else ranks[1], 3.0))

    got = read_back(adapter, dialect, targets, tmp_path_factory.mktemp("adapter"))

    assert_same(per_projection(adapter) if dialect == "per_expert" else adapter, got)


SQUARE = {
    "gate_up": (moe_targets(hidden=14, inner=7), alike("gate_up")),
    "down": (moe_targets(hidden=7, inner=7), alike("down")),
}
"""Where the layouts have the same shapes: 2I == H and gate_up alone, or I == H and down alone."""


@pytest.mark.parametrize("square", SQUARE)
@pytest.mark.parametrize("dialect", FUSED_DIALECTS)
def test_square_experts_are_told_apart_by_the_version(tmp_path: Path, dialect: Dialect, square: str) -> None:
    """The writer says which PEFT has its layout; a version of the other layout gives other factors."""
    targets, choice = SQUARE[square]
    adapter = random_adapter(targets, choice)
    assert_same(adapter, read_back(adapter, dialect, targets, tmp_path))

    change_config(tmp_path, peft_version="0.18.1" if dialect == "standard" else "0.21.2")

    misread = read_adapter(tmp_path, targets)
    path = next(iter(adapter.factors))
    assert not np.array_equal(adapter.factors[path].A, misread.factors[path].A)


@pytest.mark.parametrize("version", [None, "0.18.2.dev0@UNKNOWN"], ids=["none", "between"])
@pytest.mark.parametrize("square", SQUARE)
def test_square_experts_of_no_known_version_are_not_guessed(tmp_path: Path, square: str, version: str | None) -> None:
    """The error says that it cannot tell, and what would help."""
    targets, choice = SQUARE[square]
    write_adapter(tmp_path, random_adapter(targets, choice), "standard", targets=targets)
    change_config(tmp_path, peft_version=version)

    with pytest.raises(ArtifactError, match=r"cannot tell .* both fit.*peft_version"):
        read_adapter(tmp_path, targets)


@pytest.mark.parametrize("square", SQUARE)
@pytest.mark.parametrize("dialect", FUSED_DIALECTS)
def test_one_oblong_module_tells_the_layout_of_all(tmp_path: Path, dialect: Dialect, square: str) -> None:
    """With the other parameter adapted too, the square one needs no version, and a wrong one is not believed."""
    targets, _ = SQUARE[square]
    adapter = random_adapter(targets, alike("experts"))
    write_adapter(tmp_path, adapter, dialect, targets=targets)

    for version in (None, "0.18.1", "0.21.2"):
        change_config(tmp_path, peft_version=version)
        assert_same(adapter, read_adapter(tmp_path, targets))


def test_base_weights_come_back(tmp_path: Path) -> None:
    """Apart from the factors, and only where they were written."""
    targets = moe_targets()
    adapter = random_adapter(targets, alike("embed_tokens", "lm_head"))
    weight_VD = np.arange(19 * 6, dtype=np.float32).reshape(19, 6)
    weights = {"model.embed_tokens": weight_VD, "lm_head": -weight_VD}

    got = read_back(replace(adapter, base_weights=weights), "", targets, tmp_path)

    assert_same(adapter, got)
    assert weights.keys() == got.base_weights.keys()
    for path, weight in weights.items():
        np.testing.assert_array_equal(weight, got.base_weights[path])
    assert {} == read_back(adapter, "", targets, tmp_path / "without").base_weights
