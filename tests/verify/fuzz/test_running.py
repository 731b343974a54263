"""Tests of what runs a case and watches it: verifiers that are wrong in every way are each complained about."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import ArtifactError
from harness.verify import VerifyReport, verify
from tests.verify.fuzz import running
from tests.verify.fuzz.cases import make
from tests.verify.fuzz.directories import put_down
from tests.verify.fuzz.results import ENOUGH, complaint, is_good, summary
from tests.verify.fuzz.running import Result, as_json, from_json, run
from tests.verify.fuzz.triples import pristine
from tests.verify.fuzz.watching import Watched

HARMLESS, HARMFUL, MALFORMED = "further_files", "every_weight_put_back", "cut_off"
KEPT: list[Any] = []


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    """What a verifier kept is let go."""
    yield
    for each in KEPT:
        each.close()
    KEPT.clear()


def _refuse(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    raise ArtifactError("is not for me", where=str(base))


def _with_a_line_end(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    raise ArtifactError("is not\nfor me", where=str(base))


def _without_a_place(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    raise ArtifactError("is not for me")


def _crash(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    raise KeyError("model.norm.weight")


def _slow(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    started = time.process_time()
    while time.process_time() < started + 0.3:
        pass
    return _refuse(base, adapter, merged)


def _large(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    np.ones(2**24)
    return _refuse(base, adapter, merged)


def _careless(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    KEPT.append((base / "config.json").open())
    return _refuse(base, adapter, merged)


def _warning(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    threading.Thread(target=lambda: warnings.warn("overflow", RuntimeWarning, stacklevel=1)).start()
    time.sleep(0.05)
    return _refuse(base, adapter, merged)


@pytest.mark.parametrize(
    ("verifier", "words"),
    [
        (_with_a_line_end, "is no clear line"),
        (_without_a_place, "names no file"),
        (_crash, "crashed"),
        (_slow, "took 0."),
        (_careless, "left"),
        (_warning, "warned"),
    ],
)
def test_a_bad_answer_is_complained_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verifier: running.Verifier, words: str
) -> None:
    """Of a damaged triple, where the verdict itself would be right."""
    monkeypatch.setattr(running, "MAX_PROCESSOR_S", 0.2)
    complaints = run(make(0, MALFORMED), verifier, tmp_path).complaints
    assert complaints
    assert all(words in each for each in complaints), complaints


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not tell what a process holds")
def test_much_memory_is_complained_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it has been given back by the end."""
    monkeypatch.setattr(running, "MAX_GROWTH_BYTES", 2**26)
    assert any("MiB" in each for each in run(make(0, MALFORMED), _large, tmp_path).complaints)


@pytest.mark.parametrize(
    ("name", "verifier", "words"),
    [
        (HARMLESS, _refuse, "said REFUSED"),
        (HARMFUL, "the undamaged", "said CONTAINS"),
        (MALFORMED, "the undamaged", "said CONTAINS"),
    ],
)
def test_a_wrong_verdict_is_complained_about(
    tmp_path: Path, name: str, verifier: running.Verifier | str, words: str
) -> None:
    """One that always refuses, and one that always contains."""
    place = tmp_path / "undamaged"

    def always(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
        paths = put_down(pristine("dense"), place)
        return verify(paths["base"], paths["adapter"], paths["merged"])

    wrong = always if isinstance(verifier, str) else verifier
    assert any(words in each for each in run(make(0, name), wrong, tmp_path / "damaged").complaints)


@pytest.mark.parametrize("name", [HARMLESS, HARMFUL, MALFORMED])
def test_a_right_answer_is_not_complained_about(tmp_path: Path, name: str) -> None:
    """Of the verifier itself."""
    assert () == run(make(0, name), verify, tmp_path).complaints


STUB = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin:\n    {}\n"


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("import time; time.sleep(60)", "gave no answer in 0.5 s"),
        ("import os; os._exit(3)", "ended the process, with 3"),
        ("import os; os.kill(os.getpid(), 9)", "ended the process, with -9"),
    ],
)
def test_a_process_that_hangs_or_dies_is_a_result(tmp_path: Path, does: str, words: str) -> None:
    """And the next case has a process of its own."""
    program = (sys.executable, "-c", STUB.format(does))
    with Watched(tmp_path, program=program, limit_s=0.5) as watched:
        results = [watched.run(seed, MALFORMED) for seed in (0, 1)]
    assert [(words,), (words,)] == [result.complaints for result in results]
    assert [0, 1] == [result.seed for result in results]


def test_a_process_that_cannot_begin_is_an_error(tmp_path: Path) -> None:
    """Nothing was tried then."""
    with (
        Watched(tmp_path, program=(sys.executable, "-c", "")) as watched,
        pytest.raises(RuntimeError, match="undamaged"),
    ):
        watched.run(0)


def _result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "seed": 5,
        "variant": "dense",
        "damages": ("further_files", "cut_off"),
        "truth": "UNREADABLE",
        "allowed": ("REFUSED",),
        "verdict": "REFUSED",
        "text": "",
        "alone": "FITS",
        "complaints": (),
        "processor_s": 0.1,
        "growth_bytes": 0,
    }
    return Result(**{**fields, **changes})


def test_a_result_is_read_as_it_was_written() -> None:
    """Through its line of JSON."""
    result = _result(complaints=("took 7.0 s",))
    assert result == from_json(as_json(result))


def test_a_complaint_says_how_to_see_it_again() -> None:
    """The seed alone, or with the damage that was asked for."""
    result = _result(complaints=("took 7.0 s",))
    assert "further_files then cut_off (dense, UNREADABLE): REFUSED" in complaint(result)
    assert complaint(result).endswith("--seed 5 --count 1")
    assert complaint(result, "cut_off").endswith("--seed 5 --count 1 --only cut_off")
    assert "1 of cut_off" in summary([result, _result()])


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([_result()], True),
        ([_result(complaints=("took 7.0 s",))], False),
        ([_result()] * ENOUGH, False),
        ([_result(), _result(verdict="CONTAINS")] * ENOUGH, True),
    ],
    ids=["good", "one wrong", "nothing was read", "half were read"],
)
def test_many_results_are_good(results: list[Result], expected: bool) -> None:
    """If none is wrong, and a third or more got past the reader."""
    assert expected == is_good(results)
