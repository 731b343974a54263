"""Bases and adapters on disk, written once for all the merges that are made of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.verify.planted import adapters, storing
from tests.verify.planted.merging import base_values
from tests.verify.planted.planting import Planting

Directories = tuple[Path, Path]
Place = Callable[[Planting], Directories]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, Callable[[Path], object]], Path]:
    """What is written once: the directory of a key, which the given function fills when it is first asked for."""
    held: dict[Any, Path] = {}

    def keep(key: Any, fill: Callable[[Path], object]) -> Path:
        if key not in held:
            held[key] = tmp_path_factory.mktemp("shelf") / "here"
            fill(held[key])
        return held[key]

    return keep


@pytest.fixture
def place(tmp_path: Path, shelf: Callable[[Any, Callable[[Path], object]], Path]) -> Place:
    """The directories of a merge's base and adapter."""

    def of(planting: Planting) -> Directories:
        model, setup, dtype = planting.model, planting.setup, planting.dtype

        def fill(directory: Path) -> None:
            tensors = storing.tensors_of(model, base_values(model, dtype), dtype, setup.base)
            storing.write(directory, model, tensors, dtype, setup.base)

        base = shelf((setup.model, dtype, setup.base), fill)
        if planting.adapter_tensors is not None:
            changes = {"tensors": planting.adapter_tensors, **planting.adapter_changes}
            return base, adapters.write(tmp_path / "adapter", model, planting.adapter, **changes)
        key = (setup.model, setup.recipe)
        return base, shelf(key, lambda directory: adapters.write(directory, model, planting.adapter))

    return of


@pytest.fixture
def merged(tmp_path: Path) -> Iterator[Path]:
    """Where a merge goes; it is gone after the test, for there are hundreds."""
    yield tmp_path / "merged"
    shutil.rmtree(tmp_path / "merged", ignore_errors=True)
