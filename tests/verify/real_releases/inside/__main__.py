"""`python -m tests.verify.real_releases.inside WHEELS OUT`: every model, and its merges by every release.

WHEELS holds the unpacked wheels of unsloth_zoo by version. OUT gets a folder a model: base, adapter, and by the name of
who merged, the merged checkpoint and what was said meanwhile (NAME.txt).
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from tests.verify.real_releases.inside.making import make_adapter, make_base
from tests.verify.real_releases.inside.merging import load_merge
from tests.verify.real_releases.models import MODELS
from tests.verify.real_releases.releases import MERGERS


def main() -> None:
    """Make all, then merge in a process for each release, which has everything that is imported here already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    wheels, out = arguments.wheels.resolve(), arguments.out.resolve()
    torch.set_num_threads(1)
    adapted = {}
    for name, tiny in MODELS.items():
        directory = out / name
        make_base(tiny, directory / "base")
        adapted[name] = make_adapter(tiny, directory / "base", directory / "adapter")
    for merger in MERGERS:
        process = multiprocessing.get_context("fork").Process(target=_merge_all, args=(merger, adapted, wheels, out))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{merger} failed, with {process.exitcode}")


def _merge_all(merger: str, adapted: dict[str, Any], wheels: Path, out: Path) -> None:
    # A folder of its own to work in: some releases write source there that others would import.
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        merge = load_merge(merger, wheels)
        for name, model in adapted.items():
            with (out / name / f"{merger}.txt").open("w", encoding="utf-8") as said, redirect_stdout(said):
                merge(model, out / name / "base", out / name / merger)


if __name__ == "__main__":
    main()
