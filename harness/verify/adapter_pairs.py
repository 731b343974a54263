"""From the tensors of a module to its pair of factors, with rank and scaling as PEFT decides them.

Owns what PEFT would make of each: whether it creates a place for it, for which parameter, and of which shape. A pair
that contradicts itself or the configuration is an ArtifactError, for PEFT refuses it too; a pair that PEFT has no place
for is a stray. Reads no files and no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from harness.checkpoints.safetensors_file import TensorEntry
from harness.errors import ArtifactError
from harness.verify.adapter_keys import Part, StrayKey
from harness.verify.adapter_targets import PARAMETER_ORDER, Scale, by_modules, names_module, parameters_of, scales
from harness.verify.records import AdapterConfig, FactorPair, Finding

DTYPES = ("F32", "BF16", "F16", "F64")
EXPERTS = "experts"
"""The last part of the path of a module that holds all experts of a layer."""
LOOKUPS = ("embed_tokens", "tok_embeddings", "word_embeddings", "embed_in", "wte")
"""Modules that are a Linear in no model, and so have no lora_A and lora_B."""
_DROPPED = "PEFT has no place for it, and drops it without a word"


class Group(NamedTuple):
    """All tensors behind one path."""

    module: str
    depth: int
    entries: dict[Part, TensorEntry]

    @property
    def where(self) -> str:
        """The file, and one of the tensors."""
        entry = next(iter(self.entries.values()))
        return f"{entry.path}: {entry.name}"


class Stray(NamedTuple):
    """A tensor that is not read."""

    key: str
    why: StrayKey


class Meant(NamedTuple):
    """A group that PEFT has a place for."""

    group: Group
    parameter: str
    names: tuple[str, ...]
    """What patterns are matched against: one name, or several where it cannot be told which it is."""
    is_fused: bool
    """Whether its factors may hold several experts."""


class Paired(NamedTuple):
    """What became of all groups."""

    pairs: list[FactorPair]
    strays: list[Stray]
    findings: list[Finding]


def pair_up(groups: Iterable[Group], config: AdapterConfig, *, where: str) -> Paired:
    """The pairs of all groups. `where` names the configuration in errors, which are ArtifactErrors."""
    groups = list(groups)
    modules = list(dict.fromkeys(group.module for group in groups))
    targeted = by_modules(config, modules, where=where)
    meant: list[Meant] = []
    strays: list[Stray] = []
    for group in groups:
        found = _meant(group, config, targeted[group.module])
        if isinstance(found, str):
            strays += [Stray(entry.name, StrayKey(found)) for entry in group.entries.values()]
        else:
            meant.append(found)
            strays += _idle_parts(found, config)
    found_scales = scales(config, (name for each in meant for name in each.names), where=where)
    pairs = [_pair(each, _one_scale(each, found_scales), config) for each in meant]
    return Paired(pairs, strays, [*_incomplete(meant, config), *_contested(found_scales)])


def _meant(group: Group, config: AdapterConfig, is_by_module: bool | None) -> Meant | str:
    """What PEFT takes a group for, or why it drops it."""
    module, depth = group.module, group.depth
    parameters = parameters_of(config, module)
    last = module.rpartition(".")[2]
    if last in LOOKUPS and "weight" not in parameters and group.entries.keys() & {"A", "B"}:
        return f"{last} is an embedding, whose factors PEFT calls lora_embedding_A and lora_embedding_B: {_DROPPED}"
    if {len(entry.shape) for part, entry in group.entries.items() if part in ("A", "B")} & {3, 4, 5}:
        return "factors of a convolution, which are not told here"
    if depth == 0 and is_by_module:
        return Meant(group, "", (module,), False)
    if parameters and (is_by_module is False or depth or last == EXPERTS or names_module(config, module, parameters)):
        return _meant_of_parameter(group, parameters)
    if depth:
        return f"target_parameters mean none of this module, which PEFT wraps once at most: {_DROPPED}"
    if is_by_module is False:
        return f"the configuration does not target this module: {_DROPPED}"
    if last == EXPERTS:
        return f"target_parameters mean none of this module, and no module of this name has a weight: {_DROPPED}"
    return Meant(group, "", (module,), False)


def _meant_of_parameter(group: Group, parameters: tuple[str, ...]) -> Meant | str:
    """PEFT wraps a module once for each parameter that is targeted, the first innermost."""
    if group.depth >= len(parameters):
        return f"PEFT wraps this module {len(parameters)} times, for {', '.join(parameters)}: {_DROPPED}"
    in_order = len(parameters) == 1 or set(parameters) <= set(PARAMETER_ORDER)
    parameter = parameters[len(parameters) - 1 - group.depth] if in_order else ""
    names = tuple(f"{group.module}.{name}" for name in ([parameter] if in_order else parameters))
    return Meant(group, parameter, names, parameter != "weight")


def _idle_parts(meant: Meant, config: AdapterConfig) -> Iterator[Stray]:
    """Parts that the configuration does not turn on, so that PEFT creates no place for them."""
    switches: dict[Part, tuple[bool, str]] = {
        "magnitude": (config.dora, "use_dora"),
        "bias": (config.lora_bias, "lora_bias"),
    }
    for part, (is_on, switch) in switches.items():
        if part in meant.group.entries and not is_on:
            yield Stray(meant.group.entries[part].name, StrayKey(f"{switch} is off: {_DROPPED}"))


def _one_scale(meant: Meant, found: Mapping[str, Scale]) -> Scale:
    different = {found[name] for name in meant.names}
    if len(different) > 1:
        raise ArtifactError(
            "cannot tell which parameter these factors adapt, and their ranks or alphas differ",
            where=meant.group.where,
            expected=f"one rank and alpha for {', '.join(meant.names)}",
            got=", ".join(f"{scale.rank} and {scale.alpha:g}" for scale in sorted(different)),
        )
    return different.pop()


def _pair(meant: Meant, scale: Scale, config: AdapterConfig) -> FactorPair:
    entries = meant.group.entries
    is_embedding = bool(entries.keys() & {"embedding_A", "embedding_B"})
    if is_embedding and entries.keys() & {"A", "B"}:
        raise ArtifactError("factors of an embedding and of a Linear for one module", where=meant.group.where)
    a = _required(meant.group, "embedding_A" if is_embedding else "A")
    b = _required(meant.group, "embedding_B" if is_embedding else "B")
    is_plain = not meant.parameter  # PEFT has neither for parameters
    magnitude = _required(meant.group, "magnitude") if config.dora and is_plain else None
    bias = _required(meant.group, "bias") if config.lora_bias and is_plain and not is_embedding else None
    _check_rank(a, b, scale, is_fused=meant.is_fused)
    for vector in (magnitude, bias):
        if vector is not None and vector.shape != b.shape[:1]:
            raise _wrong_shape(vector, f"({b.shape[0]},), as lora_B has rows")
    return FactorPair(
        module=meant.group.module,
        depth=meant.group.depth,
        kind="embedding" if is_embedding else "linear",
        a=a,
        b=b,
        magnitude=magnitude,
        bias=bias,
        rank=scale.rank,
        alpha=scale.alpha,
        scaling=scale.scaling,
        parameter=meant.parameter,
    )


def _required(group: Group, part: Part) -> TensorEntry:
    entry = group.entries.get(part)
    if entry is None:
        name = part if part in ("magnitude", "bias") else f"lora_{part}"
        raise ArtifactError(f"its {name} is missing", where=group.where, expected="all factors of a module, or none")
    if entry.dtype not in DTYPES:
        raise ArtifactError(
            "factors of this dtype cannot be used",
            where=f"{entry.path}: {entry.name}",
            expected=", ".join(DTYPES),
            got=entry.dtype,
        )
    return entry


def _check_rank(a: TensorEntry, b: TensorEntry, scale: Scale, *, is_fused: bool) -> None:
    """A (rank, in) and B (out, rank); with `is_fused` rank times any number of experts."""
    for entry in (a, b):
        if len(entry.shape) != 2 or 0 in entry.shape:
            raise _wrong_shape(entry, "two axes, neither of them empty")
    rows = a.shape[0]
    if b.shape[1] != rows:
        raise _wrong_shape(b, f"{rows} columns, as {a.name} has rows")
    if rows % scale.rank if is_fused else rows != scale.rank:
        of_experts = ", or a multiple of it," if is_fused else ""
        next_step = "Several patterns match this module. PEFT takes the first, but saves them sorted: leave only one."
        raise _wrong_shape(
            a,
            f"rank {scale.rank}{of_experts} as the configuration says for it",
            next_step=next_step if scale.is_contested else None,
        )


def _wrong_shape(entry: TensorEntry, expected: str, next_step: str | None = None) -> ArtifactError:
    return ArtifactError(
        "tensor has another shape",
        where=f"{entry.path}: {entry.name}",
        expected=expected,
        got=str(entry.shape),
        next_step=next_step,
    )


def _contested(found: Mapping[str, Scale]) -> Iterator[Finding]:
    """Modules whose rank or alpha depends on the order of patterns, which PEFT does not keep when it saves."""
    if names := [name for name, scale in found.items() if scale.is_contested]:
        message = (
            f"several patterns of rank_pattern or alpha_pattern match {len(names)} modules and say different things: "
            "PEFT takes the first, but saves them sorted, so that training may have used another"
        )
        yield Finding(kind="config_mismatch", severity="warning", tensor=names[0], message=message)


def _incomplete(meant: Iterable[Meant], config: AdapterConfig) -> Iterator[Finding]:
    """Modules of which some parameters that target_parameters name have no factors."""
    held: dict[str, int] = {}
    for each in meant:
        if each.parameter:
            held[each.group.module] = held.get(each.group.module, 0) + 1
    for module, num_held in held.items():
        parameters = parameters_of(config, module)
        is_sure = module.rpartition(".")[2] == EXPERTS or names_module(config, module, parameters)
        if num_held < len(parameters) and is_sure:
            yield Finding(
                kind="adapter_incomplete",
                severity="error",
                tensor=module,
                message="target_parameters name parameters of this module that the file has no factors for",
                expected=f"{len(parameters)} pairs, for {', '.join(parameters)}",
                got=str(num_held),
            )
