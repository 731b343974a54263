"""Reading `cases/families/*.toml`: one family a file, and nothing in it that does not fit together."""

from __future__ import annotations

from pathlib import Path

from harness.checkpoints.configs import has
from harness.checkpoints.naming import layer_set
from harness.errors import CaseError
from harness.planning.toml_files import read_toml
from harness.records.cases import Family


def load_families(directory: Path) -> dict[str, Family]:
    """Every family under `directory` by name. Raises CaseError, naming the file, for whatever cannot be used."""
    families = {path.stem: load_family(path) for path in sorted(directory.glob("*.toml"))}
    if not families:
        raise CaseError("no family files (*.toml)", where=str(directory))
    return families


def load_family(path: Path) -> Family:
    """The family in the file at `path`."""
    family = read_toml(Family, path)
    if family.name != path.stem:
        raise CaseError("name and file name differ", where=str(path), expected=path.stem, got=family.name)
    _check_references(family, str(path))
    return family


def _check_references(family: Family, where: str) -> None:
    """Everything that one part of the file says of another part is there."""
    roles = {rule.role for rule in family.tensors}
    names = {rule.name for rule in family.tensors}
    for word, meant in family.adaptable.items():
        if unknown := sorted(set(meant) - roles):
            raise CaseError(f"adaptable {word!r} means roles that no tensor has: {', '.join(unknown)}", where=where)
    for fused in family.fused:
        if unknown := sorted(set(fused.parts) - names):
            raise CaseError(f"fused {fused.name!r} has parts without a rule: {', '.join(unknown)}", where=where)
    for rule in family.tensors:
        if rule.when and rule.when not in family.config:
            raise CaseError(
                f"{rule.name!r} depends on the field {rule.when!r}, which config does not have", where=where
            )
        if rule.layers:
            layer_set(family, rule.layers, family.config)
    for name in family.aliases:
        if name != "dtype" and not has(family.config, name):  # the case gives the dtype
            raise CaseError(f"aliases name the field {name!r}, which config does not have", where=where)
    if family.experts and family.experts not in family.config:
        raise CaseError(f"experts is {family.experts!r}, which config does not have", where=where)
