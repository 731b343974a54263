"""Canaries on what is cached: all guards of the newest release of each package, and of thirty releases of one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Part
from bench.matrix import ENDED, ROOT
from harness.canaries.rules import load_rules
from harness.canaries.sources import Releases

PACKAGE = "unsloth_zoo"
NUM_RELEASES = 30
LIMIT_S = 15.0
BARE_LIMIT_S = 2.0
TIMELINE_LIMIT_S = 180.0


def measure(out: Path) -> Iterator[Figure]:
    """From the start of a process to its end, when archives and environments are there: a first run makes them."""
    rules = load_rules()
    releases = Releases(out / "sources")
    versions = releases.versions(PACKAGE)[-NUM_RELEASES:]
    for source in sorted({rule.source for rule in rules[PACKAGE]}):
        for version in versions:
            releases.tree(PACKAGE, version, source)
    newest = {package: releases.versions(package)[-1] for package in rules}
    for package, version in newest.items():
        _canary(out, "--package", package, "--version", version)
    bare = [rule.name for rule in rules[PACKAGE] if not rule.row]
    yield Figure(
        part=Part.CANARIES, what=f"{PACKAGE}: {len(bare)} guards that need nothing but Python",
        value=_canary(out, "--package", PACKAGE, "--version", newest[PACKAGE], "-k", " or ".join(bare)),
        unit="s", at_most=BARE_LIMIT_S,
    )  # fmt: skip
    for package, each in rules.items():
        yield Figure(
            part=Part.CANARIES, what=f"{package}: all {len(each)} guards of the newest release",
            value=_canary(out, "--package", package, "--version", newest[package]), unit="s", at_most=LIMIT_S,
        )  # fmt: skip
    yield Figure(
        part=Part.CANARIES, what=f"{PACKAGE}: all guards of {len(versions)} releases",
        value=_canary(out, "--package", PACKAGE, "--since", versions[0], "--until", versions[-1]),
        unit="s", at_most=TIMELINE_LIMIT_S,
    )  # fmt: skip


def _canary(out: Path, *options: str) -> float:
    """Seconds of `deltaproof canary`."""
    command = [sys.executable, "-m", "harness.cli.main", "canary", "--out", str(out), *options]
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode
    wall_s = time.monotonic() - started
    if code not in ENDED:
        raise subprocess.CalledProcessError(code, command)
    return wall_s
