"""What the two stacks are compared in, and what was promised of it. Must not know how it is measured."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_changes

from bench.models import MODELS
from bench.work import Decode, Step, Tokens
from harness.records.cases import Stack

NUM_PROMPT = 16
NUM_NEW = 64
COMPILE_LIMIT = 1.3
"""A training step of 48 layers over one of 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work."""

    stack: Stack
    work: Decode | Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """How many times as long `slow` should take as `fast`."""

    slow: str
    fast: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Contenders by name, which do the same in turns."""

    what: str
    contenders: Mapping[str, Contender]
    ratios: tuple[Promise, ...]
    """Which are set against each other, with a promise or without."""
    rounds: int = 5
    tokens: int = 0
    """How many are made; 0 where it is the time that counts."""
    compiling: bool = False
    """True: nothing is compiled when a turn begins. Then with as many threads as there are cores, and no others."""


def comparisons() -> Iterator[Comparison]:
    """All of them."""
    for model, num_rows, at_least in (
        ("dense", 1, 6.0),
        ("dense", 8, 2.0),
        ("moe", 1, 15.0),
        ("moe", 8, 5.0),
        ("100m", 1, 1.0),
        ("100m", 8, 1.0),
    ):
        yield _decoding(model, num_rows, at_least)
    for model, num_tokens, checkpointing in (
        ("tiny", 16, False),
        ("tiny-moe", 16, False),
        ("dense", 64, False),
        ("dense", 64, True),
    ):
        yield _training(model, num_tokens, checkpointing)
    yield _compiling((4, 48), unrolled=False, at_most=COMPILE_LIMIT, rounds=2)
    yield _compiling((4, 16), unrolled=True, at_most=None, rounds=1)  # half a minute at 16 layers


def _decoding(model: str, num_rows: int, at_least: float) -> Comparison:
    work = Decode(checkpoint=model, prompts=_tokens(model, num_rows, NUM_PROMPT), num_new=NUM_NEW)
    return Comparison(
        what=f"decode {model} at batch {num_rows}",
        contenders={
            "transformers": Contender(stack="torch_peft", work=work),
            "stacked": Contender(stack="jax_stacked", work=work),
        },
        ratios=(Promise(slow="transformers", fast="stacked", at_least=at_least),),
        rounds=3 if model == "100m" else 5,  # they take seconds each
        tokens=num_rows * NUM_NEW,
    )


def _training(model: str, num_tokens: int, checkpointing: bool) -> Comparison:
    stacked = _step(model, num_tokens, checkpointing=checkpointing)
    return Comparison(
        what=f"train {model} on 8 x {num_tokens}" + (" with checkpointing" if checkpointing else ""),
        contenders={
            "PEFT": Contender(stack="torch_peft", work=stacked),
            "unrolled": Contender(stack="jax_stacked", work=with_changes(stacked, unrolled=True)),
            "stacked": Contender(stack="jax_stacked", work=stacked),
        },
        ratios=(Promise(slow="PEFT", fast="stacked"), Promise(slow="unrolled", fast="stacked")),
    )


def _compiling(depths: tuple[int, int], *, unrolled: bool, at_most: float | None, rounds: int) -> Comparison:
    shallow, deep = (f"{num_layers} layers" for num_layers in depths)
    works = (_step(f"{num_layers}-layers", 16) for num_layers in depths)
    first_steps = [with_changes(work, unrolled=unrolled, fresh=True) for work in works]
    return Comparison(
        what="compile a training step" + (" unrolled" if unrolled else ""),
        contenders={
            name: Contender(stack="jax_stacked", work=work)
            for name, work in zip((shallow, deep), first_steps, strict=True)
        },
        ratios=(Promise(slow=deep, fast=shallow, at_most=at_most),),
        rounds=rounds,
        compiling=True,
    )


def _step(model: str, num_tokens: int, *, checkpointing: bool = False) -> Step:
    return Step(
        checkpoint=model,
        sequences=_tokens(model, 8, num_tokens),
        modules=MODELS[model].modules,
        experts=MODELS[model].experts,
        checkpointing=checkpointing,
    )


def _tokens(model: str, num_rows: int, num_tokens: int) -> Tokens:
    """The same for every stack. The first few ids of a vocabulary have a meaning."""
    draw = random.Random(0)
    vocab_size = MODELS[model].config.get("vocab_size", 160)
    return tuple(tuple(draw.randrange(4, vocab_size) for _ in range(num_tokens)) for _ in range(num_rows))
