"""One write: load the base, train an adapter, record what it computes, save it in every dialect, merge, save the merge.

Fills a directory with observations; decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from harness.checkpoints import configs
from harness.checkpoints.dialects import dialects_of
from harness.checkpoints.naming import module_table, roles_of, to_canonical
from harness.checkpoints.safetensors_file import write_file
from harness.errors import CaseError
from harness.metrics import observed
from harness.metrics.initial import scales
from harness.records.cases import Case, Dialect, Family
from harness.records.jobs import Answer, WriteJob
from reference import comparing
from reference.companions import compare_companions
from reference.data import Tokens, draw_tokens, eos_of
from reference.doing import Found, Progress, answer
from reference.fields import compare_fields
from reference.jax_stacked import STACK
from reference.jax_stacked.adapters.record import Adapter, Target
from reference.jax_stacked.adapters.writing import write_adapter
from reference.jax_stacked.checkpoints import load_weights, save_model
from reference.jax_stacked.effective import effective_deltas
from reference.jax_stacked.families import load_config
from reference.jax_stacked.merging import merge
from reference.jax_stacked.model import abstract, shapes
from reference.jax_stacked.observing import kept_in_training, observe
from reference.jax_stacked.slots import Shape, Slots, fresh_adapter, room_of, targets_of
from reference.jax_stacked.training import AdapterOptimizer, Batch, accumulate, no_gradients
from reference.rotary import compare_frequencies
from reference.stored import declared_config, saved_contradictions, saved_tensors, stored_tensors

RANDOM_B_STD = 0.02
SLOT = 0


def write(job: WriteJob, directory: Path) -> Answer:
    """Do `job` into `directory` (existing and empty) and return its answer, without the file list."""
    return answer(job.id, STACK, lambda progress, found: _write(job, directory, progress, found))


def _write(job: WriteJob, directory: Path, progress: Progress, found: Found) -> None:
    case, family, base = job.case, job.family, Path(job.base)
    config = declared_config(base)
    tokens = draw_tokens(case.seed, config["vocab_size"], eos_of(config))
    slot = jnp.asarray(SLOT)
    with progress.at("load_base"):
        model_config, dtype = load_config(base), jnp.dtype(case.dtype)
        targets = targets_of(shapes(model_config))
        adapted = adapted_targets(case, family, config, targets)
        model = abstract(
            model_config, lora=room_of(adapted, max(shape_of(case, path).rank for path in adapted)), dtype=dtype
        )
        load_weights(model, base)
        fields = compare_fields(config, family.aliases, partial(configs.get, config))
        found["fields"] = (*fields, compare_frequencies(fields, model.config.rope.inverse_frequencies))
    slots = Slots(model)
    with progress.at("observe"):
        observe(model, tokens, slot).save(directory / observed.BASE)  # the slot is empty yet
    with progress.at("train"):
        std_B = RANDOM_B_STD if case.adapter.init == "random" else 0.0
        shape = partial(shape_of, case)
        slots.insert(SLOT, fresh_adapter(adapted, shape, rslora=case.adapter.rslora, seed=case.seed, std_B=std_B))
        initial = scales(_factors_A(slots.extract(SLOT), targets))
        kept = kept_in_training(model, tokens, slot)
        found["losses"] = train(slots, case, tokens)
    with progress.at("observe"):
        observe(model, tokens, slot).save(directory / observed.TRAINED)
    with progress.at("oracle"):
        deltas = to_canonical(family, config, effective_deltas(slots, SLOT))
        found["adapted"] = tuple(sorted(deltas))
        write_file(directory / observed.ORACLE, {name: ("F32", np.ascontiguousarray(d)) for name, d in deltas.items()})
    with progress.at("save_adapter"):
        adapter = slots.extract(SLOT)
        folders = {
            dialect: directory / observed.adapter_folder(dialect) for dialect in dialects_of(case, family, STACK)
        }
        for dialect, folder in folders.items():
            save_adapter(adapter, dialect, targets, folder)
    with progress.at("merge"):
        counts = merge(slots, SLOT)
        merged = directory / observed.MERGED
        save_merged(model, base, case, merged)
        found["fields"] += compare_companions(base, merged, family.aliases)
    with progress.at("compare"):
        saved = saved_tensors(merged, family, config)
        found["contradictions"] = saved_contradictions(saved, folders.values())
        table, misread = comparing.compare(
            stored_tensors(base, family, config),
            deltas,
            {name: values for name, (_, values) in saved.tensors.items()},
            stored=True,
            dtypes={name: dtype for name, (dtype, _) in saved.tensors.items()},
            adapter=next(iter(folders.values())),
            family=family,
            config=config,
        )
        table.save(directory / observed.WEIGHTS)
        found["notes"] = {
            "misread": misread,
            "merged": f"{counts.changed} of {counts.attempted} matrices",
            "initial": initial,
            "kept_in_training": kept,
        }


def save_adapter(adapter: Adapter, dialect: Dialect, targets: Mapping[str, Target], directory: Path) -> None:
    """The adapter in one dialect, as PEFT reads it."""
    directory.mkdir()
    write_adapter(directory, adapter, dialect, targets=targets)


def save_merged(model: Any, base: Path, case: Case, directory: Path) -> None:
    """The model as it is now, the way the case asks for, with what lies beside base's weights."""
    directory.mkdir()
    save_model(model, directory, base=base, fused=case.save.fused, shard_bytes=case.save.shard_bytes)


def train(slots: Slots, case: Case, tokens: Tokens) -> tuple[float, ...]:
    """Take the case's steps on all sequences at once; the mean loss before each."""
    sequences = jnp.asarray(tokens.sequences_BT, jnp.int32)
    batch = Batch(sequences, sequences, jnp.full(len(sequences), SLOT, jnp.int32))
    optimizer = AdapterOptimizer(slots.model, case.learning_rate)
    gradients, losses = no_gradients(slots.model), []
    for _ in range(case.steps):
        gradients = accumulate(slots.model, batch, gradients)
        losses.append(float(gradients.loss_S[SLOT] / gradients.tokens_S[SLOT]))
        gradients = optimizer.step(SLOT, gradients)
    return tuple(loss for loss in losses if np.isfinite(loss))


def _factors_A(adapter: Adapter, targets: Mapping[str, Target]) -> dict[str, np.ndarray]:
    """The factors A of Linears and experts by the names of their weights; an embedding's begin otherwise."""
    endings = {"linear": ".weight", "experts": ""}
    kinds = {path: targets[path].kind for path in adapter.factors}
    return {path + endings[kind]: adapter.factors[path].A for path, kind in kinds.items() if kind in endings}


def adapted_targets(
    case: Case, family: Family, config: Mapping[str, Any], targets: Mapping[str, Target]
) -> dict[str, Target]:
    """The modules that `case` asks to adapt. Gate and up of experts are one, with a factor A in common, as PEFT on
    transformers 5 has them; one of the two alone is adapted alone. Raises CaseError for what cannot be adapted here.
    """
    if case.adapter.modules_to_save or case.adapter.recipe != "explicit" or case.trainer != "loop":
        raise CaseError("jax_stacked trains explicit adapters in a plain loop", where=case.name)
    roles = roles_of(family, case.adapter.adapt)
    wanted = [tensor.name for tensor in module_table(family, config).values() if tensor.role in roles]
    paths = dict.fromkeys(re.sub(r"\.experts\.\d+\.", ".experts.", name).removesuffix(".weight") for name in wanted)
    for path in [path for path in paths if path.endswith(".experts.gate_proj")]:
        up = path.replace("gate_proj", "up_proj")
        if up in paths:
            del paths[path], paths[up]
            paths[path.replace("gate_proj", "gate_up_proj")] = None
    if unknown := sorted(set(paths) - set(targets)):
        raise CaseError("modules cannot be adapted by jax_stacked", where=case.name, got=", ".join(unknown[:5]))
    return {path: targets[path] for path in paths}


def shape_of(case: Case, path: str) -> Shape:
    """Rank and alpha of a module: the first pattern that matches the end of its path, as PEFT does it."""

    def found(patterns: Mapping[str, int], fallback: int) -> int:
        return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", path)), fallback)

    spec = case.adapter
    return Shape(found(spec.rank_pattern, spec.rank), found(spec.alpha_pattern, spec.alpha))
