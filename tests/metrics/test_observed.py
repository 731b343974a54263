"""Outputs on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ArtifactError
from harness.metrics.observed import (
    MORE,
    Observed,
    Outputs,
    adapter_folder,
    load_outputs,
    observed_read,
    observed_write,
)
from harness.records.cases import Dialect
from harness.records.jobs import FileEntry
from tests.observations import DENSE, MOE, answered, make_logits, make_outputs, make_read, make_write, save


def stored() -> bytes:
    """The file of some outputs."""
    with TemporaryDirectory() as folder:
        make_outputs(make_logits(1)).save(Path(folder, "trained.npz"))
        return Path(folder, "trained.npz").read_bytes()


STORED = stored()


@pytest.mark.parametrize("family", [MOE, DENSE], ids=lambda family: family.name)
def test_outputs_come_back_as_they_were_stored(tmp_path: Path, family: object) -> None:
    """Every array, with its dtype, shape and values, and the stages in their order."""
    outputs = make_outputs(make_logits(1), family)  # type: ignore[arg-type]
    outputs.save(tmp_path / "trained.npz")
    loaded = load_outputs(tmp_path / "trained.npz")
    assert loaded is not None
    for name in ("logits_BTV", "tokens_SN", "margins_SN", "routing_MBTK", *MORE):
        before, after = getattr(outputs, name), getattr(loaded, name)
        assert (before.dtype, before.shape, before.tolist()) == (after.dtype, after.shape, after.tolist())
    assert list(outputs.stages) == list(loaded.stages)
    assert all(np.array_equal(outputs.stages[name], loaded.stages[name]) for name in outputs.stages)


def test_what_was_not_observed_comes_back_as_nothing(tmp_path: Path) -> None:
    """Arrays that not every stack has are there or not, each by itself."""
    outputs = make_outputs(make_logits(1))
    for name in MORE:
        replace(outputs, **{name: None}).save(tmp_path / f"{name}.npz")
        loaded = load_outputs(tmp_path / f"{name}.npz")
        assert loaded is not None
        assert {name} == {each for each in MORE if getattr(loaded, each) is None}


def test_outputs_are_no_pickles(tmp_path: Path) -> None:
    """Arrays of objects, which only a pickle can hold, are refused before anything is written."""
    objects = np.array([[object()]], dtype=object)
    outputs = replace(make_outputs(make_logits(1)), tokens_SN=objects, margins_SN=objects)
    with pytest.raises(ArtifactError, match=r"trained\.npz: arrays of objects are not saved; got tokens, margins$"):
        outputs.save(tmp_path / "trained.npz")
    assert [] == list(tmp_path.iterdir())


def test_an_array_with_other_axes_is_refused_by_name(tmp_path: Path) -> None:
    """Each array has as many as its name says, those that not every stack observes too."""
    outputs = make_outputs(make_logits(1))
    for name, attribute in (("margins", "margins_SN"), ("forced_SN", "forced_SN")):
        path = tmp_path / f"{name}.npz"
        replace(outputs, **{attribute: np.zeros(3)}).save(path)
        with pytest.raises(ArtifactError) as raised:
            load_outputs(path)
        assert f"{path}: outputs cannot be read: {name} has 1 axes, not 2" == str(raised.value)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(make_read(is_own_row=True), "own_row", id="the row that wrote"),
        pytest.param(make_read(), "own_stack", id="another row"),
        pytest.param(answered(make_read(), stack="jax_stacked"), "other_stack", id="from PEFT to the other"),
        pytest.param(make_write(), "", id="a write"),
    ],
)
def test_a_route_knows_how_far_it_goes(observed: Observed, expected: str) -> None:
    """By the rows, and by what the two answers say of the stack that gave them."""
    assert expected == observed.reach


def test_adapters_of_different_dialects_lie_apart() -> None:
    """The stack's own way has the plain name, which readers have always asked for."""
    folders = [adapter_folder(dialect) for dialect in get_args(Dialect)]
    assert ["adapter", "adapter-standard", "adapter-swapped", "adapter-per_expert"] == folders


def test_outputs_that_were_replaced_are_read_again(tmp_path: Path) -> None:
    """What is remembered of a file is forgotten when the file changes."""
    path = tmp_path / "trained.npz"
    make_outputs(make_logits(1)).save(path)
    first = load_outputs(path)
    assert first is load_outputs(path)
    make_outputs(make_logits(1)[:1], stages={"norm": np.zeros((1, 5, 4))}).save(path)
    second = load_outputs(path)
    assert isinstance(second, Outputs)
    assert (1, 5, 7) == second.logits_BTV.shape


def test_a_file_is_replaced_by_its_size_or_its_time(tmp_path: Path) -> None:
    """Either of them is enough, for a copy may keep the one or the other."""
    path = tmp_path / "trained.npz"

    def stored(outputs: Outputs, moment_ns: int) -> np.ndarray:
        outputs.save(path)
        os.utime(path, ns=(moment_ns, moment_ns))
        loaded = load_outputs(path)
        assert loaded is not None
        return loaded.logits_BTV

    first, later = make_outputs(make_logits(1)), make_outputs(make_logits(2))
    shorter = replace(first, logits_BTV=first.logits_BTV[:1])
    assert np.array_equal(first.logits_BTV, stored(first, 10**18))
    assert np.array_equal(later.logits_BTV, stored(later, 2 * 10**18))
    assert np.array_equal(shorter.logits_BTV, stored(shorter, 2 * 10**18))


@pytest.mark.parametrize("keep", [0, 3, 30, 0.5, 0.9, 0.999])
def test_outputs_that_were_cut_short_are_one_clear_error(tmp_path: Path, keep: float) -> None:
    """Wherever the file ends, it is an ArtifactError that names it; no file at all is no outputs."""
    path = tmp_path / "trained.npz"
    assert None is load_outputs(path)
    make_outputs(make_logits(1)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(ArtifactError, match=r"trained\.npz"):
        load_outputs(path)


@pytest.mark.parametrize(
    "content", [b"text", b"\x80\x04N.", b"PK\x05\x06" + b"\x00" * 18], ids=["text", "pickle", "empty zip"]
)
def test_what_is_no_outputs_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    """Text, a pickle and an empty archive are refused, and nothing of them is run."""
    (tmp_path / "trained.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"trained\.npz"):
        load_outputs(tmp_path / "trained.npz")


def test_observations_are_put_together_from_both_artifacts(tmp_path: Path) -> None:
    """A route's base and trained outputs are the write's, its reloaded ones and its weights its own."""
    write, read = make_write(), make_read(form="lora")
    written_directory, directory = save(write, tmp_path / "write"), save(read, tmp_path / "read")
    written = observed_write(write.case, MOE, write.answer, written_directory)
    found = observed_read(
        read.case, MOE, "lora", read.answer, directory, write.answer, written_directory, is_own_row=True
    )
    assert (True, True, False) == (written.base is not None, written.trained is not None, written.reloaded is not None)
    assert (found.base, found.trained) == (written.base, written.trained)
    assert found.reloaded is not None
    assert found.weights is not None
    assert ("", "lora", "own_row") == (written.form, found.form, found.reach)
    assert found.written is write.answer
    assert (write.case, MOE, write.answer, write.answer) == (
        written.case, written.family, written.answer, written.written,
    )  # fmt: skip
    assert (read.case, MOE, read.answer, ()) == (found.case, found.family, found.answer, found.files)
    assert written.weights is not None
    assert write.weights is not None
    assert write.weights.name.tolist() == written.weights.name.tolist()
    assert written.trained is not None
    assert written.base is not None
    assert not np.array_equal(written.trained.logits_BTV, written.base.logits_BTV)
    files = (FileEntry(path="merged/config.json", size_bytes=2, sha256="0"),)
    assert ("merged/config.json",) == observed_write(
        write.case, MOE, replace(write.answer, files=files), directory
    ).files


@given(st.data())
def test_damage_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    """Any bytes changed anywhere give outputs or an ArtifactError, never another exception, and never a warning."""
    content = bytearray(STORED)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder, "trained.npz")
        path.write_bytes(content)
        with suppress(ArtifactError):
            load_outputs(path)
