"""The part `verify`: what is made of processes that have ended, and which of them are believed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import verify, verify_ways
from bench.figures import Figure, Unmeasured
from bench.processes import Ended
from bench.sides import UnmeasuredError
from bench.verify import LARGE, SHARDED, SIZES, SMALL
from bench.verify_ways import Ways


class Processes:
    """Stands for `launch`: nothing runs, and every kind of process ends as it is told to."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.answers: dict[str, Any] = {
            "verify": {"verdict": "CONTAINS"},
            "merge": {"num_tensors": 9, "num_equal": 8, "difference": 5e-4},
            "read": {"num_bytes": 10},
        }
        self.wall_s = {"verify": 4.0, "merge": 48.0, "read": 1.0, "write": 9.0}
        self.peak_gib = {"verify": 0.5, "merge": 5.0, "read": 0.1, "write": 0.1}
        self.broken = ""

    def launch(self, command: Sequence[str], *, variables: Mapping[str, str], folder: Path, name: str) -> Ended:
        """As the real one."""
        kind, _, work = name.partition("-")
        self.names.append(name)
        if kind == "write":
            for directory in ("base", "merged"):
                (folder / work / directory).mkdir(parents=True)
                (folder / work / directory / "model.safetensors").write_bytes(b"5byte")
        if kind == self.broken:
            raise UnmeasuredError(f"{name}: exit code 1\nout of memory")
        peak_gib = self.peak_gib.get(name, self.peak_gib[kind])
        return Ended(json.dumps(self.answers.get(kind, "")), self.wall_s[kind], 2 * self.wall_s[kind], peak_gib)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """All that is launched."""
    found = Processes()
    monkeypatch.setattr(verify_ways, "launch", found.launch)
    return found


def figures(out: Path) -> dict[str, Figure | Unmeasured]:
    """By what they are of."""
    return {each.what: each for each in verify.measure(Path("python"), out / "verify")}


def test_every_promise_is_held_against_what_was_measured(processes: Processes, tmp_path: Path) -> None:
    """All that was promised, in its direction, and nothing else; here it is all kept but one, and just so."""
    processes.peak_gib |= {f"verify-{SMALL}": 0.25, f"verify-{SHARDED}": 0.25}
    processes.wall_s["verify"] = 2.0
    found = figures(tmp_path)
    values = {what: each.value for what, each in found.items() if isinstance(each, Figure)}
    assert {
        "deltaproof verify": 2.0,
        "deltaproof verify, processor time": 4.0,
        "deltaproof verify, the first time": 2.0,
        "only reading": 1.0,
        "PEFT again, and compare": 48.0,
        "PEFT again, and compare, processor time": 96.0,
        "PEFT over verify": 24.0,
        "only reading over verify": 0.5,
        "memory of verify": 0.5,
        "memory of PEFT": 5.0,
        "memory of verify over PEFT's": 0.1,
        f"memory of verify: {LARGE} over {SMALL}": 2.0,
        f"memory of verify: {SHARDED} over {SMALL}": 1.0,
    } == values
    promises = {what: (each.at_least, each.at_most) for what, each in found.items() if isinstance(each, Figure)}
    assert {
        "PEFT over verify": (10.0, None),
        "only reading over verify": (0.5, None),
        "memory of verify": (None, 1.0),
        "memory of verify over PEFT's": (None, 0.2),
        f"memory of verify: {LARGE} over {SMALL}": (None, 1.2),
        f"memory of verify: {SHARDED} over {SMALL}": (None, 1.2),
    } == {what: limits for what, limits in promises.items() if limits != (None, None)}
    assert [f"memory of verify: {LARGE} over {SMALL}"] == [
        what for what, each in found.items() if isinstance(each, Figure) and each.missed
    ]


def test_what_is_compared_takes_turns_after_all_that_happens_once(processes: Processes, tmp_path: Path) -> None:
    """PEFT, which throws files out of the page cache, comes before the reading that brings them back."""
    figures(tmp_path)
    written = [f"write-{LARGE}", f"merge-{LARGE}", f"write-{SMALL}", f"write-{SHARDED}"]
    once = [*written, f"read-{LARGE}", f"verify-{LARGE}"]
    turn = [f"verify-{LARGE}", f"read-{LARGE}", f"verify-{SMALL}", f"verify-{SHARDED}"]
    assert [*once, *turn * verify.ROUNDS] == processes.names


def test_where_peft_cannot_be_measured_the_rest_is(processes: Processes, tmp_path: Path) -> None:
    """A machine may have the memory for us and not for it."""
    processes.broken = "merge"
    found = figures(tmp_path)
    lost = found.pop("PEFT again, and compare")
    assert isinstance(lost, Unmeasured)
    assert "out of memory" in lost.reason
    assert all(isinstance(each, Figure) for each in found.values())
    assert {"only reading over verify", "memory of verify"} <= set(found)
    assert not [what for what in found if "PEFT" in what]


@pytest.mark.parametrize("kind", ["write", "read", "verify"])
def test_without_the_rest_nothing_is_measured_and_the_reason_is_told(
    kind: str, processes: Processes, tmp_path: Path
) -> None:
    """Once."""
    processes.broken = kind
    last = list(figures(tmp_path).values())[-1]
    assert isinstance(last, Unmeasured)
    assert f"{kind}-{LARGE}: exit code 1" in last.reason


@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        pytest.param("verify", {"verdict": "PARTIAL"}, "is PARTIAL", id="the adapter was not found"),
        pytest.param("merge", {"num_tensors": 9, "difference": 2e-3}, "is another", id="another merge"),
        pytest.param("merge", {"num_tensors": 0, "difference": 0.0}, "is another", id="nothing compared"),
        pytest.param("read", {"num_bytes": 9}, "not all was read", id="a byte less"),
    ],
)
def test_who_has_not_done_the_work_is_not_measured(
    kind: str, answer: Any, words: str, processes: Processes, tmp_path: Path
) -> None:
    """However fast it was."""
    ways = Ways(folder=tmp_path, python=Path("python"))
    ways.write(LARGE, SIZES[LARGE])
    getattr(ways, kind)(LARGE)
    processes.answers[kind] = answer
    with pytest.raises(UnmeasuredError, match=words):
        getattr(ways, kind)(LARGE)


def test_sizes_are_of_the_same_checkpoint_but_for_one_thing_each() -> None:
    """Fewer layers, and then more and smaller shards."""
    large, small, sharded = (SIZES[name] for name in (LARGE, SMALL, SHARDED))
    assert 4 * small.num_layers == large.num_layers
    assert 15 * sharded.shard_bytes == small.shard_bytes == large.shard_bytes
    assert sharded.num_layers == small.num_layers
    assert {(each.num_experts, each.hidden, each.expert_hidden) for each in SIZES.values()} == {(128, 1024, 384)}
