"""The part `jax` from end to end, with processes that compute nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import stacks
from bench.comparisons import Comparison, Contender, Promise
from bench.figures import Figure, Unmeasured
from bench.work import Decode, Step
from tests.bench.conftest import FAKE


def decoding(token: int, checkpoint: str = "there") -> Decode:
    """What a process that computes nothing answers with `token`."""
    return Decode(checkpoint=checkpoint, prompts=((token,),), num_new=1)


def comparison(what: str, slow: Decode | Step, fast: Decode | Step, *, tokens: int = 0) -> Comparison:
    """One contender of each stack."""
    return Comparison(
        what=what,
        contenders={
            "slow": Contender(stack="torch_peft", work=slow),
            "fast": Contender(stack="jax_stacked", work=fast),
        },
        ratios=(Promise(slow="slow", fast="fast", at_least=0.0),),
        rounds=2,
        tokens=tokens,
    )


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both stacks as processes that compute nothing, with one thread and with two, and comparisons of them."""

    def compared() -> Iterator[Comparison]:
        yield comparison("decode", decoding(5), decoding(5), tokens=1)
        yield comparison("decode otherwise", decoding(5), decoding(6), tokens=1)
        yield comparison("decode nowhere", decoding(5), decoding(5, "nowhere"), tokens=1)
        step = Step(checkpoint="2.5", sequences=((1,),), modules=())
        yield comparison("train", step, step)

    monkeypatch.setattr(stacks, "MEASURED", {stack: (row, FAKE) for stack, (row, _) in stacks.MEASURED.items()})
    monkeypatch.setattr(stacks, "num_cores", lambda: 2)
    monkeypatch.setattr(stacks, "AT_LEAST_S", 0.0)
    monkeypatch.setattr(stacks, "comparisons", compared)
    monkeypatch.setattr(stacks, "write_model", lambda *_: None)


def measured(out: Path, *words: str) -> list[Figure | Unmeasured]:
    """All figures of one run."""
    pythons = {row: Path(sys.executable) for row in stacks.ROWS}
    return list(stacks.measure(pythons, {}, out, words))


@pytest.mark.usefixtures("fakes")
def test_what_was_measured_is_reported_and_what_was_not_with_its_reason(tmp_path: Path) -> None:
    """Other tokens, or a process that cannot do it, cost their own comparison its figures, and no other's."""
    found = measured(tmp_path / "out")
    reasons = {each.what: each.reason for each in found if isinstance(each, Unmeasured)}
    assert {"decode otherwise", "decode nowhere"} == set(reasons)
    assert "new token 0 is 5 and 6" in reasons["decode otherwise"]
    assert "FileNotFoundError" in reasons["decode nowhere"]

    figures = [each for each in found if isinstance(each, Figure)]
    units = [(each.what.replace("2 threads", "1 thread"), each.unit) for each in figures]
    assert [
        ("decode: slow (1 thread)", "tokens/s"),
        ("decode: slow (1 thread), first call", "s"),
        ("decode: fast (1 thread)", "tokens/s"),
        ("decode: fast (1 thread), first call", "s"),
        ("decode: fast (1 thread), compiling of that", "s"),
        ("decode: slow over fast", "times"),
        ("train: slow (1 thread)", "ms"),
        ("train: fast (1 thread)", "ms"),
        ("train: slow over fast", "times"),
    ] == units
    ratio = figures[-1]
    assert ratio.spread is not None
    assert ratio.at_least == 0.0
    assert ratio.spread[0] <= ratio.spread[1]


@pytest.mark.usefixtures("fakes")
def test_words_choose_comparisons(tmp_path: Path) -> None:
    """By a part of their names."""
    assert {"train"} == {each.what.split(":")[0] for each in measured(tmp_path / "out", "rain")}


@pytest.mark.usefixtures("fakes")
def test_a_process_that_does_not_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, with its last words."""
    monkeypatch.setattr(stacks, "MEASURED", {"torch_peft": ("newest", "tests.bench.missing")})
    [found] = measured(tmp_path / "out")
    assert isinstance(found, Unmeasured)
    assert "No module named tests.bench.missing" in found.reason
