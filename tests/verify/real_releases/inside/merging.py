"""How a release merges: PEFT by `merge_and_unload`, unsloth_zoo by `merge_and_overwrite_lora`, on a CPU."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch

from tests.verify.real_releases.releases import PEFT

Merge = Callable[[Any, Path, Path], object]
"""Merges a PeftModel, whose base lies in the first directory, into the second."""


def load_merge(merger: str, wheels: Path) -> Merge:
    """The merge of `merger`; a release of unsloth_zoo is unpacked in `wheels`, and one process can load only one."""
    return _merge_by_peft if merger == PEFT else _load_unsloth_zoo(wheels / merger)


def _merge_by_peft(model: Any, _base: Path, out: Path) -> None:
    model.merge_and_unload().save_pretrained(out)


def _load_unsloth_zoo(root: Path) -> Merge:
    sys.path.append(str(root))  # the last: some wheels have folders called tests and scripts
    # Their own __init__ refuse a machine without an accelerator, and patch transformers: a merge needs neither.
    for name in ("unsloth_zoo", "unsloth_zoo.temporary_patches"):
        sys.modules[name] = _package(name, root)
    _stand_in_for_bitsandbytes()
    with mock.patch.object(torch.cuda, "is_available", return_value=True):
        importlib.import_module("unsloth_zoo.device_type")
    saving = importlib.import_module("unsloth_zoo.saving_utils")
    for name in ("DEVICE_TYPE", "DEVICE_TYPE_TORCH"):
        assert hasattr(saving, name)
        setattr(saving, name, "cpu")

    def merge(model: Any, base: Path, out: Path) -> None:
        saving.merge_and_overwrite_lora(
            get_model_name=lambda *_, **__: str(base),
            model=model,
            tokenizer=None,
            save_directory=str(out),
            save_method="merged_16bit",
            output_dtype=None,
            push_to_hub=False,
        )

    return merge


def _package(name: str, root: Path) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = [str(root.joinpath(*name.split(".")))]
    return module


def _stand_in_for_bitsandbytes() -> None:
    """Old releases import it to ask whether a layer is of its 4-bit class: none is."""
    package = ModuleType("bitsandbytes")
    package.__spec__ = ModuleSpec("bitsandbytes", None)
    package.nn = ModuleType("bitsandbytes.nn")  # type: ignore[attr-defined]
    package.nn.Linear4bit = type("Linear4bit", (torch.nn.Module,), {})
    sys.modules |= {"bitsandbytes": package, "bitsandbytes.nn": package.nn}
