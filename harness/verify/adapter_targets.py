"""Which modules PEFT adapts by a configuration, and with which rank and scaling.

PEFT's rules (`check_target_module_exists` in tuners_utils.py, `get_pattern_key` in utils/other.py, `_inject_parameters`
for parameters, whose patterns are matched on the parameter's own name) are those of 0.15.2 to 0.21.2; where these
differ, nothing is claimed. Knows names alone: neither files nor what a model has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

from harness.verify.adapter_config import CONFIG_FILE
from harness.verify.expressions import first_hits, is_plain
from harness.verify.expressions_apart import Query
from harness.verify.records import AdapterConfig

ALL_LINEAR = "all-linear"
PARAMETER_ORDER = ("gate_up_proj", "gate_up_proj_bias", "down_proj", "down_proj_bias")
"""In the order in which transformers' experts hold them, and so in which PEFT wraps: the first innermost."""
ANY_LAYER = (r".*\.[^.]*\.(?P<layer>\d+)\.", r".*?\.[^.]*\.(?P<layer>\d+)\.")
"""How PEFT finds a layer's number where layers_pattern says nothing: the last number up to 0.19, the first since 0.20.
With an expert's number in the path they differ."""
NAMED_LAYER = (r".*\.{}\.(?P<layer>\d+)\.", r".*?\.{}\.(?P<layer>\d+)\.", r"(?:^|.*?\.){}\.(?P<layer>\d+)\.")
"""And with a layers_pattern: up to 0.19, in 0.20, since 0.21."""

Value = TypeVar("Value")


class Scale(NamedTuple):
    """How B @ A of one module or parameter is meant."""

    rank: int
    alpha: float
    scaling: float
    is_contested: bool = False
    """Whether a later pattern matches too and says something else. PEFT takes the first, but saves them sorted, so that
    training may have used another."""


def is_targeted(config: AdapterConfig, module: str) -> bool | None:
    """Whether PEFT would adapt the module at this path, or one of its parameters; None where that cannot be known."""
    return targeted(config, [module])[module]


def targeted(config: AdapterConfig, modules: Sequence[str], *, where: str = CONFIG_FILE) -> dict[str, bool | None]:
    """`is_targeted` of many modules. Raises ArtifactError if an expression of the configuration cannot be used."""
    found = by_modules(config, modules, where=where)
    for module, is_by_module in found.items():
        if is_by_module is not True and (names := parameters_of(config, module)):
            found[module] = True if names_module(config, module, names) else None
    return found


def by_modules(config: AdapterConfig, modules: Sequence[str], *, where: str = CONFIG_FILE) -> dict[str, bool | None]:
    """Whether target_modules mean each module, and nothing excludes it; None where that cannot be known."""
    excluded = _excluded(config, modules, where)
    spec = config.target_modules
    meant: dict[str, bool | None]
    if spec is None or (isinstance(spec, str) and spec.lower() == ALL_LINEAR):
        meant = dict.fromkeys(modules)  # the first is looked up by the model's type, the second in the model
    elif isinstance(spec, str):
        matching = _matching(spec, modules, f"{where}: target_modules")
        meant = {module: module in matching for module in modules}
    else:
        meant = _listed(config, spec, modules, where)
    return {module: False if module in excluded else meant[module] for module in modules}


def parameters_of(config: AdapterConfig, module: str) -> tuple[str, ...]:
    """The names of the module's parameters that target_parameters can mean, in the order in which PEFT wraps them."""
    owned, anywhere = set(), set()
    for path in config.target_parameters:
        owner, _, name = path.rpartition(".")
        if not owner:
            anywhere.add(name)
        elif module == owner or module.endswith(f".{owner}"):
            owned.add(name)
    # A module with a weight has no experts in it: a name that fits anywhere then means another module's.
    names = {"weight"} if "weight" in owned else (owned | anywhere) - {"weight"} or owned | anywhere
    return tuple(sorted(names, key=_wrapping_order))


def scales(config: AdapterConfig, names: Iterable[str], *, where: str = CONFIG_FILE) -> dict[str, Scale]:
    """Rank, alpha and scaling of modules and parameters, by their full names. Raises ArtifactError on bad patterns."""
    names = list(names)
    ranks = _by_pattern(config.rank_pattern, names, config.rank, f"{where}: rank_pattern")
    alphas = _by_pattern(config.alpha_pattern, names, config.alpha, f"{where}: alpha_pattern")
    return {
        name: Scale(
            rank, alpha, alpha / (math.sqrt(rank) if config.rslora else rank), rank != other or alpha != another
        )
        for name, (rank, other), (alpha, another) in zip(names, ranks, alphas, strict=True)
    }


def _by_pattern(
    patterns: Mapping[str, Value], names: Sequence[str], default: Value, where: str
) -> list[tuple[Value, Value]]:
    """Of each name the values of the first and of the last pattern that match its end.

    Where none does, that of the pattern that is spelt like it: an expression need not match itself.
    """
    spellings = [list(patterns), list(patterns)[::-1]]
    queries = [Query([rf"(.*\.)?({key})$" for key in keys], names, False) for keys in spellings]
    first, last = (
        [
            patterns[keys[hit.number]] if hit else patterns.get(name, default)
            for name, hit in zip(names, hits, strict=True)
        ]
        for keys, hits in zip(spellings, first_hits(queries, plain=is_plain(patterns), where=where), strict=True)
    )
    return list(zip(first, last, strict=True))


def _excluded(config: AdapterConfig, modules: Sequence[str], where: str) -> set[str]:
    """What exclude_modules or modules_to_save (since PEFT 0.16) take out."""
    spec = config.exclude_modules
    if isinstance(spec, str):
        excluded = _matching(spec, modules, f"{where}: exclude_modules") if spec else set()
    else:
        unwanted = set(spec)
        excluded = {module for module in modules if _ends(module) & unwanted}
    saved = config.modules_to_save
    queries = [Query([rf"(^|.*\.){name}($|\..*)" for name in saved], modules, False)]
    [hits] = first_hits(queries, plain=is_plain(saved), where=f"{where}: modules_to_save")
    return excluded | {module for module, hit in zip(modules, hits, strict=True) if hit}


def _listed(config: AdapterConfig, names: Sequence[str], modules: Sequence[str], where: str) -> dict[str, bool | None]:
    """Whether a list means each module: spelt out in full, or by its end and in one of the layers."""
    wanted = set(names)
    found: dict[str, bool | None] = {module: bool(_ends(module) & wanted) for module in modules}
    if config.layers_to_transform is None:
        return found
    by_end = [module for module, is_meant in found.items() if is_meant and module not in wanted]
    for module, readings in _layers_of(config, by_end, where).items():
        answers = {layer in config.layers_to_transform for layer in readings}
        found[module] = answers.pop() if len(answers) == 1 else None
    return found


def _layers_of(config: AdapterConfig, modules: Sequence[str], where: str) -> dict[str, set[int | None]]:
    """The layer's number in each path, as each version of PEFT reads it; None where one finds none."""
    patterns = config.layers_pattern
    readings = [[form.format(name) for name in patterns] for form in NAMED_LAYER]
    if not patterns:
        readings = [[form] for form in ANY_LAYER]
    queries = [Query(expressions, modules, False) for expressions in readings]
    answers = first_hits(queries, plain=is_plain(patterns), where=f"{where}: layers_pattern")
    return {
        module: {int(hit.layer) if hit and hit.layer else None for hit in hits}
        for module, *hits in zip(modules, *answers, strict=True)
    }


def _matching(expression: str, modules: Sequence[str], where: str) -> set[str]:
    [hits] = first_hits([Query([expression], modules, True)], plain=is_plain([expression]), where=where)
    return {module for module, hit in zip(modules, hits, strict=True) if hit}


def names_module(config: AdapterConfig, module: str, names: Sequence[str]) -> bool:
    """Whether target_parameters name the module itself with one of these, rather than a parameter of any module."""
    return any(
        path.rpartition(".")[2] in names and (module == owner or module.endswith(f".{owner}"))
        for path in config.target_parameters
        if (owner := path.rpartition(".")[0])
    )


def _wrapping_order(name: str) -> tuple[int, str]:
    return (PARAMETER_ORDER.index(name) if name in PARAMETER_ORDER else len(PARAMETER_ORDER), name)


def _ends(module: str) -> set[str]:
    """Every dotted end of a path, the path itself among them."""
    reversed_parts = module.split(".")[::-1]
    return set(accumulate(reversed_parts, lambda end, part: f"{part}.{end}"))
