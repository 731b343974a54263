"""What is read of an adapter's directory, what is left unread and why, and what is refused.

What PEFT does with each was found with PEFT 0.18.1, 0.19.1 and 0.21.2 on tiny models of transformers 4.57 to 5.23.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import ArtifactError, ExitCode
from harness.verify.adapters import read_adapter
from harness.verify.records import Adapter
from tests.verify.adapter_files import ATTENTION, EXPERTS, PREFIX, Tensors, factors, tensor, write_adapter

GATE_UP_AND_DOWN = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Adapter]:
    """Writes an adapter and reads it."""
    return lambda tensors=None, **changes: read_adapter(write_adapter(tmp_path / "adapter", tensors, **changes))


def kinds(adapter: Adapter) -> list[tuple[str, str]]:
    """What was found, and how grave it is."""
    return [(finding.kind, finding.severity) for finding in adapter.findings]


def test_a_plain_adapter_is_read_whole(read: Callable[..., Adapter]) -> None:
    """One module's factors become one pair with the configuration's rank, alpha and scaling, and nothing is found."""
    adapter = read()
    [pair] = adapter.pairs
    assert (ATTENTION, 0, "linear") == (pair.module, pair.depth, pair.kind)
    assert ((2, 5), (6, 2)) == (pair.a.shape, pair.b.shape)
    assert (2, 8.0, 4.0) == (pair.rank, pair.alpha, pair.scaling)
    assert ((), (), ()) == (adapter.whole, adapter.unread, adapter.findings)
    assert ("0.19.1", "somebody/tiny") == (adapter.config.peft_version, adapter.config.base_model)


def test_pairs_are_in_the_order_of_their_layers(read: Callable[..., Adapter]) -> None:
    """Whatever the order of the header, and with the numbers of layers as numbers."""
    paths = [f"model.layers.{layer}.self_attn.q_proj" for layer in (10, 9, 0)]
    adapter = read({name: value for path in paths for name, value in factors(path).items()})
    assert paths[::-1] == [pair.module for pair in adapter.pairs]


@pytest.mark.parametrize(
    ("written", "module"),
    [
        ("base_model.model.", ATTENTION),
        ("base_model.model.base_model.model.", ATTENTION),
        ("module.base_model.model.", ATTENTION),
        ("base_model.model.module.", ATTENTION),
        ("_orig_mod.base_model.model.", ATTENTION),
        ("base_model.model._orig_mod.", ATTENTION),
        ("_fsdp_wrapped_module.base_model.model._fsdp_wrapped_module.", ATTENTION),
        ("base_model.model.model.language_model.", f"model.language_model.{ATTENTION}"),
        ("base_model.model.language_model.", f"language_model.{ATTENTION}"),
    ],
)
def test_wrappers_are_left_out_and_the_models_own_prefixes_are_not(
    read: Callable[..., Adapter], written: str, module: str
) -> None:
    """What a PeftModel within another, or parallel, sharded or compiled modules, put into names is not the model's."""
    adapter = read(factors(prefix=written))
    assert [module] == [pair.module for pair in adapter.pairs]
    is_plain = written in (PREFIX, f"{PREFIX}model.language_model.", f"{PREFIX}language_model.")
    assert ([] if is_plain else [("adapter_key_wrapped", "warning")]) == kinds(adapter)


def test_wrappers_within_a_path_are_left_out(read: Callable[..., Adapter]) -> None:
    """Sharding wraps each layer, and checkpointing what is in it."""
    path = "model.layers.0._fsdp_wrapped_module.self_attn._checkpoint_wrapped_module.q_proj"
    assert [ATTENTION] == [pair.module for pair in read(factors(path)).pairs]


def renamed(change: Callable[[str], str]) -> Tensors:
    """A pair whose names are changed."""
    return {change(name): value for name, value in factors().items()}


DROPPED: list[tuple[Tensors, dict[str, Any], str]] = [
    (renamed(lambda key: key.removeprefix(PREFIX)), {}, "'base_model.model.' is not before it"),
    (renamed(lambda key: f"module.{key.removeprefix(PREFIX)}"), {}, "'base_model.model.' is not before it: PEFT"),
    (renamed(lambda key: key.removesuffix(".weight")), {}, "'.weight' is not behind it"),
    ({f"{PREFIX}model.embed_tokens.lora_embedding_A.weight": tensor(2, 5)}, {}, "'.weight' is behind it"),
    ({f"{PREFIX}model.embed_tokens.lora_embedding_A.mine": tensor(2, 5)}, {}, "the adapter's own name is in it. PEFT"),
    ({f"{PREFIX}lora_A.weight": tensor(2, 5)}, {}, "the path of a module is missing in it"),
    (renamed(lambda key: key.replace(".weight", ".default.weight")), {}, "the adapter's own name is in it"),
    (factors(), {"target_modules": ["k_proj"]}, "the configuration does not target this module"),
    (factors(), {"target_modules": []}, "the configuration does not target this module"),
    (factors(), {"exclude_modules": ["q_proj"]}, "the configuration does not target this module"),
    (factors(), {"layers_to_transform": [1]}, "the configuration does not target this module"),
    (factors(f"{ATTENTION}.base_layer"), {}, "target_parameters mean none of this module"),
    (factors("model.embed_tokens"), {"target_modules": ["embed_tokens"]}, "embed_tokens is an embedding"),
    (
        {
            f"{PREFIX}{ATTENTION}.lora_A.weight": tensor(2, 5, 3, 3),
            f"{PREFIX}{ATTENTION}.lora_B.weight": tensor(6, 2, 1, 1),
        },
        {},
        "factors of a convolution",
    ),
    ({f"{PREFIX}{ATTENTION}.lora_E": tensor(2)}, {}, "plain LoRA has no 'lora_E'"),
    (
        {f"{PREFIX}model.embed_tokens.modules_to_save.weight": tensor(6, 5)},
        {},
        "PEFT writes modules_to_save without",
    ),
]


@pytest.mark.parametrize(("tensors", "changes", "reason"), DROPPED, ids=[row[-1] for row in DROPPED])
def test_what_peft_drops_is_unread_and_found(
    read: Callable[..., Adapter], tensors: Tensors, changes: dict[str, Any], reason: str
) -> None:
    """Each key is named with what PEFT would do, and is an error: the training that it holds is nowhere else."""
    adapter = read(tensors, **changes)
    assert () == adapter.pairs == adapter.whole
    assert set(tensors) == {unread.key for unread in adapter.unread} == {each.tensor for each in adapter.findings}
    assert {("adapter_key_unmatched", "error")} == set(kinds(adapter))
    assert all(unread.reason.startswith(reason) for unread in adapter.unread)


def test_skyrls_experts_are_recognised(read: Callable[..., Adapter]) -> None:
    """SkyRL tx writes attention as PEFT does, and experts without prefix and suffix, which PEFT passes over."""
    expert = {f"model.layers.3.mlp.experts.7.gate_proj.lora_{part}": tensor(2, 2) for part in "AB"}
    adapter = read({**factors(), **expert}, target_modules=..., peft_version="0.18.1")
    assert [ATTENTION] == [pair.module for pair in adapter.pairs]
    assert set(expert) == {unread.key for unread in adapter.unread}
    assert all(unread.reason.startswith("SkyRL tx writes experts so") for unread in adapter.unread)
    unmatched = [finding for finding in adapter.findings if finding.kind == "adapter_key_unmatched"]
    assert [(3, 7)] * 2 == [(finding.layer, finding.expert) for finding in unmatched]
    [unsaid] = [finding for finding in adapter.findings if finding.kind == "config_mismatch"]
    assert "neither target_modules nor target_parameters" in unsaid.message


@pytest.mark.parametrize("part", ["original_module", "modules_to_save"])
def test_second_copies_of_a_trained_module_are_no_fault(read: Callable[..., Adapter], part: str) -> None:
    """With resized embeddings PEFT saves what it wraps too, beside the tensor that it reads."""
    saved = f"{PREFIX}model.embed_tokens"
    tensors = {**factors(), f"{saved}.weight": tensor(6, 5), f"{saved}.{part}.weight": tensor(6, 5)}
    adapter = read(tensors, modules_to_save=["embed_tokens"])
    assert ["model.embed_tokens.weight"] == [whole.name for whole in adapter.whole]
    assert [f"{saved}.{part}.weight"] == [unread.key for unread in adapter.unread]
    assert [("adapter_key_unmatched", "note")] == kinds(adapter)


@pytest.mark.parametrize(
    ("key", "changes", "name", "why"),
    [
        ("lm_head.weight", {"modules_to_save": ["lm_head"]}, "lm_head.weight", "modules_to_save"),
        ("model.norm.weight", {"modules_to_save": ["norm"]}, "model.norm.weight", "modules_to_save"),
        ("model.layers.0.input_layernorm.weight", {"modules_to_save": ["norm"]}, None, "modules_to_save"),
        ("visual.blocks.1.bias", {"modules_to_save": ["visual"]}, "visual.blocks.1.bias", "modules_to_save"),
        (f"{ATTENTION}.base_layer.bias", {"bias": "all"}, f"{ATTENTION}.bias", "bias"),
        ("model.layers.0.self_attn.k_proj.bias", {}, "model.layers.0.self_attn.k_proj.bias", "bias"),
        ("model.embed_tokens.base_layer.weight", {}, "model.embed_tokens.weight", "embedding"),
        ("lm_head.weight", {}, "lm_head.weight", "embedding"),
    ],
)
def test_tensors_held_in_full_are_read_under_the_models_names(
    read: Callable[..., Adapter], key: str, changes: dict[str, Any], name: str | None, why: str
) -> None:
    """PEFT reads each parameter that the model has by this name, whatever the configuration says of biases."""
    adapter = read({**factors(), PREFIX + key: tensor(6)}, **changes)
    assert [(name or key, why)] == [(whole.name, whole.why) for whole in adapter.whole]
    assert () == adapter.unread == adapter.findings


def test_embeddings_have_names_of_their_own(read: Callable[..., Adapter]) -> None:
    """Their factors are parameters without `.weight`, A with the vocabulary as columns."""
    embedding = {
        f"{PREFIX}model.embed_tokens.lora_embedding_A": tensor(2, 11),
        f"{PREFIX}model.embed_tokens.lora_embedding_B": tensor(6, 2),
    }
    [pair] = read(embedding, target_modules=["embed_tokens"]).pairs
    assert ("embedding", (2, 11), (6, 2)) == (pair.kind, pair.a.shape, pair.b.shape)


@pytest.mark.parametrize("suffix", ["lora_magnitude_vector", "lora_magnitude_vector.weight"])
def test_doras_magnitude_belongs_to_its_pair(read: Callable[..., Adapter], suffix: str) -> None:
    """As PEFT saves it and as it names it in memory; without use_dora PEFT has no place for it."""
    tensors = {**factors(), f"{PREFIX}{ATTENTION}.{suffix}": tensor(6)}
    [pair] = read(tensors, use_dora=True).pairs
    assert pair.magnitude is not None
    assert (6,) == pair.magnitude.shape
    adapter = read(tensors)
    assert [f"{PREFIX}{ATTENTION}.{suffix}"] == [unread.key for unread in adapter.unread]
    assert [None] == [pair.magnitude for pair in adapter.pairs]


def test_the_bias_of_lora_b_belongs_to_its_pair(read: Callable[..., Adapter]) -> None:
    """With lora_bias; without it PEFT has no place for it."""
    tensors = {**factors(), f"{PREFIX}{ATTENTION}.lora_B.bias": tensor(6)}
    [pair] = read(tensors, lora_bias=True).pairs
    assert pair.bias is not None
    assert [("adapter_key_unmatched", "error")] == kinds(read(tensors))


@pytest.mark.parametrize(
    ("changes", "rank", "alpha", "scaling"),
    [
        ({}, 2, 8, 4),
        ({"use_rslora": True}, 2, 8, 8 / math.sqrt(2)),
        ({"r": 5, "rank_pattern": {"q_proj": 2}}, 2, 8, 4),
        ({"r": 5, "rank_pattern": {"k_proj": 7, r".*\.self_attn\..*": 2}}, 2, 8, 4),
        ({"alpha_pattern": {"layers.0.self_attn.q_proj": 3}}, 2, 3, 1.5),
        ({"alpha_pattern": {"self_attn.q_proj": 2.5}, "use_rslora": True}, 2, 2.5, 2.5 / math.sqrt(2)),
        ({"alpha_pattern": {"proj": 3}}, 2, 8, 4),
        ({"alpha_pattern": {ATTENTION: 3}}, 2, 3, 1.5),
        ({"lora_alpha": -1}, 2, -1, -0.5),
        ({"lora_alpha": ...}, 2, 8, 4),
    ],
)
def test_scaling_is_what_peft_makes_of_patterns(
    read: Callable[..., Adapter], changes: dict[str, Any], rank: int, alpha: float, scaling: float
) -> None:
    """A pattern is an expression for the end of a path that begins at a dot."""
    [pair] = read(**changes).pairs
    assert (rank, alpha, scaling) == (pair.rank, pair.alpha, pair.scaling)


def test_of_several_patterns_the_first_counts_and_it_is_said(read: Callable[..., Adapter]) -> None:
    """PEFT saves patterns sorted, so that another may have been first in training."""
    adapter = read(alpha_pattern={"layers.0.*q_proj": 7, "q_proj": 3})
    assert [7.0] == [pair.alpha for pair in adapter.pairs]
    assert [("config_mismatch", "warning")] == kinds(adapter)
    with pytest.raises(ArtifactError, match="Several patterns match this module"):
        read(rank_pattern={"layers.0.*q_proj": 7, "q_proj": 2})


def fused(num_experts: int, *, gate_up: int = 2, down: int = 2) -> Tensors:
    """Both parameters of a layer's experts, as PEFT 0.19 saves them: gate_up innermost."""
    return {
        **factors(f"{EXPERTS}.base_layer", rank=num_experts * gate_up, rows=14, columns=5),
        **factors(EXPERTS, rank=num_experts * down, rows=5, columns=7),
    }


@pytest.mark.parametrize(
    ("tensors", "changes", "expected"),
    [
        (fused(4), {}, {0: ("down_proj", 2, 4.0), 1: ("gate_up_proj", 2, 4.0)}),
        (
            fused(4),
            {"target_parameters": GATE_UP_AND_DOWN[::-1]},
            {0: ("down_proj", 2, 4.0), 1: ("gate_up_proj", 2, 4.0)},
        ),
        (
            fused(4),
            {"target_parameters": ["down_proj", "gate_up_proj"]},
            {0: ("down_proj", 2, 4.0), 1: ("gate_up_proj", 2, 4.0)},
        ),
        (
            fused(4, gate_up=3),
            {"rank_pattern": {"experts.gate_up_proj": 3}, "use_rslora": True},
            {0: ("down_proj", 2, 8 / math.sqrt(2)), 1: ("gate_up_proj", 3, 8 / math.sqrt(3))},
        ),
        (
            fused(4, gate_up=4),
            {"rank_pattern": {r".*\.gate_up_proj": 4}, "alpha_pattern": {r".*\.gate_up_proj": 16}},
            {0: ("down_proj", 2, 4.0), 1: ("gate_up_proj", 4, 4.0)},
        ),
        (
            factors(EXPERTS, rank=8, rows=14, columns=5),
            {"target_parameters": GATE_UP_AND_DOWN[:1]},
            {0: ("gate_up_proj", 2, 4.0)},
        ),
    ],
    ids=["both", "in another order", "by bare names", "patterns", "fused by PEFT itself", "one alone"],
)
def test_fused_experts_are_told_apart_by_depth(
    read: Callable[..., Adapter], tensors: Tensors, changes: dict[str, Any], expected: dict[int, tuple[str, int, float]]
) -> None:
    """PEFT wraps the module once for each parameter, in the module's order, and looks patterns up by the parameter."""
    adapter = read(tensors, **{"target_parameters": GATE_UP_AND_DOWN, **changes})
    assert {EXPERTS} == {pair.module for pair in adapter.pairs}
    assert expected == {pair.depth: (pair.parameter, pair.rank, pair.scaling) for pair in adapter.pairs}
    assert () == adapter.findings


@pytest.mark.parametrize("targets", [None, "all-linear"])
def test_fused_experts_that_no_parameter_is_named_for_are_dropped(
    read: Callable[..., Adapter], targets: str | None
) -> None:
    """Whatever the targets of modules stand for: PEFT wraps parameters by their names alone. Attention is read."""
    adapter = read({**factors(), **fused(4)}, target_modules=targets, target_parameters=None)
    assert [ATTENTION] == [pair.module for pair in adapter.pairs]
    assert fused(4).keys() == {unread.key for unread in adapter.unread}
    unmatched = {finding.tensor for finding in adapter.findings if finding.kind == "adapter_key_unmatched"}
    assert fused(4).keys() == unmatched


def test_experts_one_by_one_are_ordinary_modules(read: Callable[..., Adapter]) -> None:
    """As transformers 4 has them."""
    path = f"{EXPERTS}.3.gate_proj"
    [pair] = read(factors(path), target_modules=["gate_proj"]).pairs
    assert (path, 0, "") == (pair.module, pair.depth, pair.parameter)
    with pytest.raises(ArtifactError, match="expected rank 2 as"):
        read(factors(path, rank=4), target_modules=["gate_proj"])


@pytest.mark.parametrize("depth", [0, 1])
def test_a_parameter_without_factors_is_found(read: Callable[..., Adapter], depth: int) -> None:
    """The configuration names two, so that PEFT leaves the other as it was."""
    tensors = factors(EXPERTS + depth * ".base_layer", rank=8)
    adapter = read(tensors, target_parameters=GATE_UP_AND_DOWN)
    assert [("adapter_incomplete", "error")] == kinds(adapter)
    assert [("gate_up_proj" if depth else "down_proj")] == [pair.parameter for pair in adapter.pairs]


def test_one_wrapping_too_many_is_dropped(read: Callable[..., Adapter]) -> None:
    """PEFT wraps as often as there are parameters."""
    adapter = read(
        {**fused(4), **factors(f"{EXPERTS}.base_layer.base_layer", rank=8)}, target_parameters=GATE_UP_AND_DOWN
    )
    assert 2 == len(adapter.pairs) == len(adapter.unread)
    assert all("wraps this module 2 times" in unread.reason for unread in adapter.unread)


def test_parameters_in_an_unknown_order_need_one_rank(read: Callable[..., Adapter]) -> None:
    """Which of them is innermost is the model's matter; where it decides nothing, nothing is claimed."""
    names = ["experts.w1", "experts.w2"]
    tensors = {**factors(EXPERTS, rank=8), **factors(f"{EXPERTS}.base_layer", rank=8)}
    assert [""] * 2 == [pair.parameter for pair in read(tensors, target_parameters=names).pairs]
    with pytest.raises(ArtifactError, match="cannot tell which parameter"):
        read(tensors, target_parameters=names, alpha_pattern={"w1": 4})


@pytest.mark.parametrize(
    "changes",
    [
        {"init_lora_weights": "pissa_niter_4"},
        {"use_qalora": True},
        {"alora_invocation_tokens": [1]},
        {"layer_replication": [[0, 2]]},
        {"trainable_token_indices": [3]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_variants_that_are_not_told_here_are_named(read: Callable[..., Adapter], changes: dict[str, Any]) -> None:
    """Their factors are not all that a merge holds, so that no verdict may rest on them."""
    adapter = read(**changes)
    assert [("adapter_unsupported", "error")] == kinds(adapter)
    assert adapter.findings[0].message.startswith(next(iter(changes)))


REFUSED: list[tuple[Tensors, dict[str, Any], str]] = [
    ({}, {}, "holds no tensor"),
    (dict(list(factors().items())[:1]), {}, "its lora_B is missing"),
    (dict(list(factors().items())[1:]), {}, "its lora_A is missing"),
    (factors(), {"use_dora": True}, "its magnitude is missing"),
    (factors(), {"lora_bias": True}, "its bias is missing"),
    (factors(rank=3), {}, "expected rank 2 as the configuration says for it"),
    (fused(4, down=3), {"target_parameters": GATE_UP_AND_DOWN, "r": 5}, "expected rank 5, or a multiple of it,"),
    ({**factors(), f"{PREFIX}{ATTENTION}.lora_B.weight": tensor(6, 3)}, {}, "expected 2 columns"),
    ({**factors(), f"{PREFIX}{ATTENTION}.lora_A.weight": tensor(10)}, {}, "expected two axes"),
    ({**factors(), f"{PREFIX}{ATTENTION}.lora_A.weight": tensor(2, 0)}, {}, "neither of them empty"),
    ({**factors(), f"{PREFIX}{ATTENTION}.lora_A.weight": ("I32", np.ones((2, 5)))}, {}, "factors of this dtype"),
    ({**factors(), f"{PREFIX}{ATTENTION}.lora_embedding_A": tensor(2, 5)}, {}, "of an embedding and of a Linear"),
    (
        {**factors(), f"{PREFIX}{ATTENTION}.lora_magnitude_vector": tensor(5)},
        {"use_dora": True},
        "as lora_B has rows",
    ),
    ({**factors(), **factors(prefix=PREFIX * 2)}, {}, "two tensors mean the same"),
    ({f"{PREFIX}{'a.' * 300}q_proj.lora_A.weight": tensor(2, 5)}, {}, "not the name of a tensor"),
    ({f"{PREFIX}q_proj\x1b[2J.lora_A.weight": tensor(2, 5)}, {}, "not the name of a tensor"),
    (factors(), {"target_modules": "(q_proj"}, "is no regular expression"),
    (factors(), {"rank_pattern": {"q_proj[": 2}}, "is no regular expression"),
    (factors(), {"modules_to_save": ["lm_head("]}, "is no regular expression"),
]


@pytest.mark.parametrize(("tensors", "changes", "message"), REFUSED, ids=[row[-1] for row in REFUSED])
def test_what_contradicts_itself_is_refused(
    read: Callable[..., Adapter], tensors: Tensors, changes: dict[str, Any], message: str
) -> None:
    """With one line that names the file, and the exit code of unreadable input."""
    with pytest.raises(ArtifactError) as caught:
        read(tensors, **changes)
    assert message in str(caught.value)
    assert "adapter" in str(caught.value.where)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert ExitCode.USAGE == caught.value.exit_code


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter_model.pt", "pytorch_lora_weights.ckpt"])
def test_pickles_are_never_loaded(tmp_path: Path, name: str) -> None:
    """Alone they are refused with the way out; beside safetensors they are not touched."""
    directory = write_adapter(tmp_path)
    (directory / name).write_bytes(b"cos\nsystem\n")
    assert 1 == len(read_adapter(directory).pairs)
    (directory / "adapter_model.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"a pickle, which may run any program.*safe_serialization=True"):
        read_adapter(directory)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """No configuration, no weights, or adapters in folders of their names."""
    with pytest.raises(ArtifactError, match="is not there"):
        read_adapter(tmp_path / "nowhere")
    write_adapter(tmp_path / "second")
    with pytest.raises(ArtifactError, match="Give the folder of one adapter: 'second'"):
        read_adapter(tmp_path)
    (tmp_path / "second" / "adapter_model.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"no adapter_model\.safetensors"):
        read_adapter(tmp_path / "second")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_links_out_of_the_directory_are_refused(tmp_path: Path, name: str) -> None:
    """Links within it are not, nor those of the hub's cache, whose snapshots hold nothing else."""
    outside = write_adapter(tmp_path / "outside")
    inside = write_adapter(tmp_path / "inside")
    (inside / name).rename(inside / "kept")
    (inside / name).symlink_to("kept")
    assert 1 == len(read_adapter(inside).pairs)
    (inside / name).unlink()
    (inside / name).symlink_to(outside / name)
    with pytest.raises(ArtifactError, match="leads out of"):
        read_adapter(inside)
    snapshot = write_adapter(tmp_path / "models--tiny" / "snapshots" / "abc")
    (tmp_path / "models--tiny" / "blobs").mkdir()
    (snapshot / name).rename(tmp_path / "models--tiny" / "blobs" / "d1")
    (snapshot / name).symlink_to("../../blobs/d1")
    assert 1 == len(read_adapter(snapshot).pairs)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_only_regular_files_are_opened(tmp_path: Path, name: str) -> None:
    """A pipe would wait for ever, and a link may lead to nothing or to itself."""
    directory = write_adapter(tmp_path)
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink(name, path), lambda path: os.symlink("nothing", path)):
        (directory / name).unlink() if not (directory / name).is_dir() else (directory / name).rmdir()
        make(directory / name)  # type: ignore[no-untyped-call]
        with pytest.raises(ArtifactError):
            read_adapter(directory)


def test_records_survive_as_json(read: Callable[..., Adapter]) -> None:
    """What is found can be reported."""
    adapter = read(renamed(lambda key: key.removeprefix(PREFIX)))
    assert json.dumps([[each.tensor, each.message, each.layer] for each in adapter.findings], allow_nan=False)
