"""What unsloth's saving stands on: a merge that is written down and not done, a machine without accelerator, a model.

Executed before anything of unsloth is. Of unsloth_zoo little is there; to touch anything else of it is remembered.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import tempfile
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from packaging.version import Version
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from harness.canaries.inside import StandIn

torch.set_num_threads(1)
gc.collect = lambda *_: 0  # fifteen times, it would take longer than all else
MERGED: list[dict[str, Any]] = []
"""What the merge was asked for, each time."""


class Elsewhere(ModuleType):
    """A module that saving imports and does not need: to touch what is in it is remembered."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(StandIn(self.__name__), name)


class Saving(Elsewhere):
    """unsloth_zoo.saving_utils."""

    @staticmethod
    def merge_and_overwrite_lora(get_model_name: Any, model: Any = None, tokenizer: Any = None, **asked: Any) -> None:
        """The one function that merges an adapter into what is written."""
        MERGED.append({"model": model, **asked})

    @staticmethod
    def reconcile_mtp_config(*_: Any, **__: Any) -> None:
        """The models here have no head for several tokens."""


class Utilities(Elsewhere):
    """unsloth_zoo.utils."""

    Version = Version


class Disks(Elsewhere):
    """unsloth_zoo.disk_utils, of a machine of one's own with room for all."""

    @staticmethod
    def is_colab_environment() -> bool:
        """It is none."""
        return False

    is_kaggle_environment = is_colab_environment

    @staticmethod
    def model_16bit_bytes(*_: Any, **__: Any) -> int:
        """Nothing to make room for."""
        return 0

    @staticmethod
    def kaggle_tmp_redirect(directory: str, **_: Any) -> tuple[str, None]:
        """It stays where it is."""
        return directory, None

    @staticmethod
    def free_bytes(*_: Any, **__: Any) -> int:
        """More than anything needs."""
        return 2**40


class Device(ModuleType):
    """unsloth.device_type, of a CPU; it refuses to be loaded on one."""

    DEVICE_TYPE = DEVICE_TYPE_TORCH = "cpu"
    DEVICE_COUNT = 0
    ALLOW_PREQUANTIZED_MODELS = ALLOW_BITSANDBYTES = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


class Quantised(Elsewhere):
    """bitsandbytes.nn: there is no layer and no weight of these classes."""

    Linear4bit = type("Linear4bit", (torch.nn.Module,), {})
    Params4bit = type("Params4bit", (torch.nn.Parameter,), {})


quantised: Any = Elsewhere("bitsandbytes")
quantised.__spec__ = ModuleSpec("bitsandbytes", None)
quantised.nn = Quantised("bitsandbytes.nn")
sys.modules |= {"bitsandbytes": quantised, "bitsandbytes.nn": quantised.nn}
sys.modules["unsloth_zoo.saving_utils"] = Saving("unsloth_zoo.saving_utils")
sys.modules["unsloth_zoo.utils"] = Utilities("unsloth_zoo.utils")
sys.modules["unsloth_zoo.disk_utils"] = Disks("unsloth_zoo.disk_utils")
sys.modules["unsloth.kernels"] = Elsewhere("unsloth.kernels")
sys.modules["unsloth.device_type"] = Device("unsloth.device_type")


def trained(*, adapter: bool = True) -> Any:
    """A tiny model, with an adapter or without."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "qwen3_moe", vocab_size=32, hidden_size=16, intermediate_size=12, moe_intermediate_size=12, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=4, num_experts=4, num_experts_per_tok=2,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])) if adapter else model


def asked_to_merge(patch: Any, model: Any, name: str, **more: Any) -> dict[str, Any]:
    """What `save_pretrained_merged`, which `patch` gives the model, has the merge do, and what weights are written.

    A merge is its folder's name, its method, whether it pushes, and whether it is of the model itself.
    """
    MERGED.clear()
    folder = os.path.join(tempfile.mkdtemp(), name)
    with contextlib.redirect_stdout(io.StringIO()):
        patch(model).save_pretrained_merged(folder, **more)
    merged = [
        [os.path.basename(each["save_directory"]), each["save_method"], each["push_to_hub"], each["model"] is model]
        for each in MERGED
    ]
    written = sorted(file for _, _, files in os.walk(folder) for file in files if file.endswith(".safetensors"))
    return {"merged": merged, "written": written}
