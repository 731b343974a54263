"""The adapters that a write left."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.records.cases import Dialect
from reference.stored import adapter_of


@pytest.mark.parametrize(
    ("folders", "form", "dialect", "expected"),
    [
        pytest.param(["adapter"], "lora", "", "adapter", id="the stack's own way"),
        pytest.param(["adapter-standard", "adapter-swapped"], "lora", "swapped", "adapter-swapped", id="a dialect"),
        pytest.param(["adapter-standard"], "lora", "swapped", "adapter-swapped", id="one that is not there"),
        pytest.param(["adapter"], "merged", "", "adapter", id="merged"),
        pytest.param(["adapter-swapped", "adapter-standard"], "merged", "", "adapter-standard", id="merged, dialects"),
        pytest.param([], "merged", "", "adapter", id="none at all"),
    ],
)
def test_a_read_is_about_the_adapter_of_its_dialect(
    tmp_path: Path, folders: list[str], form: str, dialect: Dialect, expected: str
) -> None:
    """And never about another in its place; a merge, which has none, is about any that is there."""
    for name in folders:
        (tmp_path / name).mkdir()
    assert tmp_path / expected == adapter_of(tmp_path, form, dialect)
