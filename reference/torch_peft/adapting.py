"""A case's adapter specification as the LoRA configuration that a user of this transformers and PEFT would write.

Transformers 5 holds a layer's experts as 3D parameters, which PEFT adapts through `target_parameters`; transformers 4
holds a Linear an expert and projection. The recipe decides how the user asks; the case's `adapt` decides what is owed.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from harness.checkpoints.naming import module_table, roles_of
from harness.records.cases import Case, Family

NAIVE_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANDOM_B_STD = 0.02


def lora_config(case: Case, family: Family, config: dict[str, Any], model: Any) -> LoraConfig:
    """The LoraConfig of `case` for `model`."""
    spec = case.adapter
    parameters = _fused_parameters(case, family, config, model)
    if spec.recipe == "all_linear":
        target_modules: Any = "all-linear"
        parameters = []
    elif spec.recipe == "naive":
        target_modules, parameters = NAIVE_TARGETS, []
    else:
        paths = _module_paths(case, family, config, model)
        target_modules = _suffix_names(paths, model)
        if spec.recipe == "module_regex":
            target_modules = "|".join(dict.fromkeys(_as_pattern(path) for path in paths))
    options: dict[str, Any] = {}
    if parameters:
        options["target_parameters"] = parameters
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=0.0,
        use_rslora=spec.rslora,
        target_modules=target_modules,
        rank_pattern=dict(spec.rank_pattern),
        alpha_pattern=dict(spec.alpha_pattern),
        modules_to_save=list(spec.modules_to_save) or None,
        **options,
    )


def adapt(model: Any, lora: LoraConfig, case: Case) -> PeftModel:
    """`model` with a fresh adapter; `init = "random"` also draws every B, which PEFT starts at zero."""
    torch.manual_seed(case.seed)
    adapted = get_peft_model(model, lora)
    if case.adapter.init == "random":
        randomise_b(adapted, case.seed)
    return adapted


def randomise_b(model: Any, seed: int) -> None:
    """Give every B a value, so that experts which no token reaches have a delta too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, RANDOM_B_STD, generator=generator)


def _fused_parameters(case: Case, family: Family, config: dict[str, Any], model: Any) -> list[str]:
    """Suffixes of the 3D parameters that hold what is asked for, such as "mlp.experts.down_proj"."""
    roles = roles_of(family, case.adapter.adapt)
    table = module_table(family, config)
    held = {name.split("layers.")[-1].split(".", 1)[-1] for name, _ in model.named_parameters() if "layers." in name}
    wanted = []
    for rule in family.fused:
        suffix = rule.name.split("{layer}.")[-1]
        parts = {tensor.role for tensor in table.values() if _is_part(tensor.name, rule.parts)}
        if suffix in held and parts & roles:
            wanted.append(suffix)
    return wanted


def _is_part(name: str, parts: tuple[str, ...]) -> bool:
    return any(name.endswith(part.split("{expert}")[-1]) and ".experts." in name for part in parts)


def _module_paths(case: Case, family: Family, config: dict[str, Any], model: Any) -> list[str]:
    """Every Linear of `model` that is asked for, by its whole path."""
    roles, linears = roles_of(family, case.adapter.adapt), _linears(model)
    table = module_table(family, config)
    paths = [tensor.name.removesuffix(".weight") for tensor in table.values() if tensor.role in roles]
    return [path for path in paths if path in linears]


def _suffix_names(paths: list[str], model: Any) -> list[str]:
    """The shortest suffixes that name `paths` and no other Linear of `model`, as users write target lists."""
    unwanted = {suffix for path in _linears(model) - set(paths) for suffix in _suffixes(path)}
    return list(dict.fromkeys(next(suffix for suffix in _suffixes(path) if suffix not in unwanted) for path in paths))


def _as_pattern(path: str) -> str:
    """A regular expression for `path` in every layer and for every expert."""
    return r"\.".join(r"\d+" if part.isdigit() else part for part in path.split("."))


def _linears(model: Any) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear | torch.nn.Embedding)}


def _suffixes(path: str) -> list[str]:
    """Every suffix of a dotted path, the shortest first."""
    parts = path.split(".")
    return [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
