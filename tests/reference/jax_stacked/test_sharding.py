"""On a mesh everything is as it was on one device, each device holds its part, and experts stay where they are.

Suffixes: `B` rows, `T` tokens, `N` new tokens, `V` vocabulary, `S` slots.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AbstractMesh

from harness.checkpoints.safetensors_file import read_index, read_tensor
from harness.errors import UsageError
from reference.jax_stacked.lora import LoraParam
from reference.jax_stacked.model import abstract, shapes
from reference.jax_stacked.sharding import RULES, make_mesh, make_sharded, shard, spread
from tests.reference.jax_stacked.conftest import ROOT
from tests.reference.jax_stacked.mesh_side import CASES, FLAGS, MeshCase
from tests.reference.jax_stacked.tiny import FAMILIES, all_room, config_of

OUT_SPLIT = ("q_proj", "k_proj", "v_proj", "q_b_proj", "kv_b_proj", "gate_proj", "up_proj", "gate_up_proj", "lm_head")
"""Modules whose outputs are split over the mesh's tensor axis."""
IN_SPLIT = ("o_proj", "down_proj", "embed_tokens")
"""Modules whose inputs are."""
LOGITS, GRADIENTS, STEP, MERGED = 1e-5, 1e-5, 1e-5, 1e-6
FELT = 1e-4
"""Of a tensor's largest gradient. Below it a step is not compared: there Adam divides noise by noise."""
MOVING = ("all-gather", "all-to-all", "collective-permute")
OPERATIONS = (*MOVING, "all-reduce", "reduce-scatter")


class Side(NamedTuple):
    """What was left of the work on one mesh, or on one device."""

    folder: Path

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """All that was computed, by name."""
        return dict(np.load(self.folder / "arrays.npz"))

    @property
    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """When, to variable, to the part that a device held."""
        parts: dict[str, dict[str, Any]] = json.loads((self.folder / "parts.json").read_text(encoding="utf-8"))
        return parts

    @property
    def merged(self) -> Mapping[str, np.ndarray]:
        """The checkpoint that was saved, by tensor."""
        return {name: read_tensor(entry) for name, entry in read_index(self.folder / "merged").items()}

    def program(self, name: str) -> str:
        """XLA's text of a program."""
        return (self.folder / f"{name}.hlo").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `mesh_side` leaves, in a process that has eight devices."""
    out = tmp_path_factory.mktemp("meshes")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.reference.jax_stacked.mesh_side", str(out)],
        env=os.environ | {"XLA_FLAGS": " ".join(FLAGS)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == ended.returncode, ended.stderr
    return out


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> MeshCase:
    """Each family on each mesh."""
    chosen: MeshCase = request.param
    return chosen


@pytest.fixture
def whole(case: MeshCase, folder: Path) -> Side:
    """The work on one device."""
    return Side(folder / case.family)


@pytest.fixture
def split(case: MeshCase, folder: Path) -> Side:
    """The work on the mesh."""
    return Side(folder / case.name)


def part_of(case: MeshCase, path: str, shape: list[int]) -> list[int]:
    """The shape of the part of a variable that each device should hold."""
    *modules, leaf = [name for name in path.split(".") if name != "lora"]
    part = list(shape)
    if "experts" in modules and leaf in ("kernel", "A", "B"):
        part[-3] //= case.expert
    if modules[-1] in OUT_SPLIT and leaf in ("kernel", "bias", "B"):
        part[-1] //= case.tensor
    if modules[-1] in IN_SPLIT and leaf in ("kernel", "embedding", "A"):
        part[-2] //= case.tensor
    return part


def collectives(text: str) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    """Every operation between devices in a program, with the shapes of what it gives."""
    for line in text.splitlines():
        if found := re.search(rf"= (.*?) ({'|'.join(OPERATIONS)})(?:-start)?\(", line):
            sizes = re.findall(r"\w+\[([\d,]*)\]", found[1])
            yield found[2], [tuple(int(size) for size in each.split(",") if size) for each in sizes]


def loops(text: str) -> str:
    """The bodies of all loops in a program."""
    bodies = set(re.findall(r" while\(.*body=%?([\w.\-]+)", text))
    computations = re.findall(r"^%?([\w.\-]+) .*?\{\n(.*?)^\}", text, flags=re.MULTILINE | re.DOTALL)
    inside = [lines for name, lines in computations if name in bodies]
    assert len(bodies) == len(inside) > 0
    return "".join(inside)


def largest(text: str, operations: tuple[str, ...] = OPERATIONS) -> int:
    """How many numbers the largest array has that devices exchange."""
    return max(
        (math.prod(shape) for operation, arrays in collectives(text) if operation in operations for shape in arrays),
        default=0,
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_each_device_holds_its_part(when: str, case: MeshCase, split: Side) -> None:
    """Of every variable, loaded into its place or moved there; also once an adapter has learned and one was merged."""
    held = split.parts[when]

    assert {path: part_of(case, path, each["shape"]) for path, each in held.items()} == {
        path: each["part"] for path, each in held.items()
    }
    for path, each in held.items():
        assert math.prod(each["shape"]) == math.prod(each["part"]) * each["num_parts"], path
        assert case.tensor * case.expert * case.data == each["num_devices"], path
    assert any(each["num_parts"] == case.tensor * case.expert for each in held.values())


def test_a_mesh_computes_what_one_device_does(whole: Side, split: Side) -> None:
    """Logits of two adapters in one batch with padding, and every greedy token."""
    expected, got = whole.arrays, split.arrays

    np.testing.assert_allclose(got["logits_BTV"], expected["logits_BTV"], rtol=0, atol=LOGITS)
    np.testing.assert_array_equal(got["tokens_BN"], expected["tokens_BN"])
    assert len(np.unique(got["tokens_BN"])) > 2


def test_a_mesh_learns_what_one_device_does(whole: Side, split: Side) -> None:
    """Every gradient of both adapters, their losses, and the first AdamW step of one of them, that leaves the other."""
    expected, got = whole.arrays, split.arrays

    assert expected.keys() == got.keys()
    for name in ("loss_S", "tokens_S"):
        np.testing.assert_allclose(got[name], expected[name], rtol=GRADIENTS)
    for path in (key.removeprefix("gradients/") for key in expected if key.startswith("gradients/")):
        gradient, other = expected[f"gradients/{path}"], got[f"gradients/{path}"]
        assert np.linalg.norm(gradient) > 0, path
        assert np.linalg.norm(other - gradient) <= GRADIENTS * np.linalg.norm(gradient), path
        felt = np.abs(gradient) > FELT * np.abs(gradient).max()
        np.testing.assert_allclose(
            got[f"after/{path}"][felt], expected[f"after/{path}"][felt], rtol=STEP, atol=STEP * 1e-3, err_msg=path
        )


def test_a_mesh_saves_what_one_device_does(whole: Side, split: Side) -> None:
    """The same tensors with the same values, base and merged, and the same counts of the merge."""
    expected, got = whole.merged, split.merged

    assert expected.keys() == got.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=0, atol=MERGED, err_msg=name)
    assert whole.arrays["counts"].tolist() == split.arrays["counts"].tolist()
    assert split.arrays["counts"][1] > 0


def test_devices_exchange_sums_and_no_weights(case: MeshCase, whole: Side, split: Side) -> None:
    """In a training step, and in the loop over tokens, nothing as large as a layer's smallest matrix is moved."""
    kernels = [
        math.prod(each["shape"][1:])
        for path, each in split.parts["before"].items()
        if path.endswith(".kernel") and "stacks" in path and each["num_parts"] > 1
    ]
    for text in (split.program("step"), loops(split.program("decode"))):
        assert "all-reduce" in {operation for operation, _ in collectives(text)}
        assert largest(text, MOVING) < min(kernels)
    assert [] == list(collectives(whole.program("step")))


@pytest.mark.parametrize("case", [case for case in CASES if case.expert > 1], indirect=True, ids=lambda case: case.name)
def test_experts_stay_where_they_are(case: MeshCase, split: Side) -> None:
    """Tokens' values are exchanged, and nothing as large as a device's part of a layer's experts."""
    experts = [
        math.prod(each["part"][1:])
        for path, each in split.parts["before"].items()
        if path.endswith(".kernel") and ".experts." in path
    ]
    # Over rows, the gradients of all adapters are summed.
    in_a_step = OPERATIONS if case.data == 1 else MOVING
    assert 0 < largest(split.program("step"), in_a_step) < min(experts)
    assert 0 < largest(loops(split.program("decode"))) < min(experts)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_axis_has_a_rule(family: str) -> None:
    """Every weight and every factor names its axes, all but those of layers and slots; and some are split."""
    state = nnx.state(shapes(config_of(family), lora=all_room(num_slots=2, max_rank=3)), (nnx.Param, LoraParam))
    named = {
        ".".join(map(str, path)): (variable.get_metadata("axes"), variable.get_value().ndim)
        for path, variable in nnx.to_flat_state(state)
    }

    assert set() == {name for axes, _ in named.values() for name in axes} - RULES.keys()
    assert all(num_axes - len(axes) == ("stacks" in path) for path, (axes, num_axes) in named.items())
    assert any(set(axes) != {None} for axes, _ in named.values())


@pytest.mark.parametrize(
    ("family", "changes", "axis", "over", "where", "size"),
    [
        ("qwen3", {}, "tp", 4, "key-value heads", 2),
        ("deepseek_v3", {}, "tp", 3, "heads", 4),
        ("qwen3_moe", {}, "ep", 3, "model.layers.stacks.0._stacked.mlp.experts.down_proj.kernel", 8),
        ("qwen3", {"intermediate_size": 57}, "tp", 2, "model.layers.stacks.0._stacked.mlp.down_proj.kernel", 57),
        ("llama", {"vocab_size": 161}, "tp", 2, "lm_head.kernel", 161),
    ],
    ids=["key-value heads", "heads", "experts", "width", "vocabulary"],
)
def test_what_does_not_divide_is_named(
    family: str, changes: dict[str, Any], axis: str, over: int, where: str, size: int
) -> None:
    """With the variable, the axis and both sizes; and nothing was moved."""
    axes = ("dp", "ep", "tp")
    mesh: Any = AbstractMesh(tuple(over if name == axis else 1 for name in axes), axes)
    message = f"^{where}: cannot be split over the mesh's '{axis}'; expected a multiple of {over}; got {size}$"
    model = abstract(config_of(family, **changes))
    before = jax.tree.leaves(nnx.state(model))

    with pytest.raises(UsageError, match=message):
        shard(model, mesh)
    with pytest.raises(UsageError, match=message):
        make_sharded(lambda: abstract(config_of(family, **changes)), mesh)
    assert all(array is other for array, other in zip(before, jax.tree.leaves(nnx.state(model)), strict=True))


def test_rows_that_do_not_divide_are_named() -> None:
    """A batch of three rows is for no two groups of devices."""
    mesh: Any = AbstractMesh((2, 1, 1), ("dp", "ep", "tp"))

    with pytest.raises(UsageError, match=r"cannot be split over the mesh's 'dp'; expected a multiple of 2; got 3"):
        spread({"tokens_BT": np.zeros((3, 5), np.int32)}, mesh)


@pytest.mark.parametrize("sizes", [{"tensor": 1024}, {"expert": 0}], ids=["too many", "none"])
def test_a_mesh_has_as_many_devices_as_there_are(sizes: dict[str, int]) -> None:
    """Or it is refused, with both numbers."""
    with pytest.raises(UsageError, match=r"no such mesh; expected 1 to \d+ devices; got (1024|0)"):
        make_mesh(**sizes)
