"""Round trips: `cases/roundtrips/*.toml` to cases. A group is a product of families, dtypes and trainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.codec import decode
from harness.errors import CaseError
from harness.planning.toml_files import read_toml
from harness.records.cases import FORMS, AdapterSpec, Case, Dtype, Family, Form, SaveSpec, Stack, Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One `[[group]]`: the cases it stands for differ in family, dtype and trainer only."""

    variant: str = ""
    """The end of each case's name; empty for the plain round trip."""
    why: str
    families: tuple[str, ...]
    dtypes: tuple[Dtype, ...]
    trainers: tuple[Trainer, ...] = ("loop",)
    adapt: tuple[str, ...] = ()
    """Words of the families' `adaptable`; empty for `DEFAULT_ADAPT` or `DENSE_ADAPT`."""
    adapter: Mapping[str, Any] = field(default_factory=dict)
    """Keys of AdapterSpec, apart from `adapt`."""
    save: SaveSpec = field(default_factory=SaveSpec)
    config: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 30
    learning_rate: float = 2e-2
    seed: int = 1
    grid: bool = False
    forms: tuple[Form, ...] = FORMS
    stacks: tuple[Stack, ...] = ("torch_peft",)
    writers: Mapping[str, str] = field(default_factory=dict)
    cells: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    """Families whose cases are part of `run --quick`."""
    full_count: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFile:
    """A file under `cases/roundtrips/`."""

    group: tuple[Group, ...]


DEFAULT_ADAPT = ("attention", "experts")
"""What a MoE family adapts by default; a dense one adapts attention and its MLP."""
DENSE_ADAPT = ("attention", "mlp")


def load_cases(directory: Path, families: Mapping[str, Family]) -> tuple[Case, ...]:
    """Every case of every file, in order. Raises CaseError on an unknown family or a name that occurs twice."""
    cases: dict[str, Case] = {}
    for path in sorted(directory.glob("*.toml")):
        for group in read_toml(GroupFile, path).group:
            for case in _expand(group, families, path.name):
                if case.name in cases:
                    raise CaseError("this case is declared twice", where=f"{path.name}: {case.name}")
                cases[case.name] = case
    if not cases:
        raise CaseError("no cases", where=str(directory), expected="TOML files with [[group]] tables")
    return tuple(cases.values())


def _expand(group: Group, families: Mapping[str, Family], file: str) -> list[Case]:
    cases = []
    for name in group.families:
        if name not in families:
            known = ", ".join(sorted(families))
            raise CaseError("unknown family", where=f"{file}: {group.variant}", expected=f"one of {known}", got=name)
        family = families[name]
        adapt = group.adapt or (DEFAULT_ADAPT if family.experts else DENSE_ADAPT)
        for dtype in group.dtypes:
            for trainer in group.trainers:
                parts = [name, dtype, trainer, *([group.variant] if group.variant else [])]
                cases.append(
                    Case(
                        name="-".join(parts),
                        why=group.why,
                        family=name,
                        dtype=dtype,
                        trainer=trainer,
                        adapter=_adapter(group, adapt, f"{file}: {group.variant}"),
                        save=group.save,
                        config=group.config,
                        steps=group.steps,
                        learning_rate=group.learning_rate,
                        seed=group.seed,
                        grid=group.grid,
                        forms=group.forms,
                        stacks=group.stacks,
                        writers=group.writers,
                        cells=group.cells,
                        quick=name in group.quick,
                        full_count=group.full_count,
                    )
                )
    return cases


def _adapter(group: Group, adapt: tuple[str, ...], where: str) -> AdapterSpec:
    return decode(AdapterSpec, {**group.adapter, "adapt": adapt}, where=f"{where}: adapter", error=CaseError)
