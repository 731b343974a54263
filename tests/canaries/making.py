"""Trees, rules and archives made by hand."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.canaries.trees import Tree
from harness.records.canaries import Call, Example, Rule

PACKAGE = "guarded"
WHERE = "guarded/saving.py"
GUARD = '''
LIMIT = 16


def count(stats, fallback):
    """How many experts the model says that it has."""
    module = stats.module
    for _ in range(LIMIT):
        if module is None:
            break
        if isinstance(getattr(module, "num_experts", None), int):
            return module.num_experts
        module = getattr(module, "base_layer", None)
    return fallback
'''
"""A guard of ours: the count that the last of a chain of modules has."""


def tree(files: Mapping[str, str] | str = GUARD, version: str = "1.0") -> Tree:
    """A package; of one text it is the file that rules look at."""
    texts = {WHERE: files} if isinstance(files, str) else files
    return Tree(PACKAGE, version, {path: text.encode() for path, text in texts.items()}, "made here", version)


def rule(**changes: Any) -> Rule:
    """The canary of GUARD."""
    fields: dict[str, Any] = {
        "name": "count", "why": "each expert gets another's slice", "thread": "https://example.org/1", "expected": "",
        "where": WHERE, "symbols": {"count": "count"}, "given": {"E": [5, 99], "other": [101, 199], "depth": [2, 4]},
        "calls": (
            Call(name="deep", call="count(Thing(module=chain(depth, num_experts=E)), other)", returns="$E"),
            Call(name="nowhere", call="count(Thing(module=chain(depth)), other)", returns="$other"),
            Call(name="no end", call="[count(Thing(module=Endless()), other), Endless.steps < 1000]",
                 returns=["$other", True]),
        ),
        "bad": (Example(name="always the fallback", source="def count(stats, fallback):\n    return fallback\n"),),
        "time_s": 2.0, "times": 2,
    }  # fmt: skip
    return Rule(**{**fields, **changes})


def wheel(path: Path, members: Mapping[str, bytes]) -> Path:
    """An archive as wheels are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def sdist(path: Path, members: Mapping[str, bytes | tarfile.TarInfo]) -> Path:
    """An archive as sources are; a TarInfo is put in as it is."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
