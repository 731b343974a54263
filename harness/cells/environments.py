"""A lock to an environment: built by uv beside its place, renamed into it, and reused for as long as it holds its lock.

Owns `cells/` of the output folder. Safe at any moment: one builder at a time for one lock, and what a killed one left
is wiped. Must not know what will run in the environment.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from harness import artifacts
from harness.cells.exclusive import exclusively
from harness.cells.records import BuiltCell, ResolvedCell
from harness.cells.uv_tool import run_uv
from harness.errors import EnvironmentBuildError

MARKER = ".complete"
"""Written into an environment last: JSON that says what was installed. Without it a directory is a ruin."""


def build(resolved: ResolvedCell, *, out: Path) -> BuiltCell:
    """The environment of `resolved`, made now or found in `out`.

    Raises EnvironmentBuildError, with uv's own words as its log, and StorageError if `out` cannot be written.
    """
    started = time.monotonic()
    directory = out / "cells" / resolved.lock_digest[:16]
    with exclusively(directory):
        reused = is_complete(directory, resolved.versions)
        if not reused:
            # Under the lock nobody works on these: they are what killed builders left.
            for ruin in directory.parent.glob(f"{directory.name}.partial-*"):
                shutil.rmtree(ruin, ignore_errors=True)
            artifacts.discard(directory)
            _install(resolved, directory)
        return BuiltCell(
            resolved=resolved,
            python=_python(directory),
            directory=directory,
            versions=installed(directory),
            reused=reused,
            duration_s=time.monotonic() - started,
        )


def is_complete(directory: Path, versions: Mapping[str, str]) -> bool:
    """True if the environment was built to its end, its interpreter is still there, and it holds `versions` alone."""
    # The interpreter is a link into the Python that made it, which may have been removed since.
    built = (directory / MARKER).is_file() and _python(directory).exists()
    return built and not differences(versions, installed(directory))


def installed(directory: Path) -> dict[str, str]:
    """Every distribution (normalised name) in the environment to its version, read without running anything in it."""
    found = {
        canonicalize_name(distribution.metadata["Name"]): distribution.version
        for distribution in metadata.distributions(path=[str(path) for path in _site_packages(directory)])
        if distribution.metadata["Name"]  # what a broken removal leaves has none; its absence is seen as a difference
    }
    return dict(sorted(found.items()))


def differences(locked: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What an environment holds (`found`) and its lock does not, and the other way round: a line for each."""
    lines = []
    for name in sorted(locked.keys() | found.keys()):
        if name not in found:
            lines.append(f"{name}: locked {locked[name]}, not installed")
        elif name not in locked:
            lines.append(f"{name}: not locked, installed {found[name]}")
        elif Version(locked[name]) != Version(found[name]):
            lines.append(f"{name}: locked {locked[name]}, installed {found[name]}")
    return lines


def _install(resolved: ResolvedCell, directory: Path) -> None:
    """Fill a partial directory, check it, and give it its name by one rename."""
    where = resolved.cell.name
    partial = directory.with_name(f"{directory.name}.partial-{secrets.token_hex(4)}")
    try:
        # Relocatable, because it is renamed. The uv of a killed builder may live on, but writes into its own partial.
        run_uv(
            ["venv", "--relocatable", "--python", sys.executable, "--no-python-downloads", str(partial)],
            where=where,
            doing="making the environment",
        )
        run_uv(
            [
                *("pip", "sync", str(resolved.lock_path), "--require-hashes", "--only-binary", ":all:"),
                *("--python", str(_python(partial)), "--no-python-downloads"),
                *(resolved.torch_source.install_arguments if "torch" in resolved.versions else ()),
            ],
            where=where,
            doing="installing",
        )
        found = installed(partial)
        if wrong := differences(resolved.versions, found):
            raise EnvironmentBuildError("the environment does not hold its lock", where=where, log="\n".join(wrong))
        with artifacts.storing(partial):
            (partial / MARKER).write_text(json.dumps({"installed": found}, indent=1), encoding="utf-8")
            # Not synced to disk, as artifacts are: it is tens of thousands of files, and can be made again.
            os.rename(partial, directory)
    except BaseException as error:
        trouble = artifacts.storage_trouble(error, directory.parent)
        shutil.rmtree(partial, ignore_errors=True)
        if trouble is not None and trouble is not error:
            raise trouble from error
        raise


def _python(directory: Path) -> Path:
    return directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _site_packages(directory: Path) -> list[Path]:
    return [*directory.glob("lib/python*/site-packages"), *directory.glob("Lib/site-packages")]
