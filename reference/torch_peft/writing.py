"""One write: load the base, train the adapter, record what it computes, save the adapter, merge, save the merge.

Fills a directory with observations; decides nothing. What goes wrong in the code under test ends in a `Crash`.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.naming import to_canonical
from harness.checkpoints.safetensors_file import write_file
from harness.metrics import observed
from harness.records.jobs import Answer, Crash, LoadReport, WriteJob
from reference.data import draw_tokens, eos_of
from reference.torch_peft import adapting, comparing, effective, loading, observing, training
from reference.torch_peft.checkpoints import declared_config, stored_tensors

MAX_TRACEBACK_CHARACTERS = 6000


class Progress:
    """Where a job is and how long each part took; an exception becomes the job's crash, with its stage."""

    def __init__(self) -> None:
        self.stage = "start"
        self.timings_s: dict[str, float] = {}
        self.crash: Crash | None = None

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """Name and time a part of the job."""
        self.stage = stage
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings_s[stage] = self.timings_s.get(stage, 0.0) + time.perf_counter() - started

    def run(self, work: Callable[[], None]) -> None:
        """Run `work`; this is the edge of the cell's process, so any exception of the code under test is recorded."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever the code under test raises is what we came to record
            message = str(error)[:MAX_TRACEBACK_CHARACTERS]
            trace = traceback.format_exc()[-MAX_TRACEBACK_CHARACTERS:]
            self.crash = Crash(stage=self.stage, exception=type(error).__name__, message=message, traceback=trace)


def write(job: WriteJob, directory: Path) -> Answer:
    """Do `job` into `directory` (existing and empty) and return its answer, without the file list."""
    progress = Progress()
    found: dict[str, Any] = {"loading": LoadReport(), "fields": (), "adapted": (), "losses": ()}
    with loading.captured_warnings() as warnings:
        progress.run(lambda: _write(job, directory, progress, found))
    return Answer(
        job=job.id,
        crash=progress.crash,
        versions=loading.installed_versions(),
        warnings=tuple(warnings),
        timings_s=progress.timings_s,
        **found,
    )


def _write(job: WriteJob, directory: Path, progress: Progress, found: dict[str, Any]) -> None:
    case, family, base = job.case, job.family, Path(job.base)
    config = declared_config(base)
    loading.prepare_process(case.seed)
    tokens = draw_tokens(case.seed, config["vocab_size"], eos_of(config))
    with progress.at("load_base"):
        model, found["loading"] = loading.load_model(base, case.dtype)
        tokenizer = loading.load_tokenizer(base)
        found["fields"] = loading.compare_fields(config, family.aliases, model.config)
    with progress.at("observe"):
        observing.observe(model, tokens).save(directory / observed.BASE)
    with progress.at("adapt"):
        lora = adapting.lora_config(case, family, config, model)
    with progress.at("train"):
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
        trained.save_pretrained(directory / observed.ADAPTER)
        tokenizer.save_pretrained(directory / observed.ADAPTER)
    with progress.at("merge"):
        merged = trained.merge_and_unload()
        _save_merged(merged, tokenizer, job, directory / observed.MERGED)
    with progress.at("compare"):
        base_tensors = stored_tensors(base, family, config)
        got = stored_tensors(directory / observed.MERGED, family, config)
        table, misread = comparing.compare(
            base_tensors,
            deltas,
            {name: values for name, (_, values) in got.items()},
            stored=True,
            adapter=directory / observed.ADAPTER,
            family=family,
            config=config,
        )
        table.save(directory / observed.WEIGHTS)
        found["notes"] = {"misread": misread}


def _save_merged(merged: Any, tokenizer: Any, job: WriteJob, directory: Path) -> None:
    save = job.case.save
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
