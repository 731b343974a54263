"""Base checkpoints of the scenarios, with the tensors that a family's naming rules cannot name. numpy only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checkpoints.base import write_base
from harness.checkpoints.configs import effective_config, has
from harness.records.cases import AdapterSpec, Case, Family, TensorRule
from tests.reference.jax_stacked.scenarios import SEED, Scenario

RANK, ALPHA = 4, 8


def write_scenario_base(directory: Path, families: Mapping[str, Family], scenario: Scenario) -> Family:
    """Write the base checkpoint of `scenario` into `directory`, new; returns the family that it is of."""
    family = family_of(families, scenario)
    directory.mkdir(parents=True)
    write_base(directory, family, case_of(scenario))
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    written = {name: value for name, value in config.items() if name not in scenario.absent}
    path.write_text(json.dumps(written, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return family


def case_of(scenario: Scenario, adapter: AdapterSpec | None = None) -> Case:
    """The case that trains `scenario` with `adapter`; the family that it is of has the scenario's configuration."""
    adapter = adapter or AdapterSpec(adapt=scenario.adapt, rank=RANK, alpha=ALPHA)
    return Case(
        name=scenario.name,
        why="the JAX stack is compared with it",
        family=scenario.family,
        dtype="float32",
        trainer="loop",
        adapter=adapter,
        seed=SEED,
    )


def family_of(families: Mapping[str, Family], scenario: Scenario) -> Family:
    """The scenario's family, with its configuration and its tensors."""
    family = families[scenario.family]
    # Aliases say which fields a case may override; a scenario replaces whole rotary scalings, of other fields.
    aliases = {name: others for name, others in family.aliases.items() if not name.startswith("rope_scaling.")}
    family = replace(family, aliases=aliases)
    known = {name: value for name, value in scenario.config.items() if has(family.config, name)}
    config = effective_config(family, replace(case_of(scenario), config=known)) | dict(scenario.config)
    family = replace(family, config=config, tensors=_without_q_ranks(family.tensors, config))
    return _with_dense_layers(family, scenario) if scenario.dense_layers else family


def _without_q_ranks(tensors: tuple[TensorRule, ...], config: Mapping[str, Any]) -> tuple[TensorRule, ...]:
    """One projection of the queries, if latent attention's rank of them is null."""
    if config.get("q_lora_rank", RANK) is not None:
        return tensors
    [ranked] = [rule for rule in tensors if rule.name.endswith("q_b_proj.weight")]
    whole = replace(ranked, name=ranked.name.replace("q_b_proj", "q_proj"), shape=(ranked.shape[0], "hidden_size"))
    return (whole, *(rule for rule in tensors if ".q_a_" not in rule.name and ".q_b_" not in rule.name))


def _with_dense_layers(family: Family, scenario: Scenario) -> Family:
    """Plain MLPs in the scenario's dense layers, and experts in the others."""
    sparse = tuple(layer for layer in range(family.config["num_hidden_layers"]) if layer not in scenario.dense_layers)
    rules = [replace(rule, layers="sparse") if ".mlp." in rule.name else rule for rule in family.tensors]
    for rule in family.tensors:
        if ".experts.{expert}." in rule.name:
            shape = tuple("intermediate_size" if axis == "moe_intermediate_size" else axis for axis in rule.shape)
            name = rule.name.replace(".experts.{expert}", "")
            rules.append(TensorRule(name=name, shape=shape, role="mlp", layers="dense"))
    sets = {**family.layer_sets, "dense": scenario.dense_layers, "sparse": sparse}
    return replace(family, tensors=tuple(rules), layer_sets=sets)
