"""A row of the catalogue, the verdicts that kinds lead to by the contract, and the merges that rows are planted in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from harness.verify.report import Verdict
from tests.verify.planted.adapters import ATTENTION, MLP, Recipe
from tests.verify.planted.merging import Dtype
from tests.verify.planted.of_deltas import Change, everywhere
from tests.verify.planted.planting import Plant, Scope, Setup
from tests.verify.planted.storing import Shape

LEADS_TO: dict[Verdict, tuple[str, ...]] = {
    Verdict.WRONG_VALUES: (
        "delta_wrong_values", "delta_wrong_scale", "delta_wrong_sign", "delta_applied_twice", "experts_permuted",
        "gate_up_swapped", "passthrough_changed", "delta_unexplained", "non_finite", "shape_mismatch",
        "tensor_duplicated",
    ),
    Verdict.WRONG_LAYOUT: ("delta_wrong_packing", "delta_wrong_layout"),
    Verdict.PARTIAL: ("delta_missing", "modules_to_save_lost", "adapter_key_unmatched", "adapter_incomplete"),
    Verdict.LOST_TO_ROUNDING: ("lost_to_rounding",),
    Verdict.INCOMPLETE: (
        "tensor_missing", "tensor_unexpected", "dtype_changed", "tied_weights_broken", "config_mismatch",
        "generation_config_missing", "generation_config_changed", "tokenizer_changed", "index_mismatch",
    ),
    Verdict.INCONCLUSIVE: (
        "ambiguous_layout", "quantised_weights", "family_unknown", "adapter_unsupported", "b_all_zero",
    ),
}  # fmt: skip
"""As the contract has it, gravest first; what else decides is said in the row."""
BOTH: tuple[Dtype, ...] = ("F32", "BF16")
ALL: tuple[Dtype, ...] = ("F32", "BF16", "F16")
SHARDS = Shape(shard_bytes=60_000)

MOE = Setup()
SWAPPED = Setup(recipe=Recipe(style="swapped", rank=2, relative=0.05))
APART = Setup(model="mixtral", recipe=Recipe(style="per_expert", relative=0.3))
FUSED = Setup(model="mixtral", base=Shape(fused=True), merged=Shape(fused=True))
GPT_OSS = Setup(model="gpt_oss", recipe=Recipe(style="swapped"))
ROUTED = Setup(model="deepseek_v3", recipe=Recipe(targets=("q_b_proj", "o_proj", *MLP), relative=0.02))
DENSE = Setup(model="qwen3", recipe=Recipe(style="none", targets=(*ATTENTION, *MLP)))
TIED = Setup(model="qwen3-tied", recipe=Recipe(style="none", targets=(*ATTENTION, *MLP)))
SQUARE = Setup(model="qwen3_moe-square", recipe=Recipe(parameters=("gate_up_proj",)))
SQUARER = Setup(model="qwen3_moe-squarer", recipe=Recipe(parameters=("down_proj",)))
SQUARE_LINEAR = Setup(model="qwen3-square", recipe=Recipe(style="none", targets=("q_proj", "o_proj")))
CROWD = Setup(model="qwen3_moe-crowd", recipe=Recipe(rank=2))
LONELY = Setup(model="qwen3_moe-lonely")
SHARDED = Setup(base=SHARDS, merged=SHARDS)


def leads_to(kinds: str) -> Verdict:
    """The gravest verdict that errors of these kinds lead to; CONTAINS if there are none."""
    verdicts = (verdict for verdict, leading in LEADS_TO.items() if set(leading) & set(kinds.split()))
    return next(verdicts, Verdict.CONTAINS)


class Damage(NamedTuple):
    """One kind of damage, in one place, in one merge."""

    name: str
    plant: Plant
    kinds: str
    """Of the findings that are errors, with spaces between them."""
    setup: Setup = MOE
    dtypes: tuple[Dtype, ...] = BOTH
    verdict: Verdict | None = None
    """Where it is not the gravest that the kinds lead to."""
    num_draws: int = 1
    """Places that are tried, where not every place shows the damage as plainly."""

    @property
    def expected(self) -> Verdict:
        """What must be said."""
        return self.verdict or leads_to(self.kinds)


def varied(setup: Setup, **changes: object) -> Setup:
    """The same merge of an adapter that is configured otherwise."""
    return replace(setup, recipe=replace(setup.recipe, **changes))  # type: ignore[arg-type]


def by_scope(
    name: str,
    change: Change,
    kinds: str,
    scopes: Iterable[Scope],
    setup: Setup = MOE,
    dtypes: tuple[Dtype, ...] = BOTH,
    verdict: Verdict | None = None,
    num_draws: int = 1,
) -> Iterator[Damage]:
    """One change of deltas in places small and large, of which a small one is drawn `num_draws` times."""
    for scope in scopes:
        draws = num_draws if scope in ("one", "linear") else 1
        yield Damage(f"{name}: {scope}", everywhere(scope, change), kinds, setup, dtypes, verdict, draws)
