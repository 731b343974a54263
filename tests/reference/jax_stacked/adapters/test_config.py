"""adapter_config.json: what is read of it, what is refused, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ArtifactError
from reference.jax_stacked.adapters.config import CONFIG_FILE, Settings, read_settings, write_settings

PEFT_0_18_1 = [
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "auto_mapping", "base_model_name_or_path", "bias",
    "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode",
    "init_lora_weights", "layer_replication", "layers_pattern", "layers_to_transform", "loftq_config", "lora_alpha",
    "lora_bias", "lora_dropout", "megatron_config", "megatron_core", "modules_to_save", "peft_type", "peft_version",
    "qalora_group_size", "r", "rank_pattern", "revision", "target_modules", "target_parameters", "task_type",
    "trainable_token_indices", "use_dora", "use_qalora", "use_rslora",
]  # fmt: skip
"""The fields that LoraConfig of PEFT 0.18.1 saves; 0.19.1 and 0.21.2 save these and more."""


def settings(**changes: Any) -> Settings:
    """Settings with every field unlike its default."""
    fields: dict[str, Any] = {
        "rank": 3,
        "alpha": 7.0,
        "rslora": True,
        "target_modules": frozenset({"q_proj", "lm_head"}),
        "target_parameters": frozenset({"experts.down_proj"}),
        "exclude_modules": frozenset(),
        "rank_pattern": {r"0\.q_proj": 2},
        "alpha_pattern": {"lm_head": 2.5, "q_proj": 4.0},
        "peft_version": "0.19.0",
    }
    return Settings(**(fields | changes))


def written(directory: Path, **changes: Any) -> dict[str, Any]:
    """What `write_settings` leaves in `directory`, with `changes` of its JSON."""
    write_settings(directory, settings(), base_model="somewhere")
    path = directory / CONFIG_FILE
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(fields))
    return fields


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field of the settings comes back."""
    write_settings(tmp_path, settings(), base_model="")

    assert settings() == read_settings(tmp_path)


def test_the_fields_are_those_of_the_oldest_peft(tmp_path: Path) -> None:
    """Of fields that it does not know PEFT warns; of those that are absent later ones take their defaults."""
    fields = written(tmp_path)

    assert sorted(PEFT_0_18_1) == list(fields)
    assert ("LORA", "CAUSAL_LM", "none") == (fields["peft_type"], fields["task_type"], fields["bias"])
    assert "somewhere" == fields["base_model_name_or_path"]
    assert {"lm_head": 2.5, "q_proj": 4} == fields["alpha_pattern"]
    assert "7" == json.dumps(fields["lora_alpha"])


def test_modules_that_are_not_targeted_are_an_empty_list(tmp_path: Path) -> None:
    """Where it were null, PEFT 0.18 would look for a default by the model's type; an unused list of parameters is."""
    only_parameters = settings(target_modules=frozenset())
    write_settings(tmp_path, only_parameters, base_model="")
    assert [] == json.loads((tmp_path / CONFIG_FILE).read_text())["target_modules"]

    write_settings(tmp_path, settings(target_parameters=frozenset()), base_model="")
    assert json.loads((tmp_path / CONFIG_FILE).read_text())["target_parameters"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_type", "LOHA"),
        ("task_type", "SEQ_CLS"),
        ("bias", "lora_only"),
        ("bias", "all"),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "pissa_niter_4"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "corda"),
        ("init_lora_weights", "loftq"),
        ("init_lora_weights", "lora_ga"),
        ("use_dora", True),
        ("lora_bias", True),
        ("use_qalora", True),
        ("fan_in_fan_out", True),
        ("modules_to_save", ["lm_head"]),
        ("trainable_token_indices", [3]),
        ("layer_replication", [[0, 2]]),
        ("layers_to_transform", 0),
        ("layers_to_transform", [1]),
        ("layers_pattern", "layers"),
        ("megatron_config", {"tp": 1}),
        ("corda_config", {"corda_method": "ipm"}),
        ("lora_ga_config", {"direction": "ArB2r"}),
        ("alora_invocation_tokens", [1, 2]),
        ("arrow_config", {"top_k": 1}),
        ("ensure_weight_tying", True),
        ("use_bdlora", {"nblocks": 2}),
        ("velora_config", {"rank": 1}),
        ("monteclora_config", {"samples": 2}),
        ("kasa_config", {"beta": 1}),
        ("lora_B_layout", "grouped_by_expert"),
        ("a_field_of_tomorrow", "on"),
    ],
)
def test_what_would_change_the_delta_is_refused_by_name(tmp_path: Path, field: str, value: Any) -> None:
    """The error names the field and what it says, whoever invented it."""
    written(tmp_path, **{field: value})

    with pytest.raises(ArtifactError, match=f"{field} is not supported") as raised:
        read_settings(tmp_path)

    assert repr(value) in str(raised.value)
    assert CONFIG_FILE in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peft_version", 19),
        ("r", 0),
        ("r", 4.0),
        ("r", None),
        ("lora_alpha", "8"),
        ("lora_alpha", float("nan")),
        ("use_rslora", None),
        ("target_modules", {"q_proj": 1}),
        ("target_modules", ["q_proj", 1]),
        ("target_modules", "all-linear"),
        ("target_modules", "(q_proj"),
        ("target_parameters", "experts.down_proj"),
        ("exclude_modules", 3),
        ("rank_pattern", ["q_proj"]),
        ("rank_pattern", {"q_proj": True}),
        ("rank_pattern", {"*": 2}),
        ("alpha_pattern", {"q_proj": None}),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, field: str, value: Any) -> None:
    """Types and expressions are checked before anything is made of them."""
    written(tmp_path, **{field: value})

    with pytest.raises(ArtifactError, match=field):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("init_lora_weights", False),
        ("init_lora_weights", "gaussian"),
        ("init_lora_weights", "eva"),
        ("eva_config", {"rho": 2.0}),
        ("lora_dropout", 0.1),
        ("inference_mode", False),
        ("task_type", None),
        ("revision", "main"),
        ("a_field_of_tomorrow", None),
        ("another_one", False),
        ("rank_pattern", {r"0\.q_proj": 2}),
    ],
)
def test_what_changes_no_delta_changes_no_settings(tmp_path: Path, field: str, value: Any) -> None:
    """How training began and went is in the factors."""
    written(tmp_path, **{field: value})

    assert settings() == read_settings(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "{}"], ids=["empty", "list", "torn", "nothing"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: str) -> None:
    """Malformed JSON is one clear error with the path."""
    (tmp_path / CONFIG_FILE).write_text(content)

    with pytest.raises(ArtifactError, match=CONFIG_FILE):
        read_settings(tmp_path)


def test_a_configuration_without_targets_is_refused(tmp_path: Path) -> None:
    """PEFT would guess them by the model's type."""
    written(tmp_path, target_modules=None, target_parameters=None)

    with pytest.raises(ArtifactError, match="neither target_modules nor target_parameters"):
        read_settings(tmp_path)
