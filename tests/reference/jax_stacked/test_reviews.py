"""Bugs that reviews of SkyRL tx found in its stacked layers, put back into ours one at a time: each is seen.

The reviews are those of pull requests 1018, 1079 and 1127 of NovaSky-AI/SkyRL, called by their numbers here; "as
released" is what its releases were seen to do. Some say that no text is found in a path, whose entries are objects. In
flax's flat states they are texts and numbers; in jax's own paths they are objects, and so the bug is put back. Left out
is what is no bug: two stacks for DeepSeek V3, which were proposed, are `DecoderStacks`.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from harness.checkpoints.safetensors_file import SINGLE_FILE, read_header, read_index, read_tensor, write_file
from harness.errors import ArtifactError, UsageError
from reference.jax_stacked import training
from reference.jax_stacked.adapters import reading
from reference.jax_stacked.adapters.names import PREFIX, WEIGHTS_FILE
from reference.jax_stacked.adapters.record import Adapter, Target
from reference.jax_stacked.adapters.writing import write_adapter
from reference.jax_stacked.checkpoints import load_model, load_weights, places, save_model
from reference.jax_stacked.experts import ExpertProjection
from reference.jax_stacked.families import load_config
from reference.jax_stacked.lora import LoraParam, LoraSpec
from reference.jax_stacked.model import CausalLM, shapes
from reference.jax_stacked.slots import Shape, Slots, fresh_adapter, targets_of
from reference.jax_stacked.stacked import ArrayRef, DecoderStacks, StackedDecoderLayers, _strings, unstack_state
from tests.reference.jax_stacked.tiny import adapter_of, base_of, config_of, model_of, same, within

SPARSE, MIXED = config_of("qwen3_moe"), config_of("deepseek_v3")
"""Two sparse layers of eight experts; a dense layer, then two sparse ones that have a shared expert too."""
NUM_LAYERS, NUM_EXPERTS = 2, 8
NUM_SLOTS, MAX_RANK = 3, 12
ADAPTED = ("embed_tokens", "self_attn.o_proj", "mlp.experts.down_proj")


class Bug(NamedTuple):
    """A bug in one function."""

    function: Callable[..., Any]
    lines: Mapping[str, str]
    """What its source has once, to what stands there with the bug."""
    seen_as: type[Exception] = AssertionError
    """What the check fails with. It is another where the bug cannot pass in silence."""
    says: str | None = None
    """An expression that the error matches."""


class Finding(NamedTuple):
    """What a review found."""

    check: Callable[[Path], None]
    """Holds of our code; it is given an empty folder. Its docstring says who found what, and where."""
    bugs: Mapping[str, Bug]
    """With each of them it does not hold."""


def put_back(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the function run as it would with `bug`, whoever calls it and by whatever name."""
    source = textwrap.dedent(inspect.getsource(bug.function))
    for ours, theirs in bug.lines.items():
        assert 1 == source.count(ours), f"not once in {bug.function.__qualname__}: {ours}"
        source = source.replace(ours, theirs)
    made: dict[str, Any] = {}
    exec(source, dict(bug.function.__globals__), made)
    monkeypatch.setattr(bug.function, "__code__", made[bug.function.__name__].__code__)


def refusal(use: Callable[[], object]) -> str:
    """What is said of what cannot be used; nothing where it is used."""
    try:
        use()
    except (ArtifactError, ValueError) as error:
        return str(error)
    return ""


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Write a file of tensors anew after `change` of them."""
    tensors = {entry.name: (entry.dtype, read_tensor(entry)) for entry in read_header(path)}
    change(tensors)
    write_file(path, tensors)


def stored(directory: Path) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint."""
    return {name: read_tensor(entry) for name, entry in read_index(directory).items()}


def filled_slots() -> Slots:
    """Of a model with room in embedding, attention and experts, full of rubbish."""
    room = LoraSpec(num_slots=NUM_SLOTS, max_rank=MAX_RANK, targets=frozenset(ADAPTED))
    return Slots(model_of(SPARSE, lora=room, fill=True))


def adapter_for(slots: Slots, rank: int = 3) -> Adapter:
    """Random factors for all that there is room for."""
    return adapter_of(slots.model, within(ADAPTED, rank))


def factors_by_slot(slots: Slots) -> list[dict[str, np.ndarray]]:
    """All factors of each slot as they lie in the model, to their full rank."""
    views = unstack_state(slots.model, LoraParam)
    return [{".".join(path): np.array(view.value[slot]) for path, view in views.items()} for slot in range(NUM_SLOTS)]


def unlike(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> set[str]:
    """Names of the arrays that differ."""
    assert before.keys() == after.keys()
    return {name for name, values in before.items() if not np.array_equal(values, after[name])}


class Retriever(nnx.Module):
    """A model under a name that has a part of another in it, beside stacks in a list with a name of its own."""

    def __init__(self) -> None:
        self.embedder = model_of(MIXED)
        self.heads = nnx.List(list(model_of(config_of("llama")).model.layers.stacks))


def every_number_is_in_one_view(_scratch: Path) -> None:
    """`unstack_state` (#1127) kept a stack's variables beside the views of its layers."""
    model = model_of(MIXED)

    views = unstack_state(model)

    num_values = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model)))
    assert num_values == sum(int(np.prod(view.shape)) for view in views.values())


def every_layer_has_paths_of_its_own(_scratch: Path) -> None:
    """`unstack_paths` (#1079) and `unstack_state` (#1127) looked for texts among what may be no texts."""
    paths = list(unstack_state(Retriever()))

    assert {str} == {type(part) for path in paths for part in path}
    assert {"0", "1", "2"} == {path[3] for path in paths if path[:3] == ("embedder", "model", "layers")}
    assert {("heads", "0", "0"), ("heads", "0", "1")} == {path[:3] for path in paths if path[0] == "heads"}


def stacks_are_found_by_their_type(_scratch: Path) -> None:
    """`unstack_state` (#1079, #1127) knew the layers of `model.layers` only."""
    whole = Retriever()

    inside, alone = unstack_state(whole), unstack_state(whole.embedder)

    assert [("embedder", *path) for path in alone] == [path for path in inside if path[0] == "embedder"]


def every_stored_number_arrives(scratch: Path) -> None:
    """`load_safetensors` passed over experts, which are stored apart (#1079, #1127), or knew none as such (#1018)."""
    base = base_of(scratch / "base", "qwen3_moe")
    model = model_of(load_config(base), seed=5)

    load_weights(model, base)

    expected = stored(base)
    layers: Any = model.model.layers.stacks[0]._stacked
    q_LDO, gate_up_LEDO, down_LEFD = (
        np.asarray(module.kernel[...])
        for module in (layers.self_attn.q_proj, layers.mlp.experts.gate_up_proj, layers.mlp.experts.down_proj)
    )
    np.testing.assert_array_equal(expected["model.embed_tokens.weight"], model.model.embed_tokens.embedding[...])
    for layer in range(NUM_LAYERS):
        np.testing.assert_array_equal(expected[f"model.layers.{layer}.self_attn.q_proj.weight"].T, q_LDO[layer])
        for expert in range(NUM_EXPERTS):
            prefix = f"model.layers.{layer}.mlp.experts.{expert}"
            gate, up, down = (expected[f"{prefix}.{part}_proj.weight"] for part in ("gate", "up", "down"))
            np.testing.assert_array_equal(np.concatenate([gate, up]).T, gate_up_LEDO[layer, expert])
            np.testing.assert_array_equal(down.T, down_LEFD[layer, expert])


def what_is_saved_is_the_model(scratch: Path) -> None:
    """`save_safetensors` (#1018) used a view as if it were the array that it is a view of."""
    base, saved = base_of(scratch / "base", "qwen3_moe"), scratch / "saved"
    saved.mkdir()

    save_model(load_model(base), saved, base=base)

    assert set() == unlike(stored(base), stored(saved))


def a_view_is_of_the_model_as_it_is(_scratch: Path) -> None:
    """`ArrayRef` (#1018, #1079) held values of its own beside those that it is a view of."""
    model, path = model_of(SPARSE), ("model", "layers", "1", "self_attn", "o_proj", "kernel")
    one, other = (unstack_state(model)[path] for _ in range(2))
    new = np.random.default_rng(0).normal(size=one.shape).astype(np.float32)

    one.write(new)

    np.testing.assert_array_equal(new, model.model.layers.stacks[0]._stacked.self_attn.o_proj.kernel[...][1])
    np.testing.assert_array_equal(new, other.value)


def nothing_is_broadcast(_scratch: Path) -> None:
    """`extract_adapter_state` (#1018) did not check any longer what shape a slice has."""
    view = ArrayRef(nnx.Param(jnp.zeros((2, 3, 4))), 1)

    assert "cannot write (4,) into a place of shape (3, 4)" == refusal(lambda: view.write(np.ones(4)))


def a_module_is_what_its_whole_name_says(_scratch: Path) -> None:
    """`save_safetensors` (#1018) told modules apart by whether a name is in theirs."""
    whole: Any = Retriever()

    found, targets = places(whole, fused=False), targets_of(whole.embedder)

    mlp = "embedder.model.layers.1.mlp"
    assert {f"{mlp}.shared_experts.gate_proj.weight", f"{mlp}.experts.7.gate_proj.weight"} <= found.keys()
    assert found["embedder.lm_head.weight"].transposed
    assert not found["embedder.model.embed_tokens.weight"].transposed
    assert "model.layers.0.mlp.gate_proj" in targets
    assert "model.layers.1.mlp.gate" not in targets


def what_is_missing_is_named(scratch: Path) -> None:
    """`load_safetensors` (#1079, #1127) passed over whatever is not stored."""
    base = base_of(scratch / "base", "qwen3_moe")
    changed(base / SINGLE_FILE, lambda held: held.pop("model.layers.1.self_attn.k_norm.weight"))

    assert "1 tensors are missing" in refusal(lambda: load_model(base))


def what_has_no_place_is_named(scratch: Path) -> None:
    """As released, `load_safetensors` passes over whatever else is stored."""
    base = base_of(scratch / "base", "qwen3_moe")
    changed(base / SINGLE_FILE, lambda held: held.update({"model.layers.2.norm": held["model.norm.weight"]}))

    assert "1 tensors have no place in the model" in refusal(lambda: load_model(base))


def factors_in_a_file_are_all_that_are_meant(scratch: Path) -> None:
    """As released, `load_lora_checkpoint` does the same with factors, missing and unknown ones."""
    slots, file = filled_slots(), scratch / WEIGHTS_FILE
    targets = targets_of(slots.model)
    key = f"{PREFIX}model.layers.1.self_attn.o_proj.lora_A.weight"
    other = key.replace("o_proj", "v_proj")

    write_adapter(scratch, adapter_for(slots), "per_expert", targets=targets)
    changed(file, lambda held: held.update({other: held[key]}))
    assert "1 tensors are not of a module that it targets" in refusal(lambda: reading.read_adapter(scratch, targets))
    changed(file, lambda held: (held.pop(other), held.pop(key)))
    assert "1 tensors of targeted modules are missing" in refusal(lambda: reading.read_adapter(scratch, targets))


def factors_of_experts_come_back(rank: int, _scratch: Path) -> None:
    """`get_lora_adapter_slice` (#1127) cut the same axes to the rank whether there are experts before them or not."""
    slots = filled_slots()
    adapter = adapter_for(slots, rank)

    slots.insert(1, adapter)

    assert same(adapter.factors, slots.extract(1).factors)


def reloaded(slots: Slots, scratch: Path) -> bool:
    """Whether a saved adapter is what is in slot 1 after it was loaded into that."""
    adapter, targets = adapter_for(slots), targets_of(slots.model)
    write_adapter(scratch, adapter, "per_expert", targets=targets)
    slots.insert(1, reading.read_adapter(scratch, targets))
    return same(adapter.factors, slots.extract(1).factors)


def a_saved_adapter_takes_the_place_of_rubbish(scratch: Path) -> None:
    """`load_lora_checkpoint` passed over factors of experts (#1127), or looked for factors among no texts (#1079)."""
    assert reloaded(filled_slots(), scratch)


def an_adapter_has_a_slot_in_every_layer(_scratch: Path) -> None:
    """`get_adapter_idx` (#1079) has to know that slots are a stack's second axis and another variable's first."""
    slots = filled_slots()
    before = factors_by_slot(slots)

    slots.insert(0, adapter_for(slots))

    after = factors_by_slot(slots)
    assert [set(before[0]), set(), set()] == [unlike(*each) for each in zip(before, after, strict=True)]


def a_step_is_of_one_adapter(_scratch: Path) -> None:
    """`AccumulatedGradients` (#1079) has to know the same of the gradients that it sums up."""
    slots = filled_slots()
    before, none = factors_by_slot(slots), training.no_gradients(slots.model)
    ones = none._replace(summed=jax.tree.map(jnp.ones_like, none.summed), tokens_S=jnp.ones(NUM_SLOTS))

    training.AdapterOptimizer(slots.model, 1e-2).step(1, ones)

    after = factors_by_slot(slots)
    assert [set(), set(before[1]), set()] == [unlike(*each) for each in zip(before, after, strict=True)]


def training_keeps_no_keys_and_values(_scratch: Path) -> None:
    """`_model_forward` (#1079) did not say that it trains, so the scan kept keys and values of every layer."""
    graph, state = nnx.split(shapes(MIXED))
    tokens_BT = jnp.zeros((2, 5), jnp.int32)
    batch = training.Batch(tokens_BT, tokens_BT, jnp.zeros(2, jnp.int32))

    program = jax.make_jaxpr(lambda state: training.sequence_losses(nnx.merge(graph, state), batch))(state)

    scans = [equation for equation in program.eqns if equation.primitive.name == "scan"]
    assert [0, 0] == [len(scan.outvars) - scan.params["num_carry"] for scan in scans]


def weights_are_drawn_alike_however_many_experts_there_are(_scratch: Path) -> None:
    """As released, `he_uniform` takes experts for inputs."""
    few, many = (
        ExpertProjection(
            num_experts, 16, 24, axes=(None, None, None), lora=None, rngs=nnx.Rngs(0), std=0.3,
            dtype=jnp.dtype(jnp.float32),
        ).kernel[...]
        for num_experts in (4, 64)
    )  # fmt: skip

    assert float(few.std()) == pytest.approx(float(many.std()), rel=0.1)
    assert 0.3 == pytest.approx(float(many.std()), rel=0.1)


def factors_are_drawn_alike_however_many_layers_and_experts_there_are(_scratch: Path) -> None:
    """As released, `he_uniform` takes layers and experts for inputs of a factor A."""
    for num_layers, num_experts in ((1, 4), (16, 4), (1, 32)):
        target = Target(kind="experts", in_features=48, out_features=40, num_experts=num_experts)
        targets = {f"model.layers.{layer}.mlp.experts.down_proj": target for layer in range(num_layers)}
        for path, factors in fresh_adapter(targets, lambda _path: Shape(8, 16.0)).factors.items():
            assert 1 / np.sqrt(3 * 48) == pytest.approx(factors.A.std(), rel=0.1), f"{path} of {num_experts}"


def cut_as_without_experts(seen_as: type[Exception] = AssertionError, says: str | None = None) -> Mapping[str, Bug]:
    """Factors of experts as those of a plain matrix, on their way out of a slot and into it."""
    out = {"[..., : shape.rank]": "[:, : shape.rank]", "[..., : shape.rank, :]": "[: shape.rank, :]"}
    into = {"axis=-2": "axis=0", "axis=-1": "axis=1"}
    return {
        "on the way out": Bug(Slots.extract, out, seen_as, says),
        "on the way in": Bug(Slots.insert, into, ValueError, "cannot write .* into a place of shape"),
    }


KEY_OBJECTS = {"path = _strings(entries)": "path = tuple(jax.tree_util.DictKey(entry) for entry in entries)"}
"""The entries of a path as jax's own paths have them."""
A_COPY = Bug(
    ArrayRef.__init__,
    {"= variable, layer": "= variable.replace(jnp.array(variable.get_value())), layer"},
)
PAST_EXPERTS = Bug(
    Slots.insert,
    {
        "    self.clear(slot)\n": "",
        "room = rooms[path]": "room = rooms[path]\n        if factors.A.ndim == 3:\n            continue",
    },
)
"""Without the clearing too: zeros would show."""

FINDINGS: Mapping[str, Finding] = {
    "stacks beside their layers": Finding(
        every_number_is_in_one_view,
        {
            "both kept": Bug(
                unstack_state,
                {
                    "        if home is None:\n            views[path] = ArrayRef(live)\n            continue\n": (
                        "        views[path] = ArrayRef(live)\n        if home is None:\n            continue\n"
                    )
                },
            )
        },
    ),
    "paths": Finding(
        every_layer_has_paths_of_its_own,
        {
            "of objects": Bug(unstack_state, KEY_OBJECTS),
            "of numbers too": Bug(_strings, {"tuple(str(entry) for entry in entries)": "tuple(entries)"}),
        },
    ),
    "stacks elsewhere": Finding(
        stacks_are_found_by_their_type,
        {
            "found by name": Bug(
                unstack_state,
                {
                    "isinstance(module, StackedDecoderLayers)": (
                        'isinstance(module, StackedDecoderLayers) and path[:2] == ("model", "layers")'
                    )
                },
            )
        },
    ),
    "loading": Finding(
        every_stored_number_arrives,
        {
            "experts not stored as one": Bug(
                load_weights,
                {
                    "        place.write(": (
                        '        if name.replace(f".experts.{(*place.part, None)[0]}.", ".experts.") in index:\n'
                        "            place.write("
                    )
                },
            ),
            "experts among objects": Bug(
                places,
                {
                    "*module, leaf = path": "*module, leaf = path\n        from jax.tree_util import DictKey",
                    'module[-2:-1] == ["experts"]': '"experts" in [DictKey(part) for part in module]',
                },
                ArtifactError,
                "tensors are missing",
            ),
            "into a copy": A_COPY,
        },
    ),
    "saving": Finding(
        what_is_saved_is_the_model,
        {
            "the whole array of a view": Bug(
                ArrayRef.read,
                {"index if self.layer is None else (self.layer, *index)": "index"},
                ArtifactError,
                "values have another shape than promised",
            )
        },
    ),
    "views": Finding(a_view_is_of_the_model_as_it_is, {"a copy": A_COPY}),
    "shapes": Finding(nothing_is_broadcast, {"not looked at": Bug(ArrayRef.write, {"!= wanted": "is None"})}),
    "names": Finding(
        a_module_is_what_its_whole_name_says,
        {
            "with experts in them": Bug(
                places, {'module[-2:-1] == ["experts"]': '"experts" in name'}, ValueError, "not enough values"
            ),
            "with embed in them": Bug(places, {'leaf == "kernel")': '"embed" not in name)'}),
            "with gate in them": Bug(targets_of, {'module.endswith(".mlp.gate")': '".mlp.gate" in module'}),
        },
    ),
    "missing keys": Finding(
        what_is_missing_is_named,
        {
            "passed over": Bug(
                load_weights,
                {
                    '    _complain("tensors are missing"': (
                        "    wanted = {name: wanted[name] for name in wanted if name in index}\n"
                        '    _complain("tensors are missing"'
                    )
                },
            )
        },
    ),
    "unknown keys": Finding(
        what_has_no_place_is_named,
        {"passed over": Bug(load_weights, {"unexpected = set(index) - set(wanted)": "unexpected = set()"})},
    ),
    "keys of factors": Finding(
        factors_in_a_file_are_all_that_are_meant,
        {
            "unknown": Bug(reading._check_keys, {"sorted(set(entries) - wanted - bases)": "[]"}),
            "missing": Bug(reading._check_keys, {"sorted(wanted - set(entries))": "[]"}, KeyError, "o_proj.lora_A"),
        },
    ),
    "rank below experts": Finding(
        partial(factors_of_experts_come_back, 3), cut_as_without_experts(UsageError, "A and B do not multiply")
    ),
    "rank equal to experts": Finding(partial(factors_of_experts_come_back, 8), cut_as_without_experts()),
    "rank above experts": Finding(partial(factors_of_experts_come_back, 11), cut_as_without_experts()),
    "reloading": Finding(
        a_saved_adapter_takes_the_place_of_rubbish,
        {
            "past experts": PAST_EXPERTS,
            "experts not stored as one": Bug(
                reading.read_adapter,
                {
                    "    for each in meant:\n": (
                        "    for each in meant:\n"
                        '        key = each.keys[0].replace(f".experts.{each.place.expert}.", ".experts.")\n'
                        "        if key not in entries:\n"
                        "            continue\n"
                    )
                },
            ),
            "among objects": Bug(unstack_state, KEY_OBJECTS, TypeError, "expected str instance, DictKey found"),
        },
    ),
    "slots": Finding(
        an_adapter_has_a_slot_in_every_layer,
        {"are layers": Bug(ArrayRef.write, {"(self.layer, *index)": "(*index, self.layer)"})},
    ),
    "steps": Finding(
        a_step_is_of_one_adapter,
        {"of a layer": Bug(training._slot_axis, {"int(variable.get_value().ndim - len(axes))": "0"})},
    ),
    "training": Finding(
        training_keeps_no_keys_and_values,
        {
            "is not said": Bug(training.sequence_losses, {"is_training=True": "is_training=False"}),
            "is not said to layers": Bug(CausalLM.__call__, {"is_training=is_training": "is_training=False"}),
            "is not said to stacks": Bug(DecoderStacks.__call__, {"is_training=is_training": "is_training=False"}),
            "is not heard": Bug(StackedDecoderLayers.__call__, {"None if is_training else kept": "kept"}),
        },
    ),
    "first weights": Finding(
        weights_are_drawn_alike_however_many_experts_there_are,
        {"experts are inputs": Bug(ExpertProjection.__init__, {"NORMAL(std)": "jax.nn.initializers.he_uniform()"})},
    ),
    "first factors": Finding(
        factors_are_drawn_alike_however_many_layers_and_experts_there_are,
        {
            "experts are inputs": Bug(
                fresh_adapter, {"np.sqrt(target.in_features)": "np.sqrt(target.in_features * target.num_experts)"}
            ),
            "layers are inputs": Bug(
                fresh_adapter, {"np.sqrt(target.in_features)": "np.sqrt(target.in_features * len(targets))"}
            ),
        },
    ),
}


@pytest.mark.parametrize("finding", FINDINGS)
def test_our_code_is_right(finding: str, tmp_path: Path) -> None:
    """What a review found elsewhere does not hold here, and there is a bug to tell by that this is looked at."""
    FINDINGS[finding].check(tmp_path)

    assert FINDINGS[finding].bugs


@pytest.mark.parametrize(
    ("finding", "bug"), [(finding, bug) for finding, found in FINDINGS.items() for bug in found.bugs]
)
def test_the_bug_would_be_seen(finding: str, bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same check fails where the bug is put back."""
    check, bugs = FINDINGS[finding]
    put_back(bugs[bug], monkeypatch)

    with pytest.raises(bugs[bug].seen_as, match=bugs[bug].says):
        check(tmp_path)


def test_a_slot_of_the_same_values_would_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload that leaves experts out passes where they began alike, as from one seed: so slots begin as rubbish."""
    alike = filled_slots()
    alike.insert(1, adapter_for(alike))

    put_back(PAST_EXPERTS, monkeypatch)

    assert reloaded(alike, tmp_path)
    assert not reloaded(filled_slots(), tmp_path)


def test_what_paths_are_of() -> None:
    """Entries of flax's flat states are texts and numbers, those of jax's own paths are objects that equal neither."""
    state = nnx.state(shapes(MIXED))

    assert {str, int} == {type(entry) for path, _ in nnx.to_flat_state(state) for entry in path}
    keys = {entry for path, _ in jax.tree_util.tree_leaves_with_path(state) for entry in path}
    assert jax.tree_util.DictKey("_stacked") in keys
    assert not keys & {"_stacked", 0}
