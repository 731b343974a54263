"""What both stacks compute: models as configuration overrides of a family, and what is recorded of each.

Read by both sides, so it imports neither torch nor jax. Knows nothing of how anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Record = Literal["forward", "generation", "training", "adapters"]

SEED = 1
"""Of every base checkpoint (tensors of one name and shape are equal in all), of the tokens and of the adapters."""
FAMILIES = ("qwen3", "qwen3_moe", "llama", "glm4_moe", "deepseek_v3")
GROUPED = ("glm4_moe", "deepseek_v3")
"""Families whose router chooses groups of experts first."""
THETA = 300.0
"""The rope_theta of every family."""
PARTIAL = 0.75
"""The partial_rotary_factor of glm4_moe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One tiny model, and what is recorded of it."""

    name: str
    family: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of the family's configuration, in all spellings that it has; a field that it has not is added."""
    absent: tuple[str, ...] = ()
    """Fields that config.json does not have. The weights are those of the value that `config` or the family says."""
    dense_layers: tuple[int, ...] = ()
    """Layers of qwen3_moe with a plain MLP: what `config` means by mlp_only_layers and decoder_sparse_step."""
    records: tuple[Record, ...] = ("forward",)
    adapt: tuple[str, ...] = ()
    """Words of the family's `adaptable`, for training and adapters."""
    adapter_seed: int = SEED
    """Of the adapter that is trained."""
    unlike: str = ""
    """A scenario with the same weights under the same names and shapes, and other logits: the field is honoured."""
    like: str = ""
    """A scenario with the same weights and the same logits: another spelling, or a field that is not honoured."""


def _rope(family: str, old: bool = False, **rope: Any) -> dict[str, Any]:
    """A rotary scaling as transformers 5 spells it, or (`old`) as a rope_scaling beside rope_theta."""
    if old:
        # Published checkpoints of transformers 4 say "type".
        return {"rope_scaling": {"type": rope.pop("rope_type"), **rope}}
    if family == "glm4_moe":
        rope["partial_rotary_factor"] = PARTIAL
    return {"rope_parameters": {"rope_theta": THETA, **rope}}


LINEAR: Mapping[str, Any] = {"rope_type": "linear", "factor": 2.5}
LLAMA3: Mapping[str, Any] = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 3.0,
    "original_max_position_embeddings": 32,
}
YARN: Mapping[str, Any] = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
SCALINGS: Mapping[str, Mapping[str, Any]] = {
    "linear": LINEAR,
    "llama3": LLAMA3,
    "yarn": YARN,
    "yarn_attention_factor": {**YARN, "attention_factor": 1.3},
    "yarn_mscale": {**YARN, "mscale": 0.7, "mscale_all_dim": 1.4},
    "yarn_mscale_alone": {**YARN, "mscale": 0.7},
    "yarn_betas": {**YARN, "beta_fast": 2.0, "beta_slow": 0.25},
    "yarn_untruncated": {**YARN, "beta_fast": 2.0, "beta_slow": 0.25, "truncate": False},
}
NEAREST: Mapping[str, str] = {
    "yarn_attention_factor": "yarn",
    "yarn_mscale": "yarn",
    "yarn_betas": "yarn",
    "yarn_untruncated": "yarn_betas",
    "gelu_pytorch_tanh": "gelu",
}
"""What a variation is compared with, where another one is nearer to it than the plain family."""
OLD_SPELLINGS = ("linear", "llama3", "yarn", "yarn_mscale")
"""The scalings that are asked for in the old spelling too."""
ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "relu")


def _plain() -> Iterator[Scenario]:
    """The families as they are."""
    own: Mapping[str, tuple[str, ...]] = {
        "qwen3": ("attention", "mlp"),
        "llama": ("attention", "mlp"),
        "qwen3_moe": ("attention", "experts"),
        "glm4_moe": ("attention", "experts"),
        "deepseek_v3": ("attention", "experts"),
    }
    for family in FAMILIES:
        records: tuple[Record, ...] = ("forward", "generation", "training")
        if family in ("qwen3", "qwen3_moe"):
            records = (*records, "adapters")
        # With seed 1, rounding decides between two experts on the way: qwen3_moe's twins then end a KL of 0.6 apart.
        seed = 2 if family == "qwen3_moe" else SEED
        yield Scenario(name=family, family=family, records=records, adapt=own[family], adapter_seed=seed)
    yield Scenario(
        name="qwen3-embedding_head",
        family="qwen3",
        records=("training",),
        adapt=("attention", "mlp", "embedding", "head"),
    )


def _everywhere() -> Iterator[Scenario]:
    """Fields that every family honours."""
    for family in FAMILIES:
        changes: dict[str, Mapping[str, Any]] = {
            "no_attention_bias": {"attention_bias": False},
            "tied": {"tie_word_embeddings": True},
            "eps": {"rms_norm_eps": 3e-2},
        }
        changes |= {name: {"hidden_act": name} for name in ACTIVATIONS}
        for name, config in changes.items():
            yield Scenario(name=f"{family}-{name}", family=family, config=config, unlike=_nearest(family, name))
        if family != "deepseek_v3":
            # Latent attention has as many key and value heads as heads, and its heads have a size of their own.
            yield Scenario(name=f"{family}-every_head_its_own", family=family, config={"num_key_value_heads": 4})
            # Qwen3's default is not hidden_size / num_attention_heads.
            head_dim = 128 if family == "qwen3" else 12
            yield Scenario(
                name=f"{family}-no_head_dim", family=family, config={"head_dim": head_dim}, absent=("head_dim",)
            )


def _rotary() -> Iterator[Scenario]:
    """Rotary embeddings: no scaling, and each scaling, in the spellings of transformers 5 and 4."""
    for family in FAMILIES:
        one = ("rope_parameters",)
        other = ("rope_theta", "rope_scaling", "partial_rotary_factor")
        yield Scenario(name=f"{family}-rope_old_spelling", family=family, absent=one, like=family)
        yield Scenario(name=f"{family}-rope_new_spelling", family=family, absent=other, like=family)
        for name, scaling in SCALINGS.items():
            new, config = f"{family}-{name}", _rope(family, **scaling)
            yield Scenario(
                name=new,
                family=family,
                config=config,
                absent=other,
                unlike=_nearest(family, name),
                like=f"{family}-yarn" if name == "yarn_mscale_alone" else "",  # one of the two means nothing
            )
            if name in OLD_SPELLINGS:
                old = _rope(family, old=True, **scaling)
                yield Scenario(name=f"{new}_old_spelling", family=family, config=old, absent=one, like=new)
    both = {**_rope("llama", old=True, **LINEAR), **_rope("llama", **LLAMA3)}
    # The old spelling wins where both are there.
    yield Scenario(name="llama-spellings_differ", family="llama", config=both, like="llama-linear")
    yield Scenario(
        name="llama-no_scaling",
        family="llama",
        config=_rope("llama", rope_type="default"),
        absent=("rope_scaling",),
        unlike="llama",
    )
    for factor in (0.5, 1.0):
        yield Scenario(
            name=f"glm4_moe-partial_{factor}",
            family="glm4_moe",
            config={"partial_rotary_factor": factor},
            unlike="glm4_moe",
        )
    yield Scenario(
        name="glm4_moe-no_partial",
        family="glm4_moe",
        config={"rope_parameters": {"rope_type": "default", "rope_theta": THETA}},
        absent=("partial_rotary_factor",),
        like="glm4_moe-partial_0.5",
    )
    yield Scenario(
        name="deepseek_v3-interleaved", family="deepseek_v3", config={"rope_interleave": True}, unlike="deepseek_v3"
    )
    yield Scenario(
        name="deepseek_v3-interleaved_yarn",
        family="deepseek_v3",
        config={"rope_interleave": True, **_rope("deepseek_v3", **SCALINGS["yarn_mscale"])},
        absent=("rope_theta",),
        unlike="deepseek_v3-yarn_mscale",
    )
    yield Scenario(
        name="deepseek_v3-no_interleave",
        family="deepseek_v3",
        absent=("rope_interleave",),
        like="deepseek_v3-interleaved",
    )


def _nearest(family: str, name: str) -> str:
    return f"{family}-{NEAREST[name]}" if name in NEAREST else family


def _windows() -> Iterator[Scenario]:
    """Sliding windows: by layer in qwen3, in all layers of qwen3_moe."""
    for family in ("qwen3", "qwen3_moe"):
        no_window = {"use_sliding_window": False}
        yield Scenario(name=f"{family}-no_window", family=family, config=no_window, unlike=family)
        yield Scenario(name=f"{family}-window_4", family=family, config={"sliding_window": 4}, unlike=family)
    four = {"num_hidden_layers": 4, "sliding_window": 5}
    all_slide = {**four, "max_window_layers": 0}
    yield Scenario(
        name="qwen3-window_everywhere",
        family="qwen3",
        config=all_slide,
        records=("forward", "generation"),
        unlike="qwen3-window_above_2",
    )
    yield Scenario(
        name="qwen3-window_above_2",
        family="qwen3",
        config={**four, "max_window_layers": 2},
        records=("forward", "generation"),
    )
    yield Scenario(
        name="qwen3-layer_types",
        family="qwen3",
        config={**all_slide, "layer_types": ["sliding_attention", "full_attention"] * 2},
        unlike="qwen3-window_everywhere",
    )
    yield Scenario(
        name="qwen3_moe-max_window_layers", family="qwen3_moe", config={"max_window_layers": 1}, like="qwen3_moe"
    )


def _experts() -> Iterator[Scenario]:
    """Which layers have experts, how many are shared, and how tokens are routed."""
    yield Scenario(
        name="qwen3_moe-raw_weights", family="qwen3_moe", config={"norm_topk_prob": False}, unlike="qwen3_moe"
    )
    yield Scenario(name="qwen3_moe-three_experts", family="qwen3_moe", config={"num_experts_per_tok": 3})
    four = {"num_hidden_layers": 4}
    yield Scenario(
        name="qwen3_moe-mlp_only_layers",
        family="qwen3_moe",
        config={**four, "mlp_only_layers": [0, 2]},
        dense_layers=(0, 2),
    )
    yield Scenario(
        name="qwen3_moe-sparse_step",
        family="qwen3_moe",
        config={**four, "decoder_sparse_step": 2},
        dense_layers=(0, 2),
        like="qwen3_moe-mlp_only_layers",
    )
    yield Scenario(
        name="qwen3_moe-dense_both_ways",
        family="qwen3_moe",
        config={"num_hidden_layers": 5, "decoder_sparse_step": 2, "mlp_only_layers": [3]},
        dense_layers=(0, 2, 3, 4),
    )
    for family in GROUPED:
        changes: dict[str, Mapping[str, Any]] = {
            "normed_weights": {"norm_topk_prob": True},
            "scaling_1": {"routed_scaling_factor": 1.0},
            "one_group": {"n_group": 1, "topk_group": 1},
            "two_groups": {"n_group": 2, "topk_group": 1},
            "three_experts": {"num_experts_per_tok": 3},
        }
        for name, config in changes.items():
            yield Scenario(name=f"{family}-{name}", family=family, config=config, unlike=family)
        yield Scenario(name=f"{family}-one_shared", family=family, config={"n_shared_experts": 1})
        yield Scenario(name=f"{family}-four_shared", family=family, config={"n_shared_experts": 4})
        for layers in (0, 1) if family == "glm4_moe" else (0, 2):  # the plain families have the third
            yield Scenario(name=f"{family}-dense_{layers}", family=family, config={"first_k_dense_replace": layers})


def _own() -> Iterator[Scenario]:
    """What one family alone has."""
    yield Scenario(name="llama-no_mlp_bias", family="llama", config={"mlp_bias": False}, unlike="llama")
    yield Scenario(name="glm4_moe-no_qk_norm", family="glm4_moe", config={"use_qk_norm": False}, unlike="glm4_moe")
    yield Scenario(
        name="deepseek_v3-no_q_lora", family="deepseek_v3", config={"q_lora_rank": None}, unlike="deepseek_v3"
    )


def _table() -> dict[str, Scenario]:
    table: dict[str, Scenario] = {}
    for kind in (_plain, _everywhere, _rotary, _windows, _experts, _own):
        for scenario in kind():
            assert scenario.name not in table, scenario.name
            table[scenario.name] = scenario
    return table


SCENARIOS: Mapping[str, Scenario] = _table()
"""Every scenario by its name."""


def recording(record: Record) -> tuple[str, ...]:
    """The names of the scenarios of which `record` is recorded."""
    return tuple(name for name, scenario in SCENARIOS.items() if record in scenario.records)
