"""One write: load the base, train the adapter, record what it computes, save the adapter, merge, save the merge.

Fills a directory with observations; decides nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.naming import to_canonical
from harness.checkpoints.safetensors_file import write_file
from harness.metrics import observed
from harness.records.cases import Case
from harness.records.jobs import Answer, WriteJob
from reference import comparing
from reference.companions import compare_companions
from reference.data import draw_tokens, eos_of
from reference.doing import Found, Progress, answer
from reference.stored import declared_config, saved_contradictions, saved_tensors, stored_tensors
from reference.torch_peft import STACK, adapting, effective, loading, observing, training


def write(job: WriteJob, directory: Path) -> Answer:
    """Do `job` into `directory` (existing and empty) and return its answer, without the file list."""
    return answer(job.id, STACK, lambda progress, found: _write(job, directory, progress, found))


def _write(job: WriteJob, directory: Path, progress: Progress, found: Found) -> None:
    case, family, base = job.case, job.family, Path(job.base)
    config = declared_config(base)
    loading.prepare_process(case.seed)
    tokens = draw_tokens(case.seed, config["vocab_size"], eos_of(config))
    with progress.at("load_base"):
        model, found["loading"] = loading.load_model(base, case.dtype)
        tokenizer = loading.load_tokenizer(base)
        found["fields"] = loading.compare_held(base, config, family, model)
    with progress.at("observe"):
        observing.observe(model, tokens).save(directory / observed.BASE)
    with progress.at("adapt"):
        lora = adapting.lora_config(case, family, config, model)
    with progress.at("train"), observing.beginning(model) as initial:
        if case.trainer == "trl":
            trained, losses = training.train_trl(model, lora, case, tokens, tokenizer)
        else:
            trained, losses = training.train_loop(model, lora, case, tokens)
        found["losses"] = tuple(losses)
    with progress.at("observe"):
        observing.observe(trained, tokens).save(directory / observed.TRAINED)
    with progress.at("oracle"):
        deltas = to_canonical(family, config, effective.effective_deltas(trained))
        found["adapted"] = tuple(sorted(deltas))
        write_file(directory / observed.ORACLE, {name: ("F32", np.ascontiguousarray(d)) for name, d in deltas.items()})
    with progress.at("save_adapter"):
        adapter = directory / observed.adapter_folder("")
        save_adapter(trained, tokenizer, adapter)
    with progress.at("merge"):
        merged = trained.merge_and_unload()
        save_merged(merged, tokenizer, case, directory / observed.MERGED)
        found["fields"] += compare_companions(base, directory / observed.MERGED, family.aliases)
    with progress.at("compare"):
        base_tensors = stored_tensors(base, family, config)
        saved = saved_tensors(directory / observed.MERGED, family, config)
        found["contradictions"] = saved_contradictions(saved, [adapter])
        table, misread = comparing.compare(
            base_tensors,
            deltas,
            {name: values for name, (_, values) in saved.tensors.items()},
            stored=True,
            dtypes={name: dtype for name, (dtype, _) in saved.tensors.items()},
            adapter=adapter,
            family=family,
            config=config,
        )
        table.save(directory / observed.WEIGHTS)
        found["notes"] = {"misread": misread, "initial": initial}


def save_adapter(trained: Any, tokenizer: Any, directory: Path) -> None:
    """The adapter as PEFT saves it, with the tokenizer."""
    trained.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def save_merged(merged: Any, tokenizer: Any, case: Case, directory: Path) -> None:
    """The merged model as transformers saves it, the way the case asks for, with the tokenizer."""
    save = case.save
    options: dict[str, Any] = {}
    if save.shard_bytes is not None:
        options["max_shard_size"] = save.shard_bytes
    if save.fused:
        options["save_original_format"] = False
    merged.save_pretrained(directory, **options)
    tokenizer.save_pretrained(directory)
    if save.config_spelling == "transformers_4":
        path = directory / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        if "num_local_experts" in config:
            config["num_experts"] = config.pop("num_local_experts")
        path.write_text(json.dumps(config, indent=2), encoding="utf-8")
