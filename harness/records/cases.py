"""What people write under `cases/`: families, cases, cells. Read from TOML by `harness.planning`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Dtype = Literal["float32", "bfloat16"]
Form = Literal["lora", "merged"]
Trainer = Literal["loop", "trl"]
Recipe = Literal["explicit", "module_list", "module_regex", "naive", "all_linear"]
Stack = Literal["torch_peft", "jax_stacked"]
Dialect = Literal["", "standard", "swapped", "per_expert"]
"""A way to write the same adapter of experts: fused as PEFT 0.19 and later have it (standard), fused as PEFT 0.18 has
it (swapped), or a pair of factors an expert, as on transformers 4. Empty: the stack's own way."""

FORMS: tuple[Form, ...] = ("lora", "merged")
STACKS: tuple[Stack, ...] = ("torch_peft", "jax_stacked")
PRINCIPAL: Mapping[Stack, tuple[str, ...]] = {
    "torch_peft": ("transformers", "peft", "trl"),
    "jax_stacked": ("jax", "jaxlib", "flax", "optax"),
}
"""The packages that name a cell of each stack, in the order in which tables show them."""


def saved_as(form: str, dialect: str) -> str:
    """The form and its dialect in one word, as ids and reports have it: "merged", "lora", "lora-swapped"."""
    return f"{form}-{dialect}" if dialect else form


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRule:
    """One line of a family's tensor table: a canonical name, its shape and its role.

    Canonical names are those of the published checkpoints: per layer and per expert, so that no axis counts experts,
    with `{layer}` and `{expert}` as placeholders.
    """

    name: str
    shape: tuple[str | int, ...]
    """Each axis as a number or an expression of configuration fields, such as "num_attention_heads * head_dim"."""
    role: str
    """What it is: attention, experts.gate, experts.up, experts.down, mlp, shared, router, norm, embedding, head, …"""
    layers: str = ""
    """Which layers have it: a name of the family's `layer_sets`; empty for tensors outside the layers."""
    when: str = ""
    """A configuration field that must be true for the tensor to exist, such as `attention_bias`; empty for always."""
    init: Literal["normal", "norm", "bias", "log_positive"] = "normal"
    """How a base checkpoint fills it: `norm` around 1, `log_positive` with logarithms, the others around 0."""
    keep_float32: bool = False
    """True for what transformers keeps in float32 in every checkpoint, whatever the model's dtype."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedRule:
    """A 3D parameter, as transformers 5 holds a layer's experts: its canonical parts, stacked over experts.

    In memory `(E, sum of the parts' rows, columns)`: the parts are concatenated along their rows, in this order.
    """

    name: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A model architecture with its tiny configuration, as data: one TOML file under `cases/families/`."""

    name: str
    why: str
    architecture: str
    """The transformers class, such as `Qwen3MoeForCausalLM`."""
    config: Mapping[str, Any]
    """config.json as written in every base checkpoint, in spellings that every row reads."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The fields (dotted) that a loaded configuration must hold as declared, each with the other places (dotted) where
    it may hold them. A place that `config` fills too is a second spelling, and always has the same value."""
    experts: str = ""
    """The configuration field that counts a layer's routed experts; empty for dense families."""
    layer_sets: Mapping[str, tuple[int, ...] | str] = field(default_factory=dict)
    """Named sets of layer indices: indices, or "all", "from:N" for layers N and up, "until:N" for those below N (N is a
    number or a configuration field), "where:FIELD=VALUE" for those at which the list FIELD holds VALUE."""
    tensors: tuple[TensorRule, ...]
    fused: tuple[FusedRule, ...] = ()
    stored_prefixes: Mapping[str, str] = field(default_factory=dict)
    """Prefix that some version writes in checkpoints to the canonical one (Qwen3.5's text models are saved as a part of
    the vision-language model)."""
    adaptable: Mapping[str, tuple[str, ...]]
    """What a user may ask to adapt: a word (attention, experts, …) to the roles that it means."""
    requires: Mapping[str, str] = field(default_factory=dict)
    """Package to version specifier; a cell outside it reports the case as SKIPPED, with this reason. Concerns the cells
    of torch_peft only: another stack has none of these packages, and implements the family itself."""
    stacks: tuple[Stack, ...] = STACKS
    """The stacks that implement it. Not a skip: for the cells of others its cases do not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """The LoRA that a case trains: what should be adapted, and how a user asks for it."""

    adapt: tuple[str, ...]
    """Words of the family's `adaptable`: the coverage that is owed, whatever the recipe."""
    recipe: Recipe = "explicit"
    rank: int = 4
    alpha: int = 8
    rslora: bool = False
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, int] = field(default_factory=dict)
    modules_to_save: tuple[str, ...] = ()
    init: Literal["peft", "random"] = "peft"
    """`random` draws B from the seed, so that every expert has a delta before any token has reached it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSpec:
    """How the stack saves its merged checkpoint."""

    shard_bytes: int | None = None
    """Upper bound of a shard, for base and merged; None writes one file."""
    fused: bool = False
    """True keeps the 3D expert parameters on disk (`save_original_format=False`)."""
    config_spelling: Literal["own", "transformers_4"] = "own"
    """`transformers_4` renames `num_local_experts` to `num_experts` in the saved config.json, as a user would do by
    hand whose transformers 4 refuses the checkpoint of a transformers 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """family × dtype × adapter targets × rank × trainer × steps × seed: one thing to train, save and reload."""

    name: str
    why: str
    family: str
    dtype: Dtype
    trainer: Trainer
    adapter: AdapterSpec
    save: SaveSpec = field(default_factory=SaveSpec)
    config: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of the family's configuration."""
    steps: int = 30
    learning_rate: float = 2e-2
    seed: int = 1
    grid: bool = False
    """True: every cell reads what every other cell wrote. False: each cell reads its own (the diagonal)."""
    forms: tuple[Form, ...] = FORMS
    stacks: tuple[Stack, ...] = ("torch_peft",)
    """The stacks whose cells write it. Not a skip: elsewhere the case does not exist."""
    writers: Mapping[str, str] = field(default_factory=dict)
    """Package to specifier: which cells of torch_peft this case is written by. Not a skip, either."""
    cells: tuple[str, ...] = ()
    """Names of cells that write it; empty for all."""
    quick: bool = False
    """True: part of `run --quick`, the pull request's matrix."""
    full_count: bool = False
    """True: one of the rows of the README's table at the size of Qwen3-30B-A3B (48 layers × 128 experts)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row of `cases/matrix.toml`: an environment, as asked for."""

    name: str
    why: str
    stack: Stack
    requirements: Mapping[str, str]
    """Package to exact version, or to "newest": resolved when planned."""
    newest: bool = False
    """True for the row whose versions are the newest at the cut-off: there, a skip is a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """`cases/matrix.toml`: the rows, what all of them share, and what those of one stack share."""

    cutoff: str
    """Absolute date (RFC 3339): nothing published later enters the pinned rows. `newest` uses the day of the plan."""
    shared: Mapping[str, str]
    """Requirements of every row: package to specifier (may be empty)."""
    stacks: Mapping[str, Mapping[str, str]]
    """Requirements of every row of a stack, by the stack: package to specifier (may be empty)."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOutcome:
    """A declared break of an upstream: these routes end in this verdict, for this cause, until it is mended.

    `cases`, `writers`, `readers`, `forms` and `dialects` are explicit lists: the routes are their product. There are
    no wildcards.
    """

    name: str
    reason: str
    link: str
    expires: str
    """ISO date. A declaration past it counts as a failure until somebody looks again."""
    verdict: Literal["FAIL", "ERROR"]
    cause: str
    """The exact cause signature, as the report prints it."""
    cases: tuple[str, ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...] = ()
    """Empty for breaks that the writing alone shows (coverage, merge): then `forms` is empty too."""
    forms: tuple[Form, ...] = ()
    dialects: tuple[Dialect, ...] = ("",)
    """Of the form lora; what is merged has none."""
    diagonal: bool = False
    """True: each writer read by itself only, instead of the product of writers and readers (then empty)."""
