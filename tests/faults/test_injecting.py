"""How a fault is put into a job, and taken out again: drawn by the seed, patched for the job alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases.injecting import ADAPTER_FILE, Scene, modules, rewrite, struck
from harness.checkpoints.base import write_base
from harness.checkpoints.safetensors_file import read_header, read_index, read_tensor, write_file
from harness.metrics.observed import MERGED
from harness.records.cases import Case, Family
from harness.records.faults import Fault
from harness.records.jobs import Hit, ReadJob, Strike, WriteJob
from harness.runs.request import Catalogue

HERE = "tests.faults.test_injecting"
CASE = "qwen3_moe-float32-loop"


class Patched:
    """What the tests patch."""

    def plain(self, number: int) -> int:
        """A method."""
        return number + 1

    @classmethod
    def of_class(cls) -> str:
        """Of whichever class it is called on."""
        return cls.__name__

    @staticmethod
    def static(number: int) -> int:
        """Of none."""
        return 2 * number


class Child(Patched):
    """Inherits what is patched."""


@pytest.fixture
def job(catalogue: Catalogue) -> WriteJob:
    """A write that is struck."""
    case = next(case for case in catalogue.cases if case.name == CASE)
    return WriteJob(
        id="one", case=case, family=catalogue.families[case.family], writer="r1", base="", directory="",
        strike=Strike(fault="one_expert_missed", seed=0),
    )  # fmt: skip


def seeded(job: WriteJob, seed: int, fault: str = "one_expert_missed") -> Scene:
    """The scene of the job under another seed."""
    return Scene(replace(job, strike=Strike(fault=fault, seed=seed)), "torch_peft")


def test_a_job_without_a_strike_is_left_alone(job: WriteJob) -> None:
    """And nothing was hit."""
    with struck(replace(job, strike=None), "torch_peft") as hit:
        pass
    assert hit() is None


def test_places_are_drawn_from_the_seed(job: WriteJob) -> None:
    """The same seed hits the same place; others hit others; two faults of one seed are not in step."""

    def places(scene: Scene) -> tuple[int, ...]:
        return tuple(scene.expert() for _ in range(6))

    assert places(seeded(job, 1)) == places(seeded(job, 1))
    assert len({places(seeded(job, seed)) for seed in range(8)}) == 8
    assert places(seeded(job, 1)) != places(seeded(job, 1, fault="another"))


def test_tensors_are_found_by_role_layer_and_expert(job: WriteJob) -> None:
    """The three projections of one expert, all that is adapted, a layer that has experts."""
    scene = seeded(job, 0)
    names = scene.tensors("experts.", layer=1, expert=3)
    assert {"gate", "up", "down"} == {name.split("_proj")[0].rpartition(".")[2] for name in names}
    assert len(scene.tensors("experts.")) == 2 * 8 * 3
    assert set(scene.tensors("experts.")) < set(scene.adapted()) < set(scene.tensors())
    assert scene.layer_of("experts.") in (0, 1)


@pytest.mark.parametrize(
    ("target", "call", "before", "after"),
    [
        ("Patched.plain", lambda: Patched().plain(1), 2, 20),
        ("Patched.static", lambda: Patched.static(1), 2, 20),
        ("Patched.of_class", lambda: type(Patched()).of_class(), "Patched", "Patched" * 10),
        ("Patched.of_class", lambda: type(Child()).of_class(), "Child", "Child" * 10),
    ],
)
def test_a_patch_is_there_for_the_job_alone(
    target: str, call: Callable[[], Any], before: Any, after: Any, job: WriteJob
) -> None:
    """Of functions, class methods (on whichever class) and static ones; also when the job raises."""
    scene = seeded(job, 0)
    scene.after(f"{HERE}:{target}", lambda returned, *_: 10 * returned)
    assert before == call()
    with scene.applied():
        assert after == call()
    assert before == call()
    with pytest.raises(ZeroDivisionError), scene.applied():
        print(1 / 0)
    assert before == call()


def test_the_environment_is_put_back(job: WriteJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that were set, changed and removed."""
    monkeypatch.setenv("DELTAPROOF_KEPT", "old")
    scene = seeded(job, 0)
    scene.environment("DELTAPROOF_KEPT", None)
    scene.environment("DELTAPROOF_NEW", "1")
    with scene.applied():
        assert (None, "1") == (os.environ.get("DELTAPROOF_KEPT"), os.environ["DELTAPROOF_NEW"])
    assert ("old", None) == (os.environ["DELTAPROOF_KEPT"], os.environ.get("DELTAPROOF_NEW"))


def job_of(fault: Fault, case: Case, family: Family, written: Path, strike: Strike) -> WriteJob | ReadJob:
    """The job that the fault is put into, with its base, and (for a read) with something that was written."""
    base = str(written / MERGED)
    if fault.form is None:
        return WriteJob(id="w", case=case, family=family, writer="r1", base=base, directory="", strike=strike)
    return ReadJob(
        id="r", case=case, family=family, writer="r1", reader="r1", form=fault.form, base=base, written=str(written),
        directory="", strike=strike,
    )  # fmt: skip


def test_every_fault_strikes_every_case_of_its_own(catalogue: Catalogue, tmp_path: Path) -> None:
    """It says where it would be put, without any stack; most say what they hit before they do it."""
    cases = {case.name: case for case in (*catalogue.cases, *catalogue.fault_cases)}
    stacks = {cell.name: cell.stack for cell in catalogue.matrix.cells}
    for name, module in modules().items():
        for case in (cases[each] for each in module.FAULT.cases):
            written = tmp_path / case.name
            base = written / MERGED  # what a merge of a delta of nothing would be
            if not base.exists():
                base.mkdir(parents=True)
                write_base(base, catalogue.families[case.family], case)
            job = job_of(module.FAULT, case, catalogue.families[case.family], written, Strike(fault=name, seed=3))
            scene = Scene(job, stacks[module.FAULT.row])
            module.strike(scene)
            assert scene._patches or scene._environment, name


def test_factors_are_renamed_and_their_new_keys_are_hit(job: WriteJob, tmp_path: Path) -> None:
    """What keeps its name is not hit, nor are the tensors any less."""
    file = tmp_path / ADAPTER_FILE
    values = np.ones((2, 3), np.float32)
    write_file(file, {f"base_model.{name}": ("F32", values) for name in ("q", "experts.0", "experts.1")})
    scene = seeded(job, 0)
    scene.hits("a.weight")
    scene.rename_factors(lambda name: name.removeprefix("base_model.") if "experts" in name else name)
    [(target, wrapper)] = scene._patches
    assert target.endswith(":save_adapter")
    wrapper(lambda *_: None)("trained", tmp_path)
    assert {"base_model.q", "experts.0", "experts.1"} == {entry.name for entry in read_header(file)}
    assert Hit(tensors=("a.weight",), keys=("experts.0", "experts.1")) == scene.hit


def test_a_checkpoint_is_rewritten_where_it_was_told(job: WriteJob, tmp_path: Path) -> None:
    """These tensors and no others, in the dtype they have; nothing changed is a mistake of the fault."""
    write_base(tmp_path, job.family, job.case)
    before = {name: read_tensor(entry) for name, entry in read_index(tmp_path).items()}
    name = "model.layers.1.mlp.experts.2.up_proj.weight"
    rewrite(tmp_path, [name], lambda _, values: 2 * values)
    for each, entry in read_index(tmp_path).items():
        assert np.array_equal(read_tensor(entry), (2 if each == name else 1) * before[each])
    with pytest.raises(AssertionError, match="nothing was damaged"):
        rewrite(tmp_path, [name], lambda _, values: values)
