"""The checkpoints that verifying is measured on: they hold what they should, by code that has not written them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.verify_work import ADAPTER, BASE, MERGED, Rounding, Size, write_work
from harness.checkpoints.naming import tensor_table
from harness.checkpoints.packing import Reading, delta
from harness.checkpoints.safetensors_file import read_index, read_tensor, round_to
from harness.planning.families import load_family
from harness.verify.adapters import read_adapter

FAMILY = load_family(Path(__file__).parents[2] / "cases" / "families" / "qwen3_moe.toml")
# Layers and experts have numbers in common: in a name, one must not be taken for the other.
SIZE = Size(
    num_layers=3,
    num_experts=4,
    hidden=20,
    expert_hidden=12,
    vocabulary=40,
    num_heads=3,
    num_kv_heads=1,
    head_dim=8,
    shard_bytes=9_000,
)
SCALING = np.float32(2.0)
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj")


@pytest.fixture(scope="module", params=list(Rounding))
def rounding(request: pytest.FixtureRequest) -> Rounding:
    """Both ways."""
    return Rounding(request.param)


@pytest.fixture(scope="module")
def work(rounding: Rounding, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three folders."""
    directory = tmp_path_factory.mktemp("works") / rounding
    write_work(directory, SIZE, rounding=rounding)
    return directory


def deltas(work: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every adapted weight and its delta, from the adapter's files."""
    found = {name: read_tensor(entry) for name, entry in read_index(work / ADAPTER).items()}

    def pair(module: str) -> tuple[np.ndarray, np.ndarray]:
        a, b = (found.pop(f"base_model.model.{module}.lora_{factor}.weight") for factor in "AB")
        return a, b

    for layer in range(SIZE.num_layers):
        place = f"model.layers.{layer}"
        for module in MODULES:
            a, b = pair(f"{place}.self_attn.{module}")
            yield f"{place}.self_attn.{module}.weight", SCALING * (b @ a)
        for wrapper, parts in ((".base_layer", ("gate", "up")), ("", ("down",))):
            a, b = pair(f"{place}.mlp.experts{wrapper}")
            fused = SCALING * delta(a, b, SIZE.num_experts, Reading("standard", "rank_major"))
            for expert, rows in enumerate(fused):
                for part, values in zip(parts, np.split(rows, len(parts)), strict=True):
                    yield f"{place}.mlp.experts.{expert}.{part}_proj.weight", values
    assert not found, "factors that are for nothing"


def test_the_merge_holds_what_the_adapter_says_and_nothing_else(work: Path, rounding: Rounding) -> None:
    """Each adapted weight is another than base's and the one that is due, and every other weight is base's."""
    base, merged = read_index(work / BASE), read_index(work / MERGED)
    assert list(base) == list(merged)
    others = set(base)
    for name, values in deltas(work):
        before, after = read_tensor(base[name]), read_tensor(merged[name])
        added = round_to("bfloat16", values) if rounding is Rounding.PEFT and ".experts." in name else values
        due = round_to("bfloat16", before + added)
        # Of a sum in another order, one number in many is rounded to the other side.
        assert np.mean(due != after) < 0.01, name
        np.testing.assert_allclose(after, due, atol=1e-5, rtol=2**-7, err_msg=name)
        assert np.mean(before != after) > 0.9, name
        others.remove(name)
    for name in others:
        np.testing.assert_array_equal(read_tensor(base[name]), read_tensor(merged[name]), err_msg=name)
    config = json.loads((work / BASE / "config.json").read_text(encoding="utf-8"))
    roles = {each.name: each.role for each in tensor_table(FAMILY, config).values()}
    assert {"norm", "router", "embedding", "head"} == {roles[name] for name in others}


def test_the_ways_to_round_differ_in_experts_alone(tmp_path: Path) -> None:
    """As in PEFT, which adds a Linear's delta in float32."""
    read = []
    for rounding in Rounding:
        write_work(tmp_path / rounding, SIZE, rounding=rounding)
        read.append({name: read_tensor(entry) for name, entry in read_index(tmp_path / rounding / MERGED).items()})
    differing = {name for name, values in read[0].items() if not np.array_equal(values, read[1][name])}
    assert differing == {name for name in read[0] if ".experts." in name}
    assert 0 < np.mean([np.mean(read[0][name] != read[1][name]) for name in differing]) < 0.2


def test_names_and_shapes_are_those_of_the_configuration(work: Path) -> None:
    """All stored in bfloat16, in several shards, none larger than asked for unless a single tensor is."""
    config = json.loads((work / BASE / "config.json").read_text(encoding="utf-8"))
    table = tensor_table(FAMILY, config)
    for name in (BASE, MERGED):
        index = read_index(work / name)
        assert {each.name: each.shape for each in table.values()} == {key: entry.shape for key, entry in index.items()}
        assert {"BF16"} == {entry.dtype for entry in index.values()}
        shards = [
            [entry for entry in index.values() if entry.path == path] for path in {e.path for e in index.values()}
        ]
        assert len(shards) > 3
        for shard in shards:
            assert len(shard) == 1 or sum(entry.stop - entry.start for entry in shard) <= SIZE.shard_bytes
    assert config == json.loads((work / MERGED / "config.json").read_text(encoding="utf-8"))
    assert (3, 4, 20, 12) == tuple(
        config[name] for name in ("num_hidden_layers", "num_experts", "hidden_size", "moe_intermediate_size")
    )


def test_the_adapter_means_something_in_each_of_its_tensors(work: Path) -> None:
    """To a reader of PEFT's files: six pairs a layer, with the scaling that was merged."""
    adapter = read_adapter(work / ADAPTER)
    assert () == adapter.unread == adapter.findings == adapter.whole
    assert 6 * SIZE.num_layers == len(adapter.pairs)
    assert {float(SCALING)} == {pair.scaling for pair in adapter.pairs}
    assert {32} == {pair.rank for pair in adapter.pairs}


def test_the_seed_decides_every_number(tmp_path: Path) -> None:
    """The same seed gives the same bytes, and another one other weights and other factors."""
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        write_work(tmp_path / name, SIZE, seed=seed)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) > 10
    for file in files:
        one, same, other = ((tmp_path / name / file).read_bytes() for name in ("one", "same", "other"))
        assert one == same, file
        assert (one == other) == (file.suffix == ".json"), file


def test_the_size_is_that_of_the_promise() -> None:
    """12 layers of 128 experts with 1.81e9 numbers, from 1024 to 384 and back."""
    size = Size()
    assert (12, 128, 1024, 384) == (size.num_layers, size.num_experts, size.hidden, size.expert_hidden)
    num_adapted = 3 * size.num_layers * size.num_experts * size.hidden * size.expert_hidden
    assert 1.81e9 == pytest.approx(num_adapted, rel=2e-3)
