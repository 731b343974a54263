"""A culprit is named by the kind that was asked for and by what was hit, no more and no less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checkpoints.naming import CanonicalTensor
from harness.faults.naming import unnamed
from harness.records.jobs import Hit
from harness.records.results import Finding, Location

PARTS = ("gate", "up", "down")
TABLE = {
    f"layers.{layer}.{expert}.{part}": CanonicalTensor(
        f"layers.{layer}.{expert}.{part}", (2, 2), f"experts.{part}", layer, expert, "normal", False
    )
    for layer in range(2)
    for expert in range(3)
    for part in PARTS
}
HIT = Hit(tensors=tuple(f"layers.1.2.{part}" for part in PARTS))


def finding(part: str = "gate", **changes: object) -> Finding:
    """One group of one role, of the expert that was hit."""
    where = Location(tensor=f"layers.1.2.{part}", layer=1, expert=2)
    return Finding(**{"kind": "delta_missing", "message": "it is base's", "where": where, **changes})  # type: ignore[arg-type]


RIGHT = [finding(part) for part in PARTS]


def test_all_that_was_hit_is_named() -> None:
    """Three groups of one tensor each, or one group of three; others of another kind do not matter."""
    assert unnamed("delta_missing", HIT, RIGHT, TABLE) == ""
    assert unnamed("delta_missing", HIT, [finding(num_alike=3)], TABLE) == ""
    assert unnamed("delta_missing", HIT, [*RIGHT, finding(kind="samples_differ", where=Location())], TABLE) == ""


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        ([], "got nothing"),
        ([finding(kind="delta_wrong_scale")], "got delta_wrong_scale"),
        (RIGHT[:2], "expected 3 tensors"),
        ([*RIGHT, finding()], "got 4"),
        ([finding(num_alike=3, where=Location(tensor="layers.0.0.gate", layer=0, expert=0))], "like layers.0.0.gate"),
        ([finding(num_alike=3, where=Location(tensor="layers.1.2.gate", layer=None, expert=2))], "expected layer 1"),
        ([finding(num_alike=3, where=Location(tensor="layers.1.2.gate", layer=1, expert=None))], "expected expert 2"),
    ],
)
def test_anything_else_is_not_naming_it(findings: list[Finding], words: str) -> None:
    """Another kind, too few, too many, another place, or no place."""
    assert words in unnamed("delta_missing", HIT, findings, TABLE)


def at(tensor: str, **changes: object) -> Finding:
    """One finding, of this tensor and of no known place."""
    return finding(where=Location(tensor=tensor), **changes)


LOST = [at(name) for name in "edcba"]


@pytest.mark.parametrize(
    ("kind", "hit", "findings", "expected"),
    [
        pytest.param("delta_missing", HIT, [at("b", kind="b"), at("a", kind="a"), at("c", kind="b")],
                     "expected delta_missing, got a, b", id="other kinds"),
        pytest.param("delta_missing", HIT, [], "expected delta_missing, got nothing", id="nothing"),
        pytest.param("delta_missing", Hit(field="x"), [at("", expected="e"), at("", message="m"), at("t"), at("t")],
                     "expected the field x, got e, m, t", id="another field"),
        pytest.param("delta_missing", Hit(file="merged/x.json"), LOST,
                     "expected the file merged/x.json, got a, b, c, d", id="another file, and at most four of them"),
        pytest.param("delta_missing", HIT, [at("t", num_alike=7)],
                     "expected 3 tensors like layers.1.2.gate, got 7 like t", id="other tensors"),
        pytest.param("delta_missing", HIT, [replace(RIGHT[0], num_alike=3, where=Location(tensor=HIT.tensors[0]))],
                     "expected layer 1, got ['None']", id="no layer"),
        pytest.param("logits_differ", HIT, [at("", kind="logits_differ", got="norm (nan)")],
                     "expected a stage of layer 1 with layers.1.2.gate, got ['norm (nan)']", id="another stage"),
    ],
)  # fmt: skip
def test_what_is_not_named_is_told_whole(kind: str, hit: Hit, findings: list[Finding], expected: str) -> None:
    """What should have been named, and what was."""
    assert expected == unnamed(kind, hit, findings, TABLE)


KEYS = ("layers.1.gate.lora_A", "layers.1.gate.lora_B")


def keyed(*keys: str) -> list[Finding]:
    """Names of the adapter's file that mean nothing."""
    return [finding(kind="adapter_key_unmatched", where=Location(tensor=key, layer=1)) for key in keys]


def test_keys_of_the_adapter_are_named_by_the_kind_that_is_about_them() -> None:
    """Exactly those that were hit; other kinds of the same fault name its tensors."""
    hit = replace(HIT, keys=KEYS)
    assert unnamed("adapter_key_unmatched", hit, [*keyed(*KEYS), *RIGHT], TABLE) == ""
    assert unnamed("delta_missing", hit, [*keyed(*KEYS), *RIGHT], TABLE) == ""
    assert "expected 3 tensors" in unnamed("delta_missing", hit, RIGHT[1:], TABLE)
    assert "got adapter_key_unmatched" in unnamed("delta_missing", hit, keyed(*KEYS), TABLE)


@pytest.mark.parametrize(
    "keys", [KEYS[:1], (*KEYS, "layers.1.up.lora_A"), (KEYS[0], "layers.1.up.lora_A"), (KEYS[0], KEYS[0]), HIT.tensors]
)
def test_other_keys_are_not_naming_them(keys: tuple[str, ...]) -> None:
    """Too few, too many, others, one of them twice, or the tensors that they should be for."""
    said = unnamed("adapter_key_unmatched", replace(HIT, keys=KEYS), keyed(*keys), TABLE)
    assert f"expected 2 tensors like layers.1.gate.lora_A, got {len(keys)}" in said


@pytest.mark.parametrize(
    ("got", "layer", "is_named"),
    [
        pytest.param("layers.1.2 (relative difference 0.5)", 1, True, id="the stage that holds what was hit"),
        pytest.param("layers.1 (relative difference 0.5)", 1, True, id="its layer as a whole"),
        pytest.param("layers.1.0 (relative difference 0.5)", 1, False, id="another stage of its layer"),
        pytest.param("layers.0.2 (relative difference 0.5)", 0, False, id="an earlier layer"),
        pytest.param("norm (relative difference 0.5)", None, False, id="later than all layers"),
        pytest.param("", None, False, id="no place"),
    ],
)
def test_a_symptom_names_the_stage_where_it_begins(got: str, layer: int | None, is_named: bool) -> None:
    """That of the first layer that was hit, and of the very module."""
    symptom = finding(kind="logits_differ", where=Location(layer=layer), got=got)
    assert is_named == (unnamed("logits_differ", HIT, [symptom], TABLE) == "")
    assert unnamed("logits_differ", Hit(), [symptom], TABLE) == ""
    everywhere = Hit(tensors=("layers.0.0.gate", *HIT.tensors))
    assert unnamed("logits_differ", everywhere, [symptom], TABLE)  # it should have begun in layer 0


def test_what_is_in_no_layer_is_named_by_a_stage_that_is_in_none() -> None:
    """The embedding is a stage by itself."""
    embedding = CanonicalTensor("model.embed.weight", (2, 2), "embedding", None, None, "normal", False)
    hit, table = Hit(tensors=(embedding.name,)), TABLE | {embedding.name: embedding}
    symptom = finding(kind="logits_differ", where=Location(), got="embed (relative difference 0.5)")
    assert "" == unnamed("logits_differ", hit, [symptom], table)
    later = replace(symptom, where=Location(layer=0), got="layers.0 (relative difference 0.5)")
    assert "expected a stage of layer None" in unnamed("logits_differ", hit, [later], table)


def test_a_field_and_a_file_are_named_by_themselves() -> None:
    """Where nothing of the model was hit."""
    changed = finding(kind="config_changed", where=Location(tensor="rope_theta"))
    assert unnamed("config_changed", Hit(field="rope_theta"), [changed], {}) == ""
    assert "head_dim" in unnamed("config_changed", Hit(field="head_dim"), [changed], {})
    lost = finding(kind="file_missing", expected="merged/tokenizer.json", where=Location())
    assert unnamed("file_missing", Hit(file="merged/tokenizer.json"), [lost], {}) == ""
    assert "config.json" in unnamed("file_missing", Hit(file="merged/config.json"), [lost], {})
    said = finding(
        kind="config_mismatch", where=Location(), message="config.json: rms_norm_eps is 1e-06, and 0.001 in base"
    )
    assert unnamed("config_mismatch", Hit(field="rms_norm_eps"), [said], {}) == ""
    assert unnamed("config_mismatch", Hit(field="norm_eps"), [said], {}) != ""
    assert unnamed("config_mismatch", Hit(file="merged/config.json"), [said], {}) == ""
    assert unnamed("config_mismatch", Hit(file="generation_config.json"), [said], {}) != ""


def test_a_field_of_the_generation_settings_is_named_by_either_name() -> None:
    """The judge calls it by the file's name, `verify` says of which file it is a field."""
    hit = Hit(field="generation_config.temperature")
    kind = "generation_config_changed"
    for message in ("generation_config.temperature came back as 1", "temperature of generation_config.json is 1"):
        assert unnamed(kind, hit, [finding(kind=kind, where=Location(), message=message)], {}) == ""
    for message in ("temperature of config.json is 1", "top_p of generation_config.json is 1", "temperature is 1"):
        assert unnamed(kind, hit, [finding(kind=kind, where=Location(), message=message)], {}) != ""


def test_what_hit_nothing_in_particular_is_named_by_its_kind() -> None:
    """A training that learnt nothing has no place."""
    assert unnamed("no_signal", Hit(), [finding(kind="no_signal", where=Location())], {}) == ""
    assert unnamed("no_signal", Hit(), RIGHT, TABLE) != ""
