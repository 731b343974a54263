"""What each release makes of each model: the verdict that is due, and what is wrong with which projection of experts.

Every expert of every layer is alike. What is not listed is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.verify.real_releases.models import MODELS, NUM_EXPERTS, NUM_LAYERS
from tests.verify.real_releases.releases import MERGERS

LAYOUTS = {"r1": "standard", "r2": "swapped"}
"""Of the factors of experts, by the row whose PEFT saves them."""
PARTS = ("gate", "up", "down")
UNTIL_2026_5_1 = "2026.5.1"
"""The last release that wrote no generation_config.json."""


class Case(NamedTuple):
    """Who merges what."""

    row: str
    model: str
    merger: str


class Made(NamedTuple):
    """What is to be said of a merge."""

    verdict: str
    kinds: Mapping[str, str]
    """Projection of every expert to the kind of its finding."""


CASES = tuple(Case(row, model, merger) for row in LAYOUTS for model in MODELS for merger in MERGERS)

_MISPACKED = Made("WRONG_LAYOUT", dict.fromkeys(PARTS, "delta_wrong_packing"))
_LEFT_OUT = Made("PARTIAL", dict.fromkeys(PARTS, "delta_missing"))
_TURNED = {"gate": "delta_wrong_layout", "up": "delta_wrong_layout"}

WRONG: Mapping[Case, Made] = {
    # lora_B was read as grouped by expert, where PEFT's is rank-major.
    **{
        Case(row, model, release): _MISPACKED
        for row in LAYOUTS
        for model in ("moe", "moe_bfloat16", "moe_square")
        for release in ("2026.5.1", "2026.5.2", "2026.9.5")
    },
    # Only the swapped layout was known. What did not have its shapes was left as it was, and nothing was said of it.
    Case("r1", "moe", "2026.5.1"): _LEFT_OUT,
    Case("r1", "moe_bfloat16", "2026.5.1"): _LEFT_OUT,
    # Where 2 I == H, the standard gate_up has the shapes of the swapped one, and was read as that. It was so in
    # 2026.5.2 too, which asked whether shapes were swapped before it asked whether they were standard.
    Case("r1", "moe_square", "2026.5.1"): Made("WRONG_LAYOUT", {**_TURNED, "down": "delta_missing"}),
    Case("r1", "moe_square_rank_1", "2026.5.1"): Made("WRONG_LAYOUT", {**_TURNED, "down": "delta_missing"}),
    Case("r1", "moe_square", "2026.5.2"): Made("WRONG_LAYOUT", {**_TURNED, "down": "delta_wrong_packing"}),
    Case("r1", "moe_square_rank_1", "2026.5.2"): Made("WRONG_LAYOUT", _TURNED),
}
assert set(CASES) >= WRONG.keys()


def made(case: Case) -> Made:
    """What is to be said of the merge of `case`."""
    right = Made("INCOMPLETE" if case.merger == UNTIL_2026_5_1 else "CONTAINS", {})
    return WRONG.get(case, right)


def kinds_by_name(case: Case) -> dict[str, str]:
    """The weights that are not as they should be, each with the kind of its finding."""
    return {
        f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight": kind
        for layer in range(NUM_LAYERS)
        for expert in range(NUM_EXPERTS)
        for part, kind in made(case).kinds.items()
    }
