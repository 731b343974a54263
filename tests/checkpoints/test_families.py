"""The contract of every file under `cases/families`, and how a broken one is reported."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from harness.checkpoints.naming import roles_of, tensor_table
from harness.checkpoints.shapes import size
from harness.errors import CaseError
from harness.planning.families import load_families, load_family
from harness.records.cases import Family

LINEAR_ROLES = ("attention", "experts", "mlp", "shared", "embedding", "head")
"""The words that a case may ask to adapt; a part of one ("experts.down") may stand behind a dot."""
GROUPED_MULTIPLE = 8
"""torch's grouped product of bfloat16 matrices wants rows of 16 bytes, on CPU too."""


def axes(family: Family) -> dict[str, int]:
    """Every expression that sizes an axis, and the fused width 2I, which no canonical tensor has."""
    expressions = {str(axis) for rule in family.tensors for axis in rule.shape if isinstance(axis, str)}
    if family.experts:
        expressions.add("2 * moe_intermediate_size")
    return {expression: size(expression, family.config, where=family.name) for expression in sorted(expressions)}


def test_dimensions_are_pairwise_different(family: Family) -> None:
    """No two axes that mean different things have the same size, so that no transposition or swap goes unseen."""
    sizes = axes(family)
    assert [] == [pair for pair in combinations(sizes, 2) if sizes[pair[0]] == sizes[pair[1]]]
    assert len(sizes) >= 5


def test_adaptable_words_mean_matrices_of_one_kind(family: Family) -> None:
    """Every word is one that cases use, and whatever has its roles is a matrix that LoRA can adapt."""
    table = tensor_table(family, family.config)
    assert {"attention", "embedding", "head"} < set(family.adaptable)
    for word in family.adaptable:
        assert word.split(".")[0] in LINEAR_ROLES
        shapes = {tensor.shape for tensor in table.values() if tensor.role in roles_of(family, [word])}
        assert {2} == {len(shape) for shape in shapes}


def test_experts_are_routed_fused_and_many(family: Family) -> None:
    """A family with experts says how they are fused, routes to two of at least four, and has two layers of them."""
    experts = [tensor for tensor in tensor_table(family, family.config).values() if tensor.expert is not None]
    if not family.experts:
        assert ([], ()) == (experts, family.fused)
        return
    assert family.config[family.experts] >= 4
    assert 2 == family.config["num_experts_per_tok"]
    assert len({tensor.layer for tensor in experts}) >= 2
    assert {rule.name for rule in family.tensors if "{expert}" in rule.name} == {
        part for fused in family.fused for part in fused.parts
    }
    assert 0 == family.config["hidden_size"] % GROUPED_MULTIPLE
    assert 0 == family.config["moe_intermediate_size"] % GROUPED_MULTIPLE


def test_rotary_fields_are_written_for_both_generations(family: Family) -> None:
    """rope_theta stands where transformers 4 reads it and where transformers 5 does, and is not the default."""
    assert family.config["rope_theta"] == family.config["rope_parameters"]["rope_theta"] != 10000.0
    assert ("rope_parameters.rope_theta",) == family.aliases["rope_theta"]


VALID = """
name = "tiny"
why = "a test"
architecture = "TinyForCausalLM"
[config]
num_hidden_layers = 2
hidden_size = 4
[layer_sets]
every = "all"
[adaptable]
attention = ["attention"]
[[tensors]]
name = "layers.{layer}.q.weight"
shape = ["hidden_size", 3]
role = "attention"
layers = "every"
"""


def write_valid(directory: Path) -> Path:
    """A family file that loads."""
    path = directory / "tiny.toml"
    path.write_text(VALID)
    return path


def test_a_minimal_family_loads(tmp_path: Path) -> None:
    """A family needs no more than its names, configuration, layers, roles and tensors."""
    write_valid(tmp_path)
    family = load_families(tmp_path)["tiny"]
    assert {"layers.0.q.weight": (4, 3), "layers.1.q.weight": (4, 3)} == {
        name: tensor.shape for name, tensor in tensor_table(family, family.config).items()
    }


def replaced(before: str, after: str) -> Callable[[Path], None]:
    """Damage to a family file: `before` becomes `after`."""
    return lambda path: path.write_text(path.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (replaced('why = "a test"', 'wy = "a test"'), "unknown key 'wy'"),
        (replaced('name = "tiny"', 'name = "other"'), "file name differ"),
        (replaced('name = "tiny"', "name = "), "cannot be read"),
        (replaced('layers = "every"', 'layers = "odd"'), "unknown layer set"),
        (replaced('attention = ["attention"]', 'attention = ["atention"]'), "roles that no tensor has: atention"),
        (replaced('role = "attention"', 'role = "attention"\nwhen = "lost"'), "'lost'"),
        (replaced('name = "tiny"', 'name = "tiny"\nexperts = "lost"'), "'lost'"),
        (replaced("[config]", 'fused = [{name = "f", parts = ["lost"]}]\n[config]'), "without a rule: lost"),
        (replaced("[config]", '[aliases]\nlost = []\n[config]'), "'lost'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_clear_error(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    """A broken file is refused when it is read, with the file's name and the word that is wrong."""
    path = write_valid(tmp_path)
    damage(path)
    with pytest.raises(CaseError, match=message) as raised:
        load_family(path)
    assert "tiny" in str(raised.value)


def test_a_folder_without_families_is_an_error(tmp_path: Path) -> None:
    """Nothing to load is said, not returned."""
    with pytest.raises(CaseError, match="no family files"):
        load_families(tmp_path)
