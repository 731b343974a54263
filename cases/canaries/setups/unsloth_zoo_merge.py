"""A tiny mixture of experts with an adapter of given factors, and its merge by unsloth_zoo on a CPU.

Executed apart, before the calls of a canary: torch, transformers and PEFT are there, and the release is on the path.
What a hub would be sent is written down instead.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import os
import sys
import tempfile
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest import mock

import huggingface_hub
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from harness.canaries.inside import Absent, tensor

torch.set_num_threads(1)

Factors = tuple[Any, Any, Any]
"""A weight of all experts [E, O, I] and its A [E * r, I] and B [O, E * r], as nested lists."""
UPLOADED: list[str] = []


class Hub(huggingface_hub.HfApi):
    """Writes down the names of what is uploaded."""

    def create_repo(self, repo_id: str, **_: Any) -> Any:
        """Nothing is made."""
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_file(self, *_: Any, path_in_repo: str, **__: Any) -> None:
        """One file."""
        UPLOADED.append(path_in_repo)

    def upload_folder(self, *_: Any, folder_path: str, **__: Any) -> None:
        """All files of a folder."""
        UPLOADED.extend(sorted(os.listdir(folder_path)))


def load_saving() -> Any:
    """The release's module that merges. Its __init__ refuses a machine without an accelerator, and is not needed."""
    for name in ("unsloth_zoo", "unsloth_zoo.temporary_patches"):
        package = ModuleType(name)
        package.__path__ = [os.path.join(place, *name.split(".")) for place in sys.path if place]
        sys.modules[name] = package
    quantised: Any = ModuleType("bitsandbytes")  # old releases ask whether a layer is of its 4-bit class: none is
    quantised.__spec__ = ModuleSpec("bitsandbytes", None)
    quantised.nn = ModuleType("bitsandbytes.nn")
    quantised.nn.Linear4bit = type("Linear4bit", (torch.nn.Module,), {})
    sys.modules |= {"bitsandbytes": quantised, "bitsandbytes.nn": quantised.nn}
    huggingface_hub.HfApi = Hub
    huggingface_hub.ModelCard.push_to_hub = lambda *_, **__: None
    with mock.patch.object(torch.cuda, "is_available", return_value=True):
        importlib.import_module("unsloth_zoo.device_type")
    module: Any = importlib.import_module("unsloth_zoo.saving_utils")
    if not hasattr(module, "merge_and_overwrite_lora"):
        raise Absent("saving_utils has no merge_and_overwrite_lora")
    if '.to("cuda"' in _source_of(module, "_merge_lora"):
        raise NotImplementedError("it merges on an accelerator alone")
    module.DEVICE_TYPE = module.DEVICE_TYPE_TORCH = "cpu"
    return module


def _source_of(module: Any, name: str) -> str:
    return inspect.getsource(getattr(module, name)) if hasattr(module, name) else ""


saving = load_saving()


def adapted(
    experts: int,
    inner: int,
    hidden: int,
    rank: int,
    alpha: int,
    gate_up: Factors,
    down: Factors,
    generation: Any = None,
    dtype: str = "float32",
) -> tuple[Any, str]:
    """A PeftModel with these sizes and weights, and the folder of its base."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "qwen3_moe", vocab_size=32, hidden_size=hidden, intermediate_size=inner, moe_intermediate_size=inner,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=4, num_experts=experts,
        num_experts_per_tok=2, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.generation_config.update(**(generation or {}))
    block = model.model.layers[0].mlp.experts
    with torch.no_grad():
        block.gate_up_proj.copy_(tensor(gate_up[0]))
        block.down_proj.copy_(tensor(down[0]))
    base = tempfile.mkdtemp()
    model.save_pretrained(base)
    targets = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    adapter = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["q_proj"], target_parameters=targets)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype)), adapter)
    for name, factors in (("gate_up_proj", gate_up), ("down_proj", down)):
        [wrapper] = _wrappers(model, name)
        with torch.no_grad():
            wrapper.lora_A["default"].weight.copy_(tensor(factors[1]))
            wrapper.lora_B["default"].weight.copy_(tensor(factors[2]))
    return model, base


def misshapen(model: Any) -> Any:
    """Take a row from A of the experts' gate and up, and a column from B: no layout has such shapes."""
    for wrapper in _wrappers(model, "gate_up_proj"):
        for factors, axis in ((wrapper.lora_A, 0), (wrapper.lora_B, 1)):
            weight = factors["default"].weight
            factors["default"].weight = torch.nn.Parameter(weight.narrow(axis, 0, weight.shape[axis] - 1).clone())
    return model


def merge(model: Any, base: str, *, push: bool = False) -> str:
    """The folder that the merge wrote; `push` uploads what it wrote, and removes it."""
    folder = tempfile.mkdtemp()
    UPLOADED.clear()
    with contextlib.redirect_stdout(io.StringIO()):
        saving.merge_and_overwrite_lora(
            get_model_name=lambda *_, **__: base,
            model=model,
            tokenizer=None,
            save_directory=f"me/{os.path.basename(folder)}" if push else folder,
            save_method="merged_16bit",
            output_dtype=None,
            push_to_hub=push,
            token="hf_none" if push else None,
        )
    return folder


def experts_in(folder: str, projection: str) -> Any:
    """[E, O, I]: one projection of every expert, which the files hold one by one."""
    found = {}
    for file in sorted(os.listdir(folder)):
        if file.endswith(".safetensors"):
            for name, value in load_file(os.path.join(folder, file)).items():
                _, _, after = name.partition(".experts.")
                if after.endswith(f".{projection}.weight"):
                    found[int(after.partition(".")[0])] = value
    return torch.stack([found[number] for number in sorted(found)])


def generation_in(folder: str) -> Any:
    """What generation_config.json says."""
    with open(os.path.join(folder, "generation_config.json"), encoding="utf-8") as file:
        return json.load(file)


def _wrappers(model: Any, parameter: str) -> list[Any]:
    return [each for each in model.modules() if getattr(each, "parameter_name", "") == parameter]
