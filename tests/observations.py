"""Observations without a model: what metrics, judge and result assembly are tested on. Clean unless told otherwise.

Suffixes as in `harness.metrics.observed`. Weights are 3 × 2 each, under the real canonical names of a real family, so
that findings name real layers and experts; their values are drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import artifacts
from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import module_table, roles_of
from harness.checkpoints.safetensors_file import round_to
from harness.metrics.inventory import owed_files
from harness.metrics.observed import BASE, RELOADED, TRAINED, WEIGHTS, Observed, Outputs
from harness.metrics.training import cross_entropy
from harness.metrics.weight_table import WeightTable, compare_weights
from harness.planning.families import load_families
from harness.records.cases import AdapterSpec, Case, Family
from harness.records.jobs import Answer, FieldValue

FAMILIES = load_families(Path(__file__).parents[1] / "cases" / "families")
MOE, DENSE = FAMILIES["qwen3_moe"], FAMILIES["qwen3"]
EXPERT_3 = "model.layers.1.mlp.experts.3.gate_proj.weight"
"""One projection of one expert of one layer: what damage is done to."""
NORM = "model.norm.weight"
"""What no case adapts."""

NUM_SEQUENCES, NUM_TOKENS, NUM_VOCABULARY = 2, 5, 7
FIELD = FieldValue(name="rope_theta", expected="300.0", got="300.0")

Weights = dict[str, np.ndarray]
Damage = Callable[[Weights, Weights, Weights], None]
"""Changes `got` in place; is given (got, base, deltas)."""


def make_case(family: Family = MOE, **changes: Any) -> Case:
    """A case that adapts attention, and experts or MLP."""
    case = Case(
        name=f"{family.name}-tiny",
        why="a test",
        family=family.name,
        dtype="float32",
        trainer="loop",
        adapter=AdapterSpec(adapt=("attention", "experts" if family.experts else "mlp")),
    )
    return replace(case, **changes)


def make_logits(seed: int, *, scale: float = 2.0) -> np.ndarray:
    """(B, T, V) logits from a seed, float32."""
    shape = (NUM_SEQUENCES, NUM_TOKENS, NUM_VOCABULARY)
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def make_outputs(logits_BTV: np.ndarray, family: Family = MOE, **changes: Any) -> Outputs:
    """What a model with these logits computes: three samples of four tokens, two MoE layers, two experts a token."""
    num_layers, num_chosen = (2, 2) if family.experts else (0, 0)
    outputs = Outputs(
        logits_BTV=logits_BTV,
        tokens_SN=np.arange(12).reshape(3, 4),
        margins_SN=np.full((3, 4), 0.5),
        routing_MBTK=np.tile(np.arange(num_chosen), (num_layers, *logits_BTV.shape[:2], 1)),
        stages={name: logits_BTV[..., :4].copy() for name in ("embed_tokens", "layers.0", "layers.1")},
        sequences_BT=np.arange(logits_BTV.shape[0] * logits_BTV.shape[1]).reshape(logits_BTV.shape[:2])
        % logits_BTV.shape[2],
        forced_SN=np.full((3, 4), 0.5),
        drawn_SN=np.arange(8).reshape(4, 2),
        unrepeated=np.asarray(0),
    )
    return replace(outputs, **changes)


def owed_names(family: Family, case: Case) -> list[str]:
    """The tensors that the case adapts."""
    table = module_table(family, effective_config(family, case))
    roles = roles_of(family, case.adapter.adapt)
    return [name for name, tensor in table.items() if tensor.role in roles]


def make_weights(family: Family = MOE, case: Case | None = None, damage: Damage | None = None) -> WeightTable:
    """Every tensor of the family against base + delta as stored; perfect, but for the `damage`."""
    case = case or make_case(family)
    generator = np.random.default_rng(1)
    names = list(module_table(family, effective_config(family, case)))
    base = {name: round_to(case.dtype, generator.standard_normal((3, 2))) for name in names}
    deltas = {name: generator.standard_normal((3, 2)).astype(np.float32) for name in owed_names(family, case)}
    got = {name: round_to(case.dtype, base[name] + deltas.get(name, 0.0)) for name in names}
    if damage:
        damage(got, base, deltas)
    dtypes = dict.fromkeys(got, case.dtype)
    return compare_weights({name: (case.dtype, base[name]) for name in names}, deltas, got, stored=True, dtypes=dtypes)


def make_read(family: Family = MOE, *, form: str = "merged", case: Case | None = None, **changes: Any) -> Observed:
    """A route on which everything came back; `changes` replace fields."""
    case = case or make_case(family)
    written = Answer(job="write", stack="torch_peft", fields=(FIELD,), adapted=tuple(owed_names(family, case)))
    trained = make_outputs(make_logits(2), family)
    observed = Observed(
        case=case,
        family=family,
        form=form,
        answer=Answer(job="read", stack="torch_peft", fields=(FIELD,)),
        written=written,
        base=make_outputs(make_logits(1), family, tokens_SN=np.arange(12).reshape(3, 4) + 1),
        trained=trained,
        reloaded=trained,
        weights=make_weights(family, case),
    )
    return replace(observed, **changes)


def make_write(family: Family = MOE, *, case: Case | None = None, **changes: Any) -> Observed:
    """A write that adapted and saved all that it should; `changes` replace fields."""
    read = make_read(family, case=case)
    assert read.base is not None
    first_loss = cross_entropy(read.base)
    assert first_loss is not None
    losses = tuple(first_loss / (1 + step) for step in range(read.case.steps))
    notes = {"initial": {owed_names(family, read.case)[0]: [1.0, 192.0]}, "kept_in_training": [0, 4]}
    answer = replace(read.written, losses=losses, notes=notes)
    observed = replace(read, form="", answer=answer, written=answer, reloaded=None)
    return replace(replace(observed, files=owed_files(observed)), **changes)


def answered(observed: Observed, **changes: Any) -> Observed:
    """`observed` with another answer."""
    return replace(observed, answer=replace(observed.answer, **changes))


def save(observed: Observed, directory: Path, *, contents: Mapping[str, str] | None = None) -> Path:
    """The artifact that a cell would have left of `observed`, in `directory`; `contents` are its saved files."""
    with artifacts.creating(directory) as partial:
        outputs = {BASE: observed.base, TRAINED: observed.trained} if not observed.form else {}
        for name, held in {**outputs, RELOADED: observed.reloaded}.items():
            if held is not None:
                held.save(partial / name)
        if observed.weights is not None:
            observed.weights.save(partial / WEIGHTS)
        for name, text in (contents or dict.fromkeys(observed.files, "{}")).items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(text, encoding="utf-8")
        artifacts.finish(partial, observed.answer)
    return directory
