"""`python -m tests.reference.jax_stacked.adapters.stock_peft JOBS OUT`: stock PEFT loads adapters, and makes its own.

JOBS is a JSON file: a list of jobs, each with its name, a base checkpoint and either the `adapter` to load or the
`lora` fields of one to make. Each leaves a folder of its name in OUT: the deltas of its live forward pass
(deltas.safetensors), what was warned of (warnings.json), and the adapter (adapter) if it made one.
Runs in a cell, and knows neither our reader nor our writer.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from harness.checkpoints.safetensors_file import write_file
from reference.environment import captured_warnings
from reference.torch_peft.effective import effective_deltas

STD = 0.3
"""Of both factors, so that no delta is zero or small."""


def do(job: dict[str, Any], out: Path) -> None:
    """One job, into the new folder `out`."""
    model = AutoModelForCausalLM.from_pretrained(job["base"], dtype=torch.float32)
    out.mkdir(parents=True)
    with captured_warnings() as warned:
        if "adapter" in job:
            adapted = PeftModel.from_pretrained(model, job["adapter"])
        else:
            adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **job["lora"]))
            draw_factors(adapted)
            adapted.save_pretrained(out / "adapter")
        deltas = effective_deltas(adapted)
    write_file(out / "deltas.safetensors", {name: ("F32", delta) for name, delta in deltas.items()})
    (out / "warnings.json").write_text(json.dumps(warned), encoding="utf-8")


def draw_factors(model: PeftModel) -> None:
    """Give every A and B values: PEFT starts B at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, STD, generator=generator)


def main() -> None:
    """Do every job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for job in json.loads(arguments.jobs.read_text(encoding="utf-8")):
        do(job, arguments.out / job["name"])


if __name__ == "__main__":
    main()
