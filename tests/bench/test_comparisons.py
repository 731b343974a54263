"""What is declared: that it fits together, and that it is what was promised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.comparisons import Comparison, comparisons
from bench.models import MODELS, write_model
from bench.work import Prepare, Request
from harness.checkpoints.safetensors_file import read_index
from harness.codec import decode, encode
from harness.planning.families import load_families

ROOT = Path(__file__).parents[2]
ALL = list(comparisons())
PROMISED = {
    "decode dense at batch 1": 6.0,
    "decode dense at batch 8": 2.0,
    "decode moe at batch 1": 15.0,
    "decode moe at batch 8": 5.0,
    "decode 100m at batch 1": 1.0,
    "decode 100m at batch 8": 1.0,
}


def test_the_promises_are_those_that_were_made() -> None:
    """Of decoding at least these, of compiling at most that, and of nothing else any."""
    promises = {each.what: promise for each in ALL for promise in each.ratios}
    assert PROMISED == {what: promise.at_least for what, promise in promises.items() if promise.at_least is not None}
    assert {"compile a training step": 1.3} == {
        what: promise.at_most for what, promise in promises.items() if promise.at_most is not None
    }


@pytest.mark.parametrize("comparison", ALL, ids=lambda each: each.what)
def test_a_comparison_fits_together(comparison: Comparison) -> None:
    """Its name is its own, its ratios are of its contenders, its models are known, its work survives being sent."""
    assert "," not in comparison.what  # commas stand between names that are asked for
    assert 1 == [each.what for each in ALL].count(comparison.what)
    assert {name for each in comparison.ratios for name in (each.slow, each.fast)} == set(comparison.contenders)
    for contender in comparison.contenders.values():
        assert contender.work.checkpoint in MODELS
        request = Request(order=Prepare(name="x", work=contender.work))
        assert request == decode(Request, json.loads(json.dumps(encode(request))), where="here")


def test_every_model_is_used() -> None:
    """None is left over."""
    assert set(MODELS) == {contender.work.checkpoint for each in ALL for contender in each.contenders.values()}


def test_a_model_is_written_in_the_size_that_it_says(tmp_path: Path) -> None:
    """Configuration and weights agree, and no other family's field is set."""
    write_model("moe", tmp_path / "moe", load_families(ROOT / "cases" / "families"))
    config = json.loads((tmp_path / "moe" / "config.json").read_text(encoding="utf-8"))
    index = read_index(tmp_path / "moe")
    assert (4, 8, 2, 64, 48) == tuple(
        config[name]
        for name in ("num_hidden_layers", "num_experts", "num_experts_per_tok", "hidden_size", "moe_intermediate_size")
    )
    assert (1024, 64) == index["model.embed_tokens.weight"].shape
    assert (48, 64) == index["model.layers.3.mlp.experts.7.gate_proj.weight"].shape
    assert not config["use_sliding_window"]
    assert not [name for name in index if name.endswith(".bias")]
