"""`python -m bench.merging_way BASE ADAPTER MERGED`: what a user does today to see whether a merge is right.

Merges again with PEFT, loads what was merged, and compares every tensor. Run by the newest row's interpreter; with the
libraries' defaults. Prints how many tensors there were, how many are equal, and the largest difference.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from transformers.utils import logging


def compare(base: str, adapter: str, merged: str) -> dict[str, float]:
    """What differs between `merged` and the merge of the other two."""
    expected = PeftModel.from_pretrained(_load(base), adapter).merge_and_unload().state_dict()
    got = _load(merged).state_dict()
    if expected.keys() != got.keys():
        raise SystemExit(f"only one of them has {sorted(expected.keys() ^ got.keys())[:3]}")
    unequal = [name for name, tensor in expected.items() if not torch.equal(tensor, got[name])]
    difference = max([float((expected[name] - got[name]).abs().max()) for name in unequal], default=0.0)
    return {"num_tensors": len(expected), "num_equal": len(expected) - len(unequal), "difference": difference}


def _load(directory: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16, local_files_only=True)


if __name__ == "__main__":
    logging.disable_progress_bar()
    found = compare(*sys.argv[1:])
    sys.stdout.write(json.dumps(found) + "\n")
