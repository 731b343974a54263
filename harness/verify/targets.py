"""Which weights a pair of LoRA factors is for: from the module that PEFT wrapped to sites of a checkpoint.

Owns what PEFT's wrapping says. `_inject_parameters` (peft/tuners/tuners_utils.py, 0.18.1 to 0.21.2) walks
`named_modules()` and, in each, `named_parameters(recurse=False)`: it wraps a parameter whose full name is in
`target_parameters` or ends with `.` and one of them, around what stands there by then. So the order of the module's
parameters decides, not that of `target_parameters` (a set, sorted): the first adapted parameter is innermost
(`experts.base_layer.lora_A` is gate_up_proj), the last outermost (`experts.lora_A` is down_proj), and one that is
adapted alone is outermost, whichever it is. `ParamWrapper` (peft/tuners/lora/layer.py) takes a parameter of three axes
for experts, and one of two for a Linear's weight. Reads no numbers, and does not say how experts' factors are packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.verify.families import ExpertRules, FamilyRules, FusedRule, Orientation, Part, spell
from harness.verify.places import WEIGHT, Layout, canonical_name, expert_name, part_rows
from harness.verify.records import FactorPair


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one pair of factors adapts, and how its sites lie in that parameter in memory."""

    parameter: str
    """Its path as the adapter's module has it: `model.layers.3.mlp.experts.gate_up_proj`."""
    sites: tuple[str, ...]
    """Names; of fused experts all parts of the first, then all of the second, and so on."""
    shape: tuple[int, int]
    """Rows and columns of the parameter in memory; for fused experts, of one of them."""
    orientation: Orientation
    """`out_in`: the shape is B·A's. `in_out`: it is that of its transpose, as of embeddings and some fused experts."""
    num_experts: int | None = None
    """None: not fused, one site that is the parameter itself."""
    parts: tuple[Part, ...] = ()
    rows: tuple[slice, ...] = ()
    """Of each part, on the output axis of one expert's matrix."""
    is_transposed: bool = False
    """PEFT 0.19 and later does not swap the factors' axes on transformers 5, because the module says so of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A pair of factors belongs to nothing in this checkpoint."""

    reason: str
    missing: str = ""
    """The site that it would adapt, if that is what the checkpoint lacks: a tied head, for one."""


def target_of(
    rules: FamilyRules, layout: Layout, pair: FactorPair, target_parameters: Sequence[str]
) -> Target | Unplaced:
    """What `pair` adapts in the checkpoint of `layout`, which is base: as PEFT would have it."""
    found = _of_experts(rules, layout, pair, target_parameters) or _of_module(rules, layout, pair)
    return (_misfit(found, pair) or found) if isinstance(found, Target) else found


def _of_module(rules: FamilyRules, layout: Layout, pair: FactorPair) -> Target | Unplaced:
    if pair.depth:
        return Unplaced(reason=f"{pair.depth + 1} parameters of one module are adapted, for which there is no rule")
    orientation: Orientation = "in_out" if pair.kind == "embedding" else "out_in"
    parameter = f"{pair.module}{WEIGHT}"
    return _itself(layout, parameter, canonical_name(rules, parameter), orientation)


def _itself(layout: Layout, parameter: str, name: str, orientation: Orientation = "out_in") -> Target | Unplaced:
    """The target that is one site as it is."""
    place = layout.places.get(name)
    if place is None:
        return _missing(name)
    if len(place.shape) != 2:
        return Unplaced(reason=f"{name} has {len(place.shape)} axes, and no rule says that it is fused experts")
    rows, columns = place.shape
    return Target(parameter=parameter, sites=(name,), shape=(rows, columns), orientation=orientation)


def _of_experts(
    rules: FamilyRules, layout: Layout, pair: FactorPair, target_parameters: Sequence[str]
) -> Target | Unplaced | None:
    """The target if the module holds experts' parameters in memory; None if it does not."""
    experts = rules.experts
    held = [] if experts is None else _held(rules, experts, pair.module)
    if experts is None or not held:
        return None
    found = [(path, _of_parameter(rules, experts, layout, path, fused)) for path, fused in held]
    adapted = [target for path, target in found if is_named(path, target_parameters)]
    if adapted:
        if pair.depth < len(adapted):
            return adapted[-1 - pair.depth]
        named = f"target_parameters names {len(adapted)}"
        return Unplaced(reason=f"{pair.depth + 1} parameters of {pair.module} are adapted, and {named}")
    # A configuration that does not say: the shapes do, for those of gate_up and of down are never each other's.
    reason = Unplaced(reason=f"{_shapes(pair)} are for no parameter of {pair.module}, of which none is named either")
    for _, target in found:
        if isinstance(target, Unplaced):
            reason = target
        elif not _misfit(target, pair):
            return target
    return reason


def is_named(parameter: str, target_parameters: Sequence[str]) -> bool:
    """Whether PEFT takes the parameter at this path for one of these."""
    return any(parameter == named or parameter.endswith(f".{named}") for named in target_parameters)


def _held(rules: FamilyRules, experts: ExpertRules, module: str) -> list[tuple[str, FusedRule]]:
    """What a module holds of fused experts, in its order: the parameter's path, and its rule."""
    paths = ((f"{module}.{name.rpartition('.')[2]}", name, fused) for fused in experts.fused for name in fused.names)
    return [(path, fused) for path, name, fused in paths if spell(rules, path).rest == name]


def _of_parameter(
    rules: FamilyRules, experts: ExpertRules, layout: Layout, parameter: str, fused: FusedRule
) -> Target | Unplaced:
    if not fused.parts:
        return _itself(layout, parameter, canonical_name(rules, parameter))
    head = spell(rules, parameter).head
    num_experts = layout.num_experts.get(head, 1)  # where there are none, the first is what is missing
    names, shapes = [], set()
    # One at a time: a file may name its experts by any number, and the first that is missing ends this.
    for name in (expert_name(experts, head, expert, part) for expert in range(num_experts) for part in fused.parts):
        if name not in layout.places:
            return _missing(name)
        names.append(name)
        shapes.add(layout.places[name].shape)
    if len(shapes) != 1:
        return Unplaced(reason=f"the experts that {parameter} joins are of {len(shapes)} shapes")
    [(rows, columns)] = shapes
    outputs = rows * len(fused.parts)
    return Target(
        parameter=parameter,
        sites=tuple(names),
        shape=(outputs, columns) if experts.orientation == "out_in" else (columns, outputs),
        orientation=experts.orientation,
        num_experts=num_experts,
        parts=fused.parts,
        rows=part_rows(experts, fused, outputs),
        is_transposed=experts.is_transposed,
    )


def _missing(name: str) -> Unplaced:
    return Unplaced(reason=f"the checkpoint has no {name}", missing=name)


def _misfit(target: Target, pair: FactorPair) -> Unplaced | None:
    """Why the factors' shapes cannot be this target's; for experts, either order of the axes will do."""
    a, b = pair.a.shape, pair.b.shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
        return Unplaced(reason=f"{_shapes(pair)} cannot be multiplied")
    made = (b[0], a[1])
    if target.num_experts is None:
        fits = target.shape == (made if target.orientation == "out_in" else made[::-1])
    else:
        fits = target.shape in (made, made[::-1]) and a[0] % target.num_experts == 0
    size = f"{target.shape}" if target.num_experts is None else f"{target.num_experts} times {target.shape}"
    return None if fits else Unplaced(reason=f"{_shapes(pair)} are not for {target.parameter}, which is {size}")


def _shapes(pair: FactorPair) -> str:
    return f"lora_A {pair.a.shape} and lora_B {pair.b.shape}"
