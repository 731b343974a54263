"""Builders for the adapter tests: the targets of real families, random adapters for them, and their deltas."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import harness
from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import CanonicalTensor, module_table
from harness.checkpoints.safetensors_file import read_header, read_tensor, write_file
from harness.planning.families import load_families
from harness.records.cases import AdapterSpec, Case, Family
from reference.jax_stacked.adapters.config import CONFIG_FILE
from reference.jax_stacked.adapters.convert import per_projection
from reference.jax_stacked.adapters.names import WEIGHTS_FILE
from reference.jax_stacked.adapters.record import Adapter, Factors, Target

# Fixtures: the environment of the row that these end-to-end tests share.
from tests.end_to_end.conftest import built, catalogue  # noqa: F401

FAMILIES = load_families(Path(harness.__file__).parent.parent / "cases" / "families")

Choice = Callable[[str], tuple[int, float] | None]
"""Rank and alpha of a module path; None leaves it alone."""
Tensors = dict[str, tuple[str, np.ndarray]]
"""Name to dtype and values, as they are written."""


def case_of(family: Family, **config: Any) -> Case:
    """A case of `family` with overrides of its configuration."""
    adapter = AdapterSpec(adapt=("attention",))
    return Case(
        name="tiny", why="", family=family.name, dtype="float32", trainer="loop", adapter=adapter, config=config
    )


def targets_of(family: Family, **config: Any) -> dict[str, Target]:
    """Every adaptable module of a family, its experts by projection."""
    adaptable = {role for roles in family.adaptable.values() for role in roles}
    table = module_table(family, effective_config(family, case_of(family, **config)))
    targets: dict[str, Target] = {}
    for tensor in table.values():
        if tensor.role in adaptable:
            path, target = _target(tensor, table)
            targets[path] = target
    return targets


def _target(tensor: CanonicalTensor, table: Mapping[str, CanonicalTensor]) -> tuple[str, Target]:
    path, (rows, columns) = tensor.name.removesuffix(".weight"), tensor.shape
    if tensor.role == "embedding":
        return path, Target(kind="embedding", in_features=rows, out_features=columns)
    if tensor.expert is None:
        return path, Target(kind="linear", in_features=columns, out_features=rows)
    layer, _, projection = path.replace(f".experts.{tensor.expert}.", ".experts.").rpartition(".")
    experts = {other.expert for other in table.values() if other.role == tensor.role}
    target = Target(kind="experts", in_features=columns, out_features=rows, num_experts=len(experts))
    return f"{layer}.{projection}", target


def moe_targets(*, num_experts: int = 5, hidden: int = 6, inner: int = 7, dense_too: bool = False) -> dict[str, Target]:
    """Two layers of attention and experts, an embedding and a head, every size of its own; with layer 2 dense."""
    targets = {
        "model.embed_tokens": Target(kind="embedding", in_features=19, out_features=hidden),
        "lm_head": Target(kind="linear", in_features=hidden, out_features=19),
    }
    for layer in range(2):
        place = f"model.layers.{layer}"
        targets |= {
            f"{place}.self_attn.q_proj": Target(kind="linear", in_features=hidden, out_features=8),
            f"{place}.self_attn.o_proj": Target(kind="linear", in_features=8, out_features=hidden),
            f"{place}.mlp.experts.gate_up_proj": Target(
                kind="experts", in_features=hidden, out_features=2 * inner, num_experts=num_experts
            ),
            f"{place}.mlp.experts.down_proj": Target(
                kind="experts", in_features=inner, out_features=hidden, num_experts=num_experts
            ),
        }
    if dense_too:
        targets["model.layers.2.mlp.gate_proj"] = Target(kind="linear", in_features=hidden, out_features=9)
        targets["model.layers.2.mlp.down_proj"] = Target(kind="linear", in_features=9, out_features=hidden)
    return targets


def random_adapter(targets: Mapping[str, Target], choose: Choice, *, rslora: bool = False) -> Adapter:
    """Factors for each path of `targets` that `choose` wants: random, and never zero."""
    factors = {}
    for path, target in targets.items():
        chosen = choose(path)
        if chosen is None:
            continue
        rank, alpha = chosen
        lead = (target.num_experts,) if target.kind == "experts" else ()
        generator = np.random.default_rng(zlib.crc32(path.encode()))
        factors[path] = Factors(
            A=generator.normal(0, 0.3, (*lead, rank, target.in_features)).astype(np.float32),
            B=generator.normal(0, 0.3, (*lead, target.out_features, rank)).astype(np.float32),
            alpha=alpha,
        )
    return Adapter(factors=factors, rslora=rslora)


def fused_targets(targets: Mapping[str, Target]) -> dict[str, Target]:
    """`targets` with gate and up experts as one."""
    fused = {path: target for path, target in targets.items() if not _is_gate_or_up(path)}
    for path, target in targets.items():
        if path.endswith(".experts.gate_proj"):
            fused[path.replace("gate_proj", "gate_up_proj")] = Target(
                kind="experts",
                in_features=target.in_features,
                out_features=2 * target.out_features,
                num_experts=target.num_experts,
            )
    return fused


def deltas(adapter: Adapter) -> dict[str, np.ndarray]:
    """Canonical tensor name (an expert and projection each) to what the adapter adds to it, float64."""
    found: dict[str, np.ndarray] = {}
    for path, factors in per_projection(adapter).factors.items():
        scaling = factors.alpha / (factors.rank**0.5 if adapter.rslora else factors.rank)
        delta = scaling * (factors.B.astype(np.float64) @ factors.A.astype(np.float64))
        if path.endswith("embed_tokens"):
            delta = delta.T
        layer, _, projection = path.rpartition(".")
        if delta.ndim == 2:
            found[f"{path}.weight"] = delta
        else:
            found |= {f"{layer}.{expert}.{projection}.weight": each for expert, each in enumerate(delta)}
    return found


def largest_error(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> float:
    """The largest ‖got − expected‖ / ‖expected‖ of any tensor. Both must have the same ones, which are not zero."""
    assert expected.keys() == got.keys()
    assert expected
    errors = []
    for name, delta in expected.items():
        assert delta.shape == got[name].shape, name
        errors.append(float(np.linalg.norm(got[name] - delta) / np.linalg.norm(delta)))
    assert all(np.isfinite(error) for error in errors)  # a delta of zeros would compare with nothing
    return max(errors)


def _is_gate_or_up(path: str) -> bool:
    return path.endswith((".experts.gate_proj", ".experts.up_proj"))


def assert_same(expected: Adapter, got: Adapter) -> None:
    """Both hold the same factors, to the bit, scaled alike."""
    assert expected.factors.keys() == got.factors.keys()
    assert expected.rslora == got.rslora
    for path, factors in expected.factors.items():
        np.testing.assert_array_equal(factors.A, got.factors[path].A, err_msg=path)
        np.testing.assert_array_equal(factors.B, got.factors[path].B, err_msg=path)
        assert factors.alpha == got.factors[path].alpha, path


def change_config(directory: Path, **changes: Any) -> None:
    """Replace fields of adapter_config.json."""
    path = directory / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(directory: Path, change: Callable[[Tensors], object]) -> None:
    """Write the file again after `change` of its tensors."""
    tensors = {entry.name: (entry.dtype, read_tensor(entry)) for entry in read_header(directory / WEIGHTS_FILE)}
    change(tensors)
    write_file(directory / WEIGHTS_FILE, tensors)
