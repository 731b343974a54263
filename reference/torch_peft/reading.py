"""One read: reload what was saved, as a user would, and observe it. Fills a directory; decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from peft import PeftModel

from harness.checkpoints.naming import to_canonical
from harness.checkpoints.safetensors_file import read_header, read_tensor
from harness.metrics import observed
from harness.records.jobs import Answer, ReadJob
from reference import comparing
from reference.data import draw_tokens, eos_of
from reference.doing import Found, Progress, answer
from reference.stored import adapter_of, declared_config, stored_tensors
from reference.torch_peft import STACK, effective, loading, observing


def read(job: ReadJob, directory: Path) -> Answer:
    """Do `job` into `directory` (existing and empty) and return its answer, without the file list."""
    return answer(job.id, STACK, lambda progress, found: _read(job, directory, progress, found))


def _read(job: ReadJob, directory: Path, progress: Progress, found: Found) -> None:
    case, family, base, written = job.case, job.family, Path(job.base), Path(job.written)
    adapter = adapter_of(written, job.form, job.dialect)
    config = declared_config(base)
    loading.prepare_process(case.seed)
    tokens = draw_tokens(case.seed, config["vocab_size"], eos_of(config))
    if job.form == "merged":
        with progress.at("load_merged"):
            model, found["loading"] = loading.load_model(written / observed.MERGED, case.dtype)
    else:
        with progress.at("load_base"):
            plain, found["loading"] = loading.load_model(base, case.dtype)
        with progress.at("load_adapter"):
            model = PeftModel.from_pretrained(plain, adapter)
    found["fields"] = loading.compare_held(base, config, family, model)
    with progress.at("observe"):
        observing.observe(model, tokens).save(directory / observed.RELOADED)
    with progress.at("compare"):
        got = _live_weights(job, model, config, found)
        base_tensors = stored_tensors(base, family, config)
        deltas = {entry.name: read_tensor(entry) for entry in read_header(written / observed.ORACLE)}
        table, misread = comparing.compare(
            base_tensors,
            deltas,
            got,
            stored=job.form == "merged",
            adapter=adapter,
            family=family,
            config=config,
        )
        table.save(directory / observed.WEIGHTS)
        found["notes"] = {"misread": misread}


def _live_weights(job: ReadJob, model: Any, config: dict[str, Any], found: Found) -> dict[str, np.ndarray]:
    """The reloaded weights under canonical names: as loaded, or base plus what the live adapter adds."""
    if job.form == "merged":
        return to_canonical(job.family, config, effective.to_numpy(model.state_dict()))
    weights = to_canonical(job.family, config, effective.to_numpy(effective.base_weights(model)))
    added = to_canonical(job.family, config, effective.effective_deltas(model))
    found["adapted"] = tuple(sorted(added))
    return weights | {name: weights[name].astype(np.float64) + delta for name, delta in added.items()}
