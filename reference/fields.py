"""The configuration fields that must come back: as our base checkpoint declares them, and as a stack holds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from harness.checkpoints.configs import get, has
from harness.records.jobs import FieldValue


def compare_fields(
    declared: Mapping[str, Any], aliases: Mapping[str, tuple[str, ...]], held: Callable[[str], Any]
) -> tuple[FieldValue, ...]:
    """Each field of our config.json against what the stack holds under any of its names.

    `held` gives the value at a (dotted) place, None if there is none: for a stack that reads config.json itself,
    `partial(configs.get, config)`.
    """
    values = []
    for name, others in aliases.items():
        expected = next(get(declared, place) for place in (name, *others) if has(declared, place))
        # A field may be held in several places. The first is the one that model code of that version reads.
        got = next((value for place in (name, *others) if (value := held(place)) is not None), None)
        values.append(FieldValue(name=name, expected=canonical(expected), got=canonical(got)))
    return tuple(values)


def canonical(value: Any) -> str:
    """A value as text, numbers that are equal alike."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    return json.dumps(value, sort_keys=True, default=str)
