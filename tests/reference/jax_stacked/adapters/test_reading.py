"""What is read of others' adapters, and that nothing of them is skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.checkpoints.safetensors_file import read_header, read_tensor
from harness.errors import ArtifactError
from harness.records.cases import Dialect
from reference.jax_stacked.adapters.names import WEIGHTS_FILE
from reference.jax_stacked.adapters.reading import read_adapter
from reference.jax_stacked.adapters.writing import write_adapter
from tests.reference.jax_stacked.adapters.conftest import (
    Tensors,
    assert_same,
    change_config,
    change_tensors,
    moe_targets,
    random_adapter,
)

TARGETS = moe_targets(num_experts=4, dense_too=True)
PREFIX = "base_model.model.model.layers"


def write(directory: Path, dialect: Dialect = "standard") -> None:
    """An adapter of all modules, rank 2 and alpha 4."""
    adapter = random_adapter(TARGETS, lambda path: (2, 4.0))
    write_adapter(directory, adapter, dialect, targets=TARGETS)


def refusal(directory: Path) -> str:
    """What reading the adapter is refused with."""
    with pytest.raises(ArtifactError) as raised:
        read_adapter(directory, TARGETS)
    return str(raised.value)


@pytest.mark.parametrize(
    ("dialect", "key"),
    [
        ("standard", f"{PREFIX}.1.self_attn.o_proj.lora_B.weight"),
        ("standard", f"{PREFIX}.1.mlp.experts.base_layer.lora_A.weight"),
        ("standard", f"{PREFIX}.2.mlp.gate_proj.lora_A.weight"),
        ("swapped", f"{PREFIX}.0.mlp.experts.lora_B.weight"),
        ("per_expert", f"{PREFIX}.1.mlp.experts.3.up_proj.lora_A.weight"),
        ("standard", "base_model.model.model.embed_tokens.lora_embedding_A"),
    ],
)
def test_a_factor_that_is_missing_is_named(tmp_path: Path, dialect: Dialect, key: str) -> None:
    """Of any module, in any dialect."""
    write(tmp_path, dialect)
    change_tensors(tmp_path, lambda tensors: tensors.pop(key))

    assert f"1 tensors of targeted modules are missing ({key})" in refusal(tmp_path)


@pytest.mark.parametrize(
    "key",
    [
        "base_model.model.model.layers.0.mlp.gate.lora_A.weight",
        "base_model.model.model.layers.0.mlp.experts.4.gate_proj.lora_A.weight",
        "base_model.model.model.layers.0.mlp.experts.0.gate_proj.lora_A.weight",
        "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight",
        "base_model.model.model.embed_tokens.weight",
        "base_model.model.lm_head.lora_B.bias",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
    ],
)
def test_a_tensor_without_a_place_is_named(tmp_path: Path, key: str) -> None:
    """Whatever it may be of: a router, a sixth expert, DoRA, a base weight, another prefix."""
    write(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.update({key: ("F32", np.ones((2, 3)))}))

    assert f"1 tensors are not of a module that it targets ({key})" in refusal(tmp_path)


def test_a_module_that_is_not_targeted_has_no_place(tmp_path: Path) -> None:
    """PEFT would not load its factors: the configuration decides, and not the file."""
    write(tmp_path)
    change_config(tmp_path, exclude_modules=["1.self_attn.q_proj"])

    assert f"2 tensors are not of a module that it targets ({PREFIX}.1.self_attn.q_proj.lora_A" in refusal(tmp_path)


def test_a_file_that_lost_its_experts_does_not_look_whole(tmp_path: Path) -> None:
    """In any dialect: the configuration still means them."""
    for dialect, num_lost in (("standard", 8), ("swapped", 8), ("per_expert", 48)):
        write(tmp_path / dialect, dialect)

        def lose(tensors: Tensors) -> None:
            for key in [key for key in tensors if ".experts." in key]:
                del tensors[key]

        change_tensors(tmp_path / dialect, lose)
        assert f"{num_lost} tensors of targeted modules are missing" in refusal(tmp_path / dialect)


def test_a_fused_file_that_lost_down_is_still_seen_to_be_fused(tmp_path: Path) -> None:
    """What is missing is told in the file's own names, and not in those of transformers 4."""
    write(tmp_path)
    lost = [f"{PREFIX}.{layer}.mlp.experts.lora_{factor}.weight" for layer in (0, 1) for factor in "AB"]
    change_tensors(tmp_path, lambda tensors: [tensors.pop(key) for key in lost])

    assert f"4 tensors of targeted modules are missing ({', '.join(lost)})" in refusal(tmp_path)


def test_experts_apart_may_be_targeted_as_parameters(tmp_path: Path) -> None:
    """PEFT adapts the weight of a Linear too, and its factors are called and shaped like the Linear's."""
    write(tmp_path, "per_expert")
    expected = read_adapter(tmp_path, TARGETS)
    parameters = [f"{name}.weight" for name in ("gate_proj", "up_proj", "down_proj")]
    change_config(
        tmp_path, target_modules=["q_proj", "o_proj", "embed_tokens", "lm_head"], target_parameters=parameters
    )

    assert_same(expected, read_adapter(tmp_path, TARGETS))


def test_some_experts_of_a_layer_are_no_layer(tmp_path: Path) -> None:
    """Factors are stacked over all experts; those that are not adapted are told by number."""
    write(tmp_path, "per_expert")
    change_config(tmp_path, exclude_modules=["0.mlp.experts.2.up_proj"])
    dropped = [f"{PREFIX}.0.mlp.experts.2.up_proj.lora_{factor}.weight" for factor in "AB"]
    change_tensors(tmp_path, lambda tensors: [tensors.pop(key) for key in dropped])

    assert "model.layers.0.mlp.experts.up_proj: experts 2 are not adapted" in refusal(tmp_path)


@pytest.mark.parametrize("pattern", ["rank_pattern", "alpha_pattern"])
def test_experts_of_one_layer_are_alike(tmp_path: Path, pattern: str) -> None:
    """PEFT could give each its own rank or alpha; stacked factors have one of each."""
    write(tmp_path, "per_expert")
    change_config(tmp_path, **{pattern: {r"experts\.2\.up_proj": 3}})

    assert "experts of one layer have different ranks or alphas" in refusal(tmp_path)


def test_patterns_scale_and_only_what_they_mean(tmp_path: Path) -> None:
    """alpha_pattern and use_rslora change the scaling of the modules that they mean, by PEFT's rules."""
    write(tmp_path)
    change_config(tmp_path, alpha_pattern={r"1\.self_attn.*": 7, "q_proj": 3, "experts.down_proj": 5})

    adapter = read_adapter(tmp_path, TARGETS)

    scalings = {path.removeprefix("model.layers."): adapter.scaling(path) for path in adapter.factors}
    assert (3.5, 1.5) == (scalings["1.self_attn.q_proj"], scalings["0.self_attn.q_proj"])
    assert (2.5, 2.0) == (scalings["0.mlp.experts.down_proj"], scalings["0.mlp.experts.gate_up_proj"])
    assert 2.0 == scalings["2.mlp.down_proj"]  # its name ends in down_proj, and not in experts.down_proj
    change_config(tmp_path, use_rslora=True)
    assert pytest.approx(4 / 2**0.5) == read_adapter(tmp_path, TARGETS).scaling("lm_head")


def test_a_rank_that_the_factors_do_not_have_is_refused(tmp_path: Path) -> None:
    """PEFT makes its slots by the configuration, so that it would not load them either."""
    write(tmp_path)
    change_config(tmp_path, rank_pattern={"lm_head": 3})
    assert "expected (3, 6); got (2, 6)" in refusal(tmp_path)

    change_config(tmp_path, rank_pattern={"experts.down_proj": 3})
    assert "factors fit no layout of fused experts" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("lm_head.lora_B.weight", (18, 2)),
        ("model.embed_tokens.lora_embedding_B", (2, 6)),
        ("model.layers.0.mlp.experts.lora_B.weight", (6, 9)),
        ("model.embed_tokens.base_layer.weight", (6, 19)),
    ],
)
def test_a_tensor_that_does_not_fit_the_model_is_refused(tmp_path: Path, key: str, shape: tuple[int, int]) -> None:
    """With its name and the shape that it has."""
    write(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.update({f"base_model.model.{key}": ("F32", np.ones(shape))}))

    assert str(shape) in refusal(tmp_path)


def test_layouts_do_not_mix(tmp_path: Path) -> None:
    """One PEFT saved the file, in one layout."""
    write(tmp_path / "standard")
    write(tmp_path / "swapped", "swapped")
    swapped = {
        entry.name: (entry.dtype, read_tensor(entry)) for entry in read_header(tmp_path / "swapped" / WEIGHTS_FILE)
    }
    change_tensors(
        tmp_path / "standard",
        lambda tensors: tensors.update({key: value for key, value in swapped.items() if ".1.mlp.experts" in key}),
    )

    assert "factors have another layout than others" in refusal(tmp_path / "standard")


@pytest.mark.parametrize(
    ("target_modules", "expected"),
    [
        (r".*self_attn\.[qo]_proj|model\.embed_tokens|lm_head", ""),
        (["q_proj", "o_proj", "embed_tokens", "lm_head", "k_proj"], ""),
        ([*TARGETS, "nowhere"], "mean the same module"),
    ],
    ids=["expression", "suffixes", "twice"],
)
def test_lists_and_expressions_are_read_as_peft_reads_them(tmp_path: Path, target_modules: Any, expected: str) -> None:
    """Names that the model does not have mean nothing; a module cannot be meant as a module and as a parameter."""
    write(tmp_path)
    change_config(tmp_path, target_modules=target_modules)

    if expected:
        assert expected in refusal(tmp_path)
    else:
        assert read_adapter(tmp_path, TARGETS).factors.keys() == TARGETS.keys()


def test_half_precision_is_widened(tmp_path: Path) -> None:
    """bfloat16 factors come as the float32 that they are; whole numbers are no factors."""
    write(tmp_path)
    key = "base_model.model.lm_head.lora_A.weight"
    change_tensors(tmp_path, lambda tensors: tensors.update({key: ("BF16", tensors[key][1])}))
    assert np.float32 == read_adapter(tmp_path, TARGETS).factors["lm_head"].A.dtype

    change_tensors(tmp_path, lambda tensors: tensors.update({key: ("I32", tensors[key][1])}))
    assert "expected F32, BF16, F16; got I32" in refusal(tmp_path)


def test_a_pickle_is_not_an_adapter(tmp_path: Path) -> None:
    """adapter_model.bin is never opened."""
    write(tmp_path)
    (tmp_path / WEIGHTS_FILE).rename(tmp_path / "adapter_model.bin")

    assert "a pickle is never loaded" in refusal(tmp_path)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    """Nothing that it means is there."""
    write(tmp_path)
    change_config(tmp_path, target_modules=["c_attn"], target_parameters=None)

    assert "targets nothing that the model has" in refusal(tmp_path)
