"""One read: reload what was saved, and observe it. Fills a directory; decides nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from harness.checkpoints import configs
from harness.checkpoints.naming import to_canonical
from harness.checkpoints.safetensors_file import read_header, read_tensor
from harness.metrics import observed
from harness.records.jobs import Answer, ReadJob
from reference import comparing
from reference.data import draw_tokens, eos_of
from reference.doing import Found, Progress, answer
from reference.fields import compare_fields
from reference.jax_stacked import STACK
from reference.jax_stacked.adapters.reading import read_adapter
from reference.jax_stacked.checkpoints import EMBEDDING, HEAD, load_model, places
from reference.jax_stacked.effective import effective_deltas
from reference.jax_stacked.families import load_config
from reference.jax_stacked.model import CausalLM, shapes
from reference.jax_stacked.observing import observe
from reference.jax_stacked.slots import Slots, room_for, targets_of
from reference.rotary import compare_frequencies
from reference.stored import adapter_of, declared_config, stored_tensors

SLOT = 0


def read(job: ReadJob, directory: Path) -> Answer:
    """Do `job` into `directory` (existing and empty) and return its answer, without the file list."""
    return answer(job.id, STACK, lambda progress, found: _read(job, directory, progress, found))


def _read(job: ReadJob, directory: Path, progress: Progress, found: Found) -> None:
    case, family, base, written = job.case, job.family, Path(job.base), Path(job.written)
    adapter_folder = adapter_of(written, job.form, job.dialect)
    config = declared_config(base)
    tokens = draw_tokens(case.seed, config["vocab_size"], eos_of(config))
    source = written / observed.MERGED if job.form == "merged" else base
    dtype = jnp.dtype(case.dtype)
    if job.form == "merged":
        with progress.at("load_merged"):
            model, slots = load_model(source, dtype=dtype), None
    else:
        with progress.at("load_adapter"):
            adapter = read_adapter(adapter_folder, targets_of(shapes(load_config(base))))
        with progress.at("load_base"):
            model = load_model(base, lora=room_for([adapter]), dtype=dtype)
        with progress.at("load_adapter"):
            slots = Slots(model)
            slots.insert(SLOT, adapter)
    fields = compare_fields(config, family.aliases, partial(configs.get, declared_config(source)))
    found["fields"] = (*fields, compare_frequencies(fields, model.config.rope.inverse_frequencies))
    with progress.at("observe"):
        used = None if slots is None else jnp.asarray(SLOT)
        observe(model, tokens, used).save(directory / observed.RELOADED)
    with progress.at("compare"):
        got = to_canonical(family, config, _weights(model))
        if slots is not None:
            added = to_canonical(family, config, effective_deltas(slots, SLOT))
            found["adapted"] = tuple(sorted(added))
            got |= {name: got[name].astype(np.float64) + delta for name, delta in added.items()}
        table, misread = comparing.compare(
            stored_tensors(base, family, config),
            {entry.name: read_tensor(entry) for entry in read_header(written / observed.ORACLE)},
            got,
            stored=job.form == "merged",
            adapter=adapter_folder,
            family=family,
            config=config,
        )
        table.save(directory / observed.WEIGHTS)
        found["notes"] = {"misread": misread}


def _weights(model: CausalLM) -> dict[str, Any]:
    """The model's base weights as they are held, under the names of a checkpoint."""
    weights = {name: place.read() for name, place in places(model, fused=True).items()}
    return weights | {HEAD: weights[EMBEDDING]} if model.config.tied else weights
