"""Stock PEFT loads what we write with our deltas, and we read what it saves with its own: in the row r1.

The other rows are covered by the grid, in which every cell reads every other's adapters.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from harness.cells.records import BuiltCell
from harness.cells.variables import cell_environment
from harness.checkpoints.base import write_base
from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import to_canonical
from harness.checkpoints.safetensors_file import read_header, read_tensor
from reference.jax_stacked.adapters.reading import read_adapter
from reference.jax_stacked.adapters.record import Adapter
from reference.jax_stacked.adapters.writing import write_adapter
from tests.end_to_end.conftest import ROOT
from tests.reference.jax_stacked.adapters.conftest import (
    FAMILIES,
    Choice,
    case_of,
    deltas,
    fused_targets,
    largest_error,
    random_adapter,
    targets_of,
)

pytestmark = pytest.mark.registry

PROGRAM = "tests.reference.jax_stacked.adapters.stock_peft"
ROUNDING = 1e-7
"""Of float32: measured 2.7e-8, and 4.5e-8 where gate and up are scaled differently and must be fused."""
LOST = ("adapter keys", "no module was matched", "no parameter was matched", "Unexpected keyword")
"""What PEFT says when it skips something, in four of its warnings."""


def alike(*parts: str) -> Choice:
    """All modules whose paths have one of `parts`, rank 4 and alpha 8."""
    return lambda path: (4, 8.0) if any(part in path for part in parts) else None


def by_place(path: str) -> tuple[int, float] | None:
    """Ranks and alphas that differ by module and layer, some above the number of experts."""
    if "self_attn" in path:
        return (2, 3.0) if "layers.0.self_attn.q_proj" in path else (4, 8.0)
    if "gate_up_proj" in path:
        return (3, 8.0) if "layers.1." in path else (5, 2.5)
    return (9, 7.0) if "down_proj" in path else None


def partly(path: str) -> tuple[int, float] | None:
    """Each layer with other modules than the next."""
    adapted = ("0.self_attn.k_proj", "1.self_attn.o_proj", "0.mlp.experts.gate_up_proj", "1.mlp.experts.down_proj")
    return (4, 8.0) if path.endswith(adapted) else None


class Ours(NamedTuple):
    """An adapter that we write."""

    family: str
    choice: Choice
    rslora: bool = False
    by_projection: bool = False

    def make(self) -> Adapter:
        """Its factors."""
        targets = targets_of(FAMILIES[self.family])
        if not self.by_projection:
            targets = fused_targets(targets)
        return random_adapter(targets, self.choice, rslora=self.rslora)


OURS: Mapping[str, Ours] = {
    "qwen3": Ours("qwen3", alike("self_attn", "mlp", "embed_tokens", "lm_head")),
    "llama-rslora": Ours("llama", alike("self_attn", "mlp"), rslora=True),
    "moe": Ours("qwen3_moe", alike("self_attn", "experts")),
    "moe-rslora": Ours("qwen3_moe", alike("self_attn", "experts"), rslora=True),
    "moe-experts": Ours("qwen3_moe", alike("experts")),
    "moe-gate_up": Ours("qwen3_moe", alike("gate_up")),
    "moe-down": Ours("qwen3_moe", alike("down")),
    "moe-patterns": Ours("qwen3_moe", by_place),
    "moe-partly": Ours("qwen3_moe", partly),
    "moe-by_projection": Ours(
        "qwen3_moe", lambda path: (2, 3.0) if "up_proj" in path else (4, 8.0), rslora=True, by_projection=True
    ),
    "glm4_moe": Ours("glm4_moe", alike("self_attn", "mlp")),
    "glm4_moe-no_experts": Ours("glm4_moe", alike("shared_experts", "layers.0.mlp", "layers.1.mlp.gate")),
    "deepseek_v3": Ours("deepseek_v3", alike("self_attn", "mlp")),
}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
PATTERNS = {
    "rank_pattern": {"layers.0.*q_proj": 2, "q_proj": 6, "gate_up_proj": 3, r"layers\.1\.mlp.experts.down_proj": 9},
    "alpha_pattern": {"o_proj": 5, "experts.down_proj": 3},
}
STOCK: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "qwen3": ("qwen3", {"target_modules": [*ATTENTION, *MLP, "embed_tokens", "lm_head"]}),
    "qwen3-expression": ("qwen3", {"target_modules": r".*layers\.0.*(q_proj|up_proj)|model.embed_tokens"}),
    "qwen3-excluded": ("qwen3", {"target_modules": ATTENTION, "exclude_modules": ["layers.1.self_attn.q_proj"]}),
    "llama": ("llama", {"target_modules": "all-linear", "use_rslora": True}),
    "moe": ("qwen3_moe", {"target_modules": ATTENTION, "target_parameters": EXPERTS}),
    "moe-experts": ("qwen3_moe", {"target_modules": [], "target_parameters": EXPERTS, "use_rslora": True}),
    "moe-gate_up": ("qwen3_moe", {"target_modules": ["q_proj"], "target_parameters": EXPERTS[:1]}),
    "moe-down": ("qwen3_moe", {"target_modules": ["q_proj"], "target_parameters": EXPERTS[1:]}),
    "moe-patterns": ("qwen3_moe", {"target_modules": ATTENTION, "target_parameters": EXPERTS, **PATTERNS}),
    "moe-naive": ("qwen3_moe", {"target_modules": [*ATTENTION, *MLP]}),
    "glm4_moe": ("glm4_moe", {"target_modules": ATTENTION, "target_parameters": [*EXPERTS, "mlp.up_proj.weight"]}),
    "deepseek_v3": ("deepseek_v3", {"target_modules": ["q_a_proj", "kv_b_proj"], "target_parameters": EXPERTS}),
}


@pytest.fixture(scope="module")
def done(built: BuiltCell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what stock PEFT made of every job: ours as load_NAME, its own as make_NAME."""
    folder = tmp_path_factory.mktemp("stock_peft")
    jobs: list[dict[str, Any]] = []
    for name, ours in OURS.items():
        adapter = folder / "ours" / name
        write_adapter(adapter, ours.make(), "standard", targets=targets_of(FAMILIES[ours.family]))
        jobs.append({"name": f"load_{name}", "base": _base(folder, ours.family), "adapter": str(adapter)})
    for name, (family, fields) in STOCK.items():
        lora = {"r": 4, "lora_alpha": 8, **fields}
        jobs.append({"name": f"make_{name}", "base": _base(folder, family), "lora": lora})
    (folder / "jobs.json").write_text(json.dumps(jobs))
    ended = subprocess.run(
        [str(built.python), "-m", PROGRAM, str(folder / "jobs.json"), str(folder / "out")],
        env=cell_environment(scratch=folder, code=ROOT) | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        pytest.fail(f"stock PEFT failed:\n{ended.stdout}\n{ended.stderr}", pytrace=False)
    return folder / "out"


@pytest.mark.parametrize("name", OURS)
def test_stock_peft_applies_what_we_write(done: Path, name: str) -> None:
    """Each adapted weight changes in its live forward pass by our delta, no other does, and it skips nothing."""
    got = _live_deltas(done / f"load_{name}", OURS[name].family)

    assert largest_error(deltas(OURS[name].make()), got) < ROUNDING
    warned = json.loads((done / f"load_{name}" / "warnings.json").read_text())
    assert [] == [line for line in warned if any(words in line for words in LOST)]


@pytest.mark.parametrize("name", STOCK)
def test_we_read_what_stock_peft_applies(done: Path, name: str) -> None:
    """Each weight that its live forward pass changed has that delta in what we read, and no other has one."""
    family, _ = STOCK[name]
    folder = done / f"make_{name}"

    adapter = read_adapter(folder / "adapter", targets_of(FAMILIES[family]))

    assert largest_error(_live_deltas(folder, family), deltas(adapter)) < ROUNDING


def test_base_weights_that_peft_saves_are_the_base(done: Path) -> None:
    """Beside adapted embeddings and heads PEFT stores the base's own weights, and we hand them on."""
    folder = done / "make_qwen3"
    base = {entry.name: entry for entry in read_header(done.parent / "qwen3" / "model.safetensors")}

    adapter = read_adapter(folder / "adapter", targets_of(FAMILIES["qwen3"]))

    assert {"model.embed_tokens", "lm_head"} == adapter.base_weights.keys()
    for path, weight in adapter.base_weights.items():
        np.testing.assert_array_equal(read_tensor(base[f"{path}.weight"]), weight)


def _base(folder: Path, family: str) -> str:
    directory = folder / family
    if not directory.exists():
        directory.mkdir()
        write_base(directory, FAMILIES[family], case_of(FAMILIES[family]))
    return str(directory)


def _live_deltas(folder: Path, family_name: str) -> dict[str, np.ndarray]:
    """Canonical name to the delta of PEFT's live forward pass."""
    family = FAMILIES[family_name]
    tensors = {entry.name: read_tensor(entry) for entry in read_header(folder / "deltas.safetensors")}
    return to_canonical(family, effective_config(family, case_of(family)), tensors)
