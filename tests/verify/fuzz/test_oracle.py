"""Tests of the second opinion: it tells what it is there to tell, and knows its limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.checkpoints.safetensors_file import read_header, read_tensor
from tests.verify.fuzz.damage import edit
from tests.verify.fuzz.directories import Triple, content, copied, put_down
from tests.verify.fuzz.oracle import ADAPTER_CONFIG, CONFIG, Truth, truth_of
from tests.verify.fuzz.triples import VARIANTS, WITH_EXPERTS, adapted_names, pristine
from tests.verify.fuzz.weights import Unreadable, change, fuse, numbers, pack, split, tensor_of, tensors_of, unpack

Q_PROJ, NORM = "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_an_undamaged_triple_is_the_same(variant: str) -> None:
    """And the adapter changes some weights, but not all."""
    assert Truth.SAME is truth_of(pristine(variant), variant)
    assert 0 < len(adapted_names(variant)) < len(split(tensors_of(pristine(variant)["base"])))


def _nudged(name: str, steps: float) -> Callable[[Triple], None]:
    def nudge(triple: Triple) -> None:
        def spoil(tensors: dict[str, Any]) -> None:
            values = numbers(tensors[name])
            values[..., 0] *= 1 + steps * 2.0**-8
            tensors[name] = tensor_of(tensors[name].dtype, values)

        change(triple["merged"], spoil)

    return nudge


def _config(**fields: Any) -> Callable[[Triple], None]:
    return lambda triple: edit(triple["merged"], CONFIG, lambda held: held.update(fields))


def _adapter(**fields: Any) -> Callable[[Triple], None]:
    return lambda triple: edit(triple["adapter"], ADAPTER_CONFIG, lambda held: held.update(fields))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_nudged(NORM, 1), Truth.DIFFERENT),
        (_nudged(Q_PROJ, 1), Truth.UNKNOWN),
        (_nudged(Q_PROJ, 16), Truth.DIFFERENT),
        (_config(rope_theta=301), Truth.DIFFERENT),
        (_config(rope_theta=300), Truth.SAME),
        (_config(unheard_of=1), Truth.UNKNOWN),
        (_adapter(lora_alpha=7), Truth.DIFFERENT),
        (_adapter(lora_alpha=6.0, lora_dropout=0.5), Truth.SAME),
        (_adapter(r=0), Truth.DIFFERENT),
        (_adapter(target_modules="x"), Truth.UNKNOWN),
        (lambda triple: triple["merged"].pop(CONFIG), Truth.UNREADABLE),
        (lambda triple: triple["merged"].pop("tokenizer.json"), Truth.UNKNOWN),
        (lambda triple: triple["merged"].update({"README.md": b"x"}), Truth.SAME),
    ],
    ids=[
        "untouched, one step", "adapted, one step", "adapted, many steps", "theta", "theta, spelt otherwise", "a field",
        "alpha", "alpha, spelt otherwise", "no rank", "targets", "no config", "no tokenizer", "prose",
    ],
)  # fmt: skip
def test_a_difference_is_told(spoil: Callable[[Triple], None], expected: Truth) -> None:
    """What counts, what does not, and what is not known."""
    triple = copied(pristine("bfloat16"))
    spoil(triple)
    assert expected is truth_of(triple, "bfloat16")


@pytest.mark.parametrize("variant", WITH_EXPERTS)
def test_experts_joined_and_split_again_are_the_same(variant: str) -> None:
    """Byte by byte, in tensors of three axes."""
    tensors = split(tensors_of(pristine(variant)["merged"]))
    joined = fuse(tensors)
    assert (4, 24, 16) == joined["model.layers.0.mlp.experts.gate_up_proj"].shape
    assert (4, 16, 12) == joined["model.layers.1.mlp.experts.down_proj"].shape
    assert tensors == split(joined)


def test_both_readers_agree(tmp_path: Any) -> None:
    """Names, shapes and numbers of a file are the same to this one and to the harness."""
    paths = put_down(pristine("bfloat16"), tmp_path)
    for path in sorted(paths["merged"].glob("*.safetensors")):
        tensors = unpack(path.read_bytes())
        entries = {entry.name: entry for entry in read_header(path)}
        assert tensors.keys() == entries.keys()
        for name, entry in entries.items():
            assert (entry.dtype, entry.shape) == tensors[name][:2]
            np.testing.assert_array_equal(read_tensor(entry), numbers(tensors[name]))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file[:-1],
        lambda file: file + b"\0",
        lambda file: file.replace(b'"F32"', b'"F16"', 1),
        lambda file: file.replace(b'"shape"', b'"shapes"', 1),
        lambda file: b"\0" * 8 + file[8:],
        lambda file: file[:4],
    ],
    ids=["cut off", "longer", "another dtype", "another key", "no header", "no length"],
)
def test_a_spoilt_file_is_unreadable(spoil: Callable[[bytes], bytes]) -> None:
    """As it is to the reference implementation; unspoilt, it is read."""
    file = pack(tensors_of(pristine("float32")["adapter"]))
    assert unpack(file)
    with pytest.raises(Unreadable):
        unpack(spoil(file))


def test_content_is_found_through_links() -> None:
    """Within the directory."""
    triple = copied(pristine("dense"))
    assert json.loads(content(triple["base"], CONFIG))["model_type"] == "llama"
