"""Weights that were seen, made by hand: what judging is tested on without a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from harness.checkpoints.safetensors_file import TensorEntry
from harness.verify.blocks import Files
from harness.verify.crew import Crew
from harness.verify.dtypes import narrow
from harness.verify.evidence import Evidence, Pairing, Worst
from harness.verify.factors import Factors, Reading
from harness.verify.families import Part
from harness.verify.places import WHOLE, Place, Site
from harness.verify.records import AdapterConfig
from harness.verify.survey import SiteEvidence
from harness.verify.targets import Target
from harness.verify.ways import SUM
from harness.verify.work import FactorJob
from tests.verify.layouts import pair

SHAPE = (6, 5)
NAME = "model.layers.1.self_attn.q_proj.weight"
EXPERT = "model.layers.1.mlp.experts.3.gate_proj.weight"
FUSED = "model.layers.1.mlp.experts.gate_up_proj"
WORST = Worst(2, 3, 1 / 3, 2 / 3)
CONFIG = AdapterConfig(
    rank=2, alpha=8.0, rslora=False, dora=False, fan_in_fan_out=False, bias="none", rank_pattern={}, alpha_pattern={},
    target_modules=None, target_parameters=(), modules_to_save=(), layers_to_transform=None, layers_pattern=(),
    peft_version="", lora_b_layout="", base_model="", raw={},
)  # fmt: skip


class Answers:
    """A crew that works on nothing, and gives what it was told to, task by task."""

    def __init__(self, answers: Sequence[object] = ()) -> None:
        self.left = list(answers)

    def run(self, tasks: Sequence[Callable[..., object]]) -> list[object]:
        """The next answers."""
        given, self.left = self.left[: len(tasks)], self.left[len(tasks) :]
        return given


class Memory:
    """Files that are in memory, by path."""

    def __init__(self, arrays: Mapping[Path, np.ndarray]) -> None:
        self._contents = {path: array.tobytes() for path, array in arrays.items()}

    def read(self, path: Path, start: int, into: np.ndarray) -> None:
        """As `blocks.Files` does."""
        into.reshape(-1).view(np.uint8)[:] = np.frombuffer(self._contents[path], np.uint8)[start : start + into.nbytes]


def in_memory(values: Mapping[str, np.ndarray], dtype: str = "F32") -> tuple[dict[str, TensorEntry], Files]:
    """Tensors of these names and values, stored in `dtype`, and what reads them."""
    found = {name: entry(name, array.shape, dtype)._replace(path=Path(name)) for name, array in values.items()}
    stored = {Path(name): narrow(np.asarray(array, np.float32), dtype) for name, array in values.items()}
    return found, cast(Files, Memory(stored))


def answering(*answers: object) -> Crew:
    """`Answers` as what asks takes them for."""
    return cast(Crew, Answers(answers))


def entry(name: str = NAME, shape: tuple[int, ...] = SHAPE, dtype: str = "F32") -> TensorEntry:
    """A tensor that is in no file."""
    return TensorEntry(name, dtype, shape, Path("model.safetensors"), 0, 0)


def place(site: Site, stored: str | None = None, *, dtype: str = "F32", shape: tuple[int, ...] = SHAPE) -> Place:
    """Where a site's values lie; all experts' in the tensor `stored`, if that has another name."""
    is_fused = stored is not None and site.expert is not None
    return Place(
        site, entry(stored or site.name, shape, dtype), expert=site.expert if is_fused else None, rows=WHOLE,
        transposed=False, shape=shape,
    )  # fmt: skip


def pairing(
    name: str = NAME,
    *,
    layer: int | None = 1,
    expert: int | None = None,
    part: Part | None = None,
    stored: str | None = None,
) -> Pairing:
    """A weight in both checkpoints."""
    site = Site(name, layer, expert, part)
    return Pairing(site, place(site, stored), place(site, stored))


ONE, OF_EXPERT = pairing(), pairing(EXPERT, expert=3, part="gate")
IN_FUSED = pairing(EXPERT, expert=3, part="gate", stored=FUSED)


def evidence(**changes: Any) -> Evidence:
    """Thirty elements, all compared and as predicted, that changed by the very delta; with `changes`."""
    found: dict[str, Any] = {
        "num_elements": 30, "num_compared": 30, "num_visible": 30, "delta_squared": 4.0, "delta_times_change": 4.0,
        "change_squared": 4.0,
    }  # fmt: skip
    return Evidence(**(found | changes))


WRONG = {"num_wrong": 2, "num_inexact": 2, "worst": WORST}


def job(*pairings: Pairing, num_experts: int | None = None, readings: tuple[Reading, ...] = (Reading(),)) -> FactorJob:
    """Factors of these weights."""
    target = Target(
        parameter=FUSED if num_experts else pairings[0].site.name, sites=tuple(each.site.name for each in pairings),
        shape=SHAPE, orientation="out_in", num_experts=num_experts,
    )  # fmt: skip
    return FactorJob(
        factors=Factors.of(pair("model.layers.1", (2, 5), (6, 2)), target, cast(Any, None)),
        readings=readings,
        sites=tuple(each.site for each in pairings),
        stored_names=tuple(f"base.{each.site.name}" for each in pairings),
        pairings=pairings,
    )


def seen(of: Pairing = ONE, found: Evidence | None = None, **changes: Any) -> SiteEvidence:
    """One adapted weight that was compared; `changes` replace fields."""
    made = SiteEvidence(
        job=job(of), index=0, pairing=of, evidence=found or evidence(), reading=Reading(), way=SUM, is_zero=False
    )
    return replace(made, **changes)
