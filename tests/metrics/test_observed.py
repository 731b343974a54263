"""Outputs on disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ArtifactError
from harness.metrics.observed import Observed, Outputs, adapter_folder, load_outputs, observed_read, observed_write
from harness.records.cases import Dialect
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
    for name in ("logits_BTV", "tokens_SN", "margins_SN", "routing_MBTK"):
        before, after = getattr(outputs, name), getattr(loaded, name)
        assert (before.dtype, before.shape, before.tolist()) == (after.dtype, after.shape, after.tolist())
    assert list(outputs.stages) == list(loaded.stages)
    assert all(np.array_equal(outputs.stages[name], loaded.stages[name]) for name in outputs.stages)


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
