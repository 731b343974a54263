"""What a damage is, and the list of all: a function that spoils a triple, with what a verifier may answer to it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from tests.verify.fuzz.directories import SIDES, Files, SideName, Triple, content
from tests.verify.fuzz.triples import VARIANTS
from tests.verify.fuzz.weights import table

Kind = Literal["harmless", "harmful", "malformed", "edit"]
CONTAINS = "CONTAINS"
REFUSED = "REFUSED"
"""An ArtifactError: exit code 2 and one line."""
VERDICTS = (
    CONTAINS, "WRONG_VALUES", "WRONG_LAYOUT", "BASE_UNCHANGED", "PARTIAL", "LOST_TO_ROUNDING", "INCOMPLETE",
    "INCONCLUSIVE",
)  # fmt: skip
ANY = frozenset({*VERDICTS, REFUSED})
NOT_CONTAINED = ANY - {CONTAINS}
DEFAULTS: dict[Kind, frozenset[str]] = {
    "harmless": frozenset({CONTAINS}),
    "harmful": NOT_CONTAINED,
    "malformed": frozenset({REFUSED}),
    "edit": ANY,
}

Item = TypeVar("Item")


class Scene(NamedTuple):
    """A triple that is being damaged, and the numbers that say how."""

    triple: Triple
    draw: random.Random
    variant: str

    def side(self, *among: SideName) -> Files:
        """One of the directories; any of them if none is named."""
        return self.triple[self.draw.choice(among or SIDES)]

    def pick(self, items: Sequence[Item]) -> Item:
        """One of these."""
        return self.draw.choice(items)

    def some(self, items: Sequence[Item]) -> list[Item]:
        """At least one of these, in their order."""
        chosen = set(self.draw.sample(range(len(items)), self.draw.randint(1, len(items))))
        return [item for number, item in enumerate(items) if number in chosen]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """All of these in another order."""
        return self.draw.sample(items, len(items))


class Damage(NamedTuple):
    """One way to spoil a triple."""

    name: str
    kind: Kind
    allowed: frozenset[str]
    """What a verifier may answer; what the oracle says comes on top."""
    apply: Callable[[Scene], None]
    variants: tuple[str, ...]
    """Whose triples it can be done to."""
    is_layout: bool
    """Whether another damage may be done to the result."""


REGISTRY: dict[str, Damage] = {}


def damage(
    kind: Kind, *allowed: str, variants: Sequence[str] = tuple(VARIANTS), is_layout: bool = False
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Enter a function into the list under its own name."""

    def enter(apply: Callable[[Scene], None]) -> Callable[[Scene], None]:
        name = apply.__name__
        assert name not in REGISTRY, name
        assert set(allowed) <= ANY, allowed
        REGISTRY[name] = Damage(name, kind, frozenset(allowed) or DEFAULTS[kind], apply, tuple(variants), is_layout)
        return apply

    return enter


def edit(files: Files, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON object in a file."""
    fields = table(content(files, name))
    change(fields)
    files[name] = json.dumps(fields, indent=2).encode()
