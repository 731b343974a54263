"""What is written: names, shapes and targets as PEFT has them, and nothing that is not adapted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.checkpoints.safetensors_file import read_header
from harness.errors import UsageError
from harness.records.cases import Dialect
from reference.jax_stacked.adapters.config import CONFIG_FILE
from reference.jax_stacked.adapters.names import WEIGHTS_FILE
from reference.jax_stacked.adapters.record import Adapter, Target
from reference.jax_stacked.adapters.writing import write_adapter
from tests.reference.jax_stacked.adapters.conftest import (
    FAMILIES,
    Choice,
    fused_targets,
    moe_targets,
    random_adapter,
    targets_of,
)

DIALECTS: tuple[Dialect, ...] = ("standard", "swapped", "per_expert")
EXPERTS = "base_model.model.model.layers.0.mlp.experts"
ATTENTION = "base_model.model.model.layers.0.self_attn.q_proj"
SAVED_BY_PEFT: Mapping[Dialect, Mapping[str, tuple[int, int]]] = {
    "standard": {
        f"{EXPERTS}.base_layer.lora_A.weight": (32, 48),
        f"{EXPERTS}.base_layer.lora_B.weight": (80, 32),
        f"{EXPERTS}.lora_A.weight": (24, 40),
        f"{EXPERTS}.lora_B.weight": (48, 24),
        f"{ATTENTION}.lora_A.weight": (4, 48),
        f"{ATTENTION}.lora_B.weight": (64, 4),
    },
    "swapped": {
        f"{EXPERTS}.base_layer.lora_A.weight": (32, 80),
        f"{EXPERTS}.base_layer.lora_B.weight": (48, 32),
        f"{EXPERTS}.lora_A.weight": (24, 48),
        f"{EXPERTS}.lora_B.weight": (40, 24),
        f"{ATTENTION}.lora_A.weight": (4, 48),
        f"{ATTENTION}.lora_B.weight": (64, 4),
    },
}
"""Layer 0 of qwen3_moe with q_proj and both expert parameters adapted, r = 4 and for down 3: as saved by PEFT 0.19.1
and 0.21.2 (standard) and by 0.18.1 (swapped), on transformers 5.5.0 and 5.23.0."""


def one(path_part: str, rank: int = 4, alpha: float = 8.0) -> Choice:
    """All modules whose path has `path_part`, alike."""
    return lambda path: (rank, alpha) if path_part in path else None


def config_of(directory: Path) -> dict[str, Any]:
    """The fields of adapter_config.json."""
    fields: dict[str, Any] = json.loads((directory / CONFIG_FILE).read_text())
    return fields


def keys_of(directory: Path) -> dict[str, tuple[int, ...]]:
    """Tensor name to shape."""
    return {entry.name: entry.shape for entry in read_header(directory / WEIGHTS_FILE)}


@pytest.mark.parametrize("dialect", SAVED_BY_PEFT)
def test_names_and_shapes_are_those_that_peft_saved(tmp_path: Path, dialect: Dialect) -> None:
    """For the same model, targets and ranks."""
    targets = fused_targets(targets_of(FAMILIES["qwen3_moe"]))
    ranks = {"q_proj": (4, 8.0), "gate_up_proj": (4, 8.0), "down_proj": (3, 8.0)}
    adapter = random_adapter(targets, lambda path: ranks.get(path.rpartition(".")[2]))

    write_adapter(tmp_path, adapter, dialect, targets=targets)

    assert SAVED_BY_PEFT[dialect] == {key: shape for key, shape in keys_of(tmp_path).items() if "layers.0." in key}
    fields = config_of(tmp_path)
    assert (["q_proj"], ["experts.down_proj", "experts.gate_up_proj"]) == (
        fields["target_modules"],
        fields["target_parameters"],
    )
    assert (4, {"down_proj": 3}, {}) == (fields["r"], fields["rank_pattern"], fields["alpha_pattern"])


def test_transformers_4_has_a_pair_an_expert_and_projection(tmp_path: Path) -> None:
    """Gate and up are written with the A that they share; target lists need no expert's number."""
    targets = moe_targets(num_experts=4)
    adapter = random_adapter(targets, one("experts"))

    write_adapter(tmp_path, adapter, "per_expert", targets=targets)

    names = {key.removeprefix(f"{EXPERTS}.") for key in keys_of(tmp_path) if key.startswith(EXPERTS)}
    expected = {
        f"{expert}.{name}_proj.lora_{factor}.weight"
        for expert in range(4)
        for name in ("gate", "up", "down")
        for factor in "AB"
    }
    assert expected == names
    assert ["down_proj", "gate_proj", "up_proj"] == config_of(tmp_path)["target_modules"]
    assert config_of(tmp_path)["target_parameters"] is None


def test_one_adapted_layer_is_named_alone(tmp_path: Path) -> None:
    """No suffix in a list means a module of another layer."""
    targets = moe_targets()
    chosen = {"model.layers.1.self_attn.q_proj", "model.layers.0.mlp.experts.down_proj"}

    write_adapter(
        tmp_path, random_adapter(targets, lambda path: (2, 3) if path in chosen else None), "standard", targets=targets
    )

    fields = config_of(tmp_path)
    assert ["1.self_attn.q_proj"] == fields["target_modules"]
    assert ["0.mlp.experts.down_proj"] == fields["target_parameters"]


def test_dense_layers_of_a_model_with_experts_are_parameters(tmp_path: Path) -> None:
    """PEFT 0.19 and later would take a target module of that name for all experts; a dense model has plain modules."""
    targets = moe_targets(dense_too=True)
    write_adapter(tmp_path / "moe", random_adapter(targets, one("layers.2.mlp")), "", targets=targets)
    dense = {path: target for path, target in targets.items() if target.kind != "experts"}
    write_adapter(tmp_path / "dense", random_adapter(dense, one("layers.2.mlp")), "", targets=dense)

    fields = config_of(tmp_path / "moe")
    assert ([], ["mlp.down_proj.weight", "mlp.gate_proj.weight"]) == (
        fields["target_modules"],
        [name.removeprefix("2.") for name in fields["target_parameters"]],
    )
    assert ["down_proj", "gate_proj"] == config_of(tmp_path / "dense")["target_modules"]
    assert keys_of(tmp_path / "dense") == keys_of(tmp_path / "moe")


def test_without_experts_every_dialect_is_the_same(tmp_path: Path) -> None:
    """To the byte, and no dialect need be named."""
    targets = moe_targets(dense_too=True)
    adapter = random_adapter(targets, lambda path: None if "experts" in path else (3, 5.0))
    for dialect in ("", *DIALECTS):
        write_adapter(tmp_path / f"in_{dialect}", adapter, dialect, targets=targets)

    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert 1 == len({(tmp_path / f"in_{dialect}" / name).read_bytes() for dialect in ("", *DIALECTS)})


def test_base_weights_that_were_read_are_written_again(tmp_path: Path) -> None:
    """Beside the factors of their embedding, where PEFT looks for them."""
    targets = moe_targets()
    adapter = random_adapter(targets, one("embed_tokens"))
    weight = np.arange(19 * 6, dtype=np.float32).reshape(19, 6)

    with_base = Adapter(factors=adapter.factors, base_weights={"model.embed_tokens": weight})
    write_adapter(tmp_path, with_base, "", targets=targets)

    assert (19, 6) == keys_of(tmp_path)["base_model.model.model.embed_tokens.base_layer.weight"]


def _refused(adapter: Adapter, dialect: Any, targets: Mapping[str, Target], directory: Path) -> str:
    with pytest.raises(UsageError) as raised:
        write_adapter(directory / "adapter", adapter, dialect, targets=targets)
    assert not (directory / "adapter").exists()
    return str(raised.value)


def test_adapters_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    """Before anything is written, and each by what is wrong with it."""
    targets = moe_targets()
    experts, head = random_adapter(targets, one("down_proj")), random_adapter(targets, one("lm_head"))
    single = moe_targets(num_experts=1)

    assert "experts are written in a dialect" in _refused(experts, "", targets, tmp_path)
    assert "no such dialect" in _refused(head, "fused", targets, tmp_path)
    assert "no module 'lm_head'" in _refused(head, "", {"model.x": targets["lm_head"]}, tmp_path)
    assert "factors do not fit" in _refused(head, "", moe_targets(hidden=8), tmp_path)
    assert "factors do not fit" in _refused(experts, "standard", moe_targets(num_experts=4), tmp_path)
    assert "has no factors" in _refused(Adapter(factors={}), "", targets, tmp_path)
    assert "PEFT 0.18 cannot hold" in _refused(random_adapter(single, one("down")), "swapped", single, tmp_path)
    stray = Adapter(factors=head.factors, base_weights={"model.embed_tokens": np.zeros((19, 6), np.float32)})
    assert "not adapted; got model.embed_tokens" in _refused(stray, "", targets, tmp_path)
