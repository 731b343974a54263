"""In which way the factors of fused experts are to be read, as far as an adapter says.

Two things that no tensor says: the layout (PEFT 0.18's or that of 0.19 and later) and the packing of lora_B. One PEFT
saved the whole adapter, so what the shapes of one parameter settle is settled for the others of its kind; only then
does the version count, which a configuration may have wrongly or not at all. unsloth_zoo marks how it packed since
2026.9.6; before, its own forward of a model that it had patched packed expert by expert, and said nothing. Reads no
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from packaging.version import InvalidVersion, Version

from harness.verify.factors import FusedLayout, Packing, Reading, possible_layouts
from harness.verify.records import AdapterConfig, FactorPair
from harness.verify.targets import Target

SWAPPING_SINCE = Version("0.19.0")
"""From this release of PEFT on, experts stored (E, out, in) have their factors in the order of a Linear's."""
MARKER, DETAILS = "lora_B_layout", "unsloth_fused_expert_lora"
PATCHED = "unsloth_fixed"
"""In `auto_mapping`: the model was one that Unsloth had patched, whose forward packed by expert until 2026.9.5."""


def stated_readings(
    config: AdapterConfig, jobs: Sequence[tuple[FactorPair, Target]]
) -> tuple[tuple[Reading, ...], ...]:
    """For each pair all readings that are left; more than one where nothing says which was trained."""
    settled: dict[tuple[str, bool], set[FusedLayout]] = {}
    for pair, target in jobs:
        layouts = possible_layouts(pair, target)
        if target.num_experts is not None and len(layouts) == 1:
            settled.setdefault(_kind(target), set()).update(layouts)
    return tuple(_readings(config, pair, target, settled.get(_kind(target), set())) for pair, target in jobs)


def _kind(target: Target) -> tuple[str, bool]:
    return target.orientation, target.is_transposed


def _readings(
    config: AdapterConfig, pair: FactorPair, target: Target, settled: set[FusedLayout]
) -> tuple[Reading, ...]:
    if target.num_experts is None:
        return (Reading(),)
    layouts = possible_layouts(pair, target)
    if len(layouts) > 1:
        layouts = tuple(settled) if len(settled) == 1 else _by_version(config, target)
    is_packed = pair.rank > 1 and target.num_experts > 1  # otherwise all packings are the same
    packings: tuple[Packing, ...] = _packings(config, target) if is_packed else ("rank_major",)
    return tuple(Reading(layout, packing) for packing in packings for layout in layouts)


def _by_version(config: AdapterConfig, target: Target) -> tuple[FusedLayout, ...]:
    try:
        version = Version(config.peft_version)
    except InvalidVersion:
        return get_args(FusedLayout)
    # A development version is of the release that it leads to.
    if Version(version.base_version) < SWAPPING_SINCE:
        return ("swapped",)
    if target.orientation == "out_in":
        return ("standard",)
    # 0.19 and later swaps unless the module says that it is transposed, which depends on transformers (targets.py).
    return ("swapped",) if target.is_transposed else get_args(FusedLayout)


def _packings(config: AdapterConfig, target: Target) -> tuple[Packing, ...]:
    auto_mapping = _table(config.raw.get("auto_mapping"))
    details = _table(_table(config.raw.get(DETAILS)).get("parameters"))
    name = target.parameter.rpartition(".")[2]
    for said in (_table(details.get(name)).get(MARKER), config.lora_b_layout, auto_mapping.get(MARKER)):
        if said in get_args(Packing):
            return (cast(Packing, said),)
    return ("rank_major", "grouped_by_expert") if auto_mapping.get(PATCHED) else ("rank_major",)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
