"""Every fault says what a fault must say, and one that does not is refused with its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cases.faults
from harness.errors import CaseError
from harness.faults.catalogue import check, load_areas, load_faults
from harness.records.faults import CHECKS, Fault
from harness.runs.request import Catalogue

GOOD = Fault(
    what="an expert was missed",
    source="somewhere: a thread",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "delta_missing"},
)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a case that there is not": ({"cases": ("nobody",)}, "unknown case: nobody"),
    "a row that there is not": ({"row": "r0"}, "unknown row"),
    "no source": ({"source": ""}, "where"),
    "nothing that happened": ({"what": ""}, "what really happened"),
    "no check": ({"names": {}}, "no check must catch it"),
    "a check of another form": ({"form": "lora"}, "seen by that read alone"),
    "one dtype without a reason": ({"cases": ("qwen3_moe-float32-loop",)}, "cannot exist in a dtype"),
    "a reason without need": ({"only": "float32 is enough"}, "cannot exist in a dtype"),
    "a kind that nothing says": ({"names": {"merged": "delta_eaten"}}, "delta_eaten"),
    "a check that there is not": ({"names": {"hope": "delta_missing"}}, "hope"),
}


def test_the_repositorys_faults_are_good(catalogue: Catalogue) -> None:
    """Each is read, and each check has faults that it must catch."""
    faults = load_faults(catalogue)
    assert set(CHECKS) == {name for fault in faults.values() for name in fault.names}
    assert len(faults) >= 60
    assert {"artifact", "stack", "environment"} <= {fault.place for fault in faults.values()}


def test_every_fault_has_the_area_of_its_folder(catalogue: Catalogue) -> None:
    """Which is what reports group by: none lies outside of one."""
    areas = load_areas()
    assert set(load_faults(catalogue)) == set(areas)
    folders = {path.name for path in Path(cases.faults.__path__[0]).iterdir() if (path / "__init__.py").is_file()}
    assert {"loading", "adapters", "merging", "running"} <= folders == set(areas.values())
    assert ("merging", "loading") == (areas["one_expert_missed"], areas["rope_theta_ignored"])


def test_a_good_fault_is_taken(catalogue: Catalogue) -> None:
    """With both dtypes, or with one and the reason."""
    check("good", GOOD, catalogue)
    check("good", replace(GOOD, cases=GOOD.cases[:1], only="bfloat16 has no such number"), catalogue)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_fault_is_refused_by_name(name: str, catalogue: Catalogue) -> None:
    """Before anything is built."""
    changes, words = BAD[name]
    with pytest.raises(CaseError, match="fault bad") as refused:
        check("bad", replace(GOOD, **changes), catalogue)
    assert words.split(":")[0] in str(refused.value)
