"""PEFT's rules for which names a configuration means, and the shortest lists that mean exactly the wanted ones.

The rules are those of PEFT 0.18.1 to 0.21.2 (`tuners_utils.check_target_module_exists`, `utils.other.get_pattern_key`),
which are alike in what is used here. Knows dotted names, and nothing of adapters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

Spec = str | frozenset[str]
"""A regular expression for whole names, or names and dotted suffixes of names."""

Value = TypeVar("Value")
Number = TypeVar("Number", int, float)


def matches(spec: Spec, name: str) -> bool:
    """Whether `spec` means `name`."""
    if isinstance(spec, str):
        return _compiled(spec).fullmatch(name) is not None
    return any(suffix in spec for suffix in suffixes(name))


def pattern_value(patterns: Mapping[str, Value], name: str, default: Value) -> Value:
    """What a rank_pattern or alpha_pattern says of `name`: the first key that matches its end, as an expression."""
    for key, value in patterns.items():
        if _compiled(rf"(.*\.)?({key})$").match(name):
            return value
    return patterns.get(name, default)


def shortest_suffixes(wanted: Iterable[str], others: Iterable[str], *, at_least: int = 1) -> list[str]:
    """The shortest dotted suffixes, of `at_least` so many parts, that mean all of `wanted` and none of `others`."""
    taken = {suffix for name in others for suffix in suffixes(name)}
    return sorted({_first_free(name, taken, at_least) for name in wanted})


def patterns_for(values: Mapping[str, Number]) -> tuple[Number, dict[str, Number]]:
    """The commonest of `values`, and patterns that say of every other name what its value is."""
    counts = Counter(values.values())
    default = min(counts, key=lambda value: (-counts[value], value))
    patterns: dict[str, Number] = {}
    for value in sorted(set(counts) - {default}):
        named = [name for name in values if values[name] == value]
        for suffix in shortest_suffixes(named, values.keys() - set(named)):
            patterns[re.escape(suffix)] = value
    return default, patterns


def suffixes(name: str) -> list[str]:
    """Every dotted suffix of a name, the shortest first."""
    parts = name.split(".")
    return [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]


def _first_free(name: str, taken: set[str], at_least: int) -> str:
    found = suffixes(name)[at_least - 1 :]
    # The whole name is free unless it is itself the end of another name, which no module of a model is.
    return next((suffix for suffix in found if suffix not in taken), name)


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)
