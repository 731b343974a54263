"""What the driver asks of a measured process, and what comes back: a line of JSON each.

Standard library and our codec only: both sides of the line read it. Must not know how the work is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

Tokens = tuple[tuple[int, ...], ...]
"""Token ids, a tuple a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decode:
    """Greedy decoding, without a stop token. What comes out is the new tokens of each row."""

    kind_tag: ClassVar[str] = "decode"
    checkpoint: str
    """Its folder, within the one that the process works in."""
    prompts: Tokens
    num_new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of training an adapter: loss, gradients, AdamW. What comes out is the loss before the step."""

    kind_tag: ClassVar[str] = "step"
    checkpoint: str
    sequences: Tokens
    modules: tuple[str, ...]
    """Adapted linear layers: paths within a decoder layer."""
    experts: tuple[str, ...] = ()
    """Adapted fused expert parameters, likewise."""
    rank: int = 4
    checkpointing: bool = False
    """True: the backward pass computes each layer again."""
    unrolled: bool = False
    """True: a Python loop over layers in the place of a scan. In PyTorch there is nothing else."""
    fresh: bool = False
    """True: everything that was compiled is forgotten before each step, and no time is taken for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Load what `work` needs, and keep it under `name`."""

    kind_tag: ClassVar[str] = "prepare"
    name: str
    work: Decode | Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Do the work `name` once, and again until it has taken `at_least_s` seconds together."""

    kind_tag: ClassVar[str] = "measure"
    name: str
    at_least_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Forget the work `name`, if it is there."""

    kind_tag: ClassVar[str] = "drop"
    name: str


Order = Prepare | Measure | Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A line to a measured process."""

    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An order has been obeyed."""

    kind_tag: ClassVar[str] = "done"
    durations_s: tuple[float, ...] = ()
    """Of each time the work was done."""
    result: Any = None
    """What came out of the last time: tokens by row, or a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """It could not be."""

    kind_tag: ClassVar[str] = "broken"
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A line from a measured process."""

    answer: Done | Broken
