"""`python -m tests.reference.jax_stacked.torch_side OUT [SCENARIO ...]`: a folder of files for each scenario."""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import metadata
from pathlib import Path

import torch
from transformers.utils import logging

import harness
from harness.planning.families import load_family
from tests.reference.jax_stacked.scenarios import FAMILIES, SCENARIOS, SEED
from tests.reference.jax_stacked.torch_side.bases import write_scenario_base
from tests.reference.jax_stacked.torch_side.forward import record_forward
from tests.reference.jax_stacked.torch_side.generation import record_generation
from tests.reference.jax_stacked.torch_side.models import load
from tests.reference.jax_stacked.torch_side.training import record_adapters, record_training

ROOT = Path(harness.__file__).parent.parent
REPORTED = ("torch", "transformers", "peft", "numpy")


def main() -> None:
    """Record the scenarios that are named, or all of them, into new folders of OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"all by default: {', '.join(SCENARIOS)}")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.scenarios) - set(SCENARIOS)):
        parser.error(f"no scenario is called {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    names = arguments.scenarios or list(SCENARIOS)
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # more make tiny models slower, and sums in another order
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    families = {name: load_family(ROOT / "cases" / "families" / f"{name}.toml") for name in FAMILIES}
    started = time.perf_counter()
    for number, name in enumerate(names, start=1):
        begun = time.perf_counter()
        scenario, directory = SCENARIOS[name], arguments.out / name
        family = write_scenario_base(directory / "base", families, scenario)
        model = load(directory / "base")
        if "forward" in scenario.records:
            record_forward(model, directory)
        if "generation" in scenario.records:
            record_generation(model, directory)
        if "adapters" in scenario.records:
            record_adapters(directory / "base", family, scenario, directory)
        if "training" in scenario.records:
            record_training(model, family, scenario, directory)  # the last: it leaves its adapter in the model
        print(f"[{number}/{len(names)}] {name}: {time.perf_counter() - begun:.1f} s", flush=True)
    duration_s = time.perf_counter() - started
    manifest = {
        "scenarios": names,
        "versions": {package: metadata.version(package) for package in REPORTED},
        "duration_s": round(duration_s, 1),
        "sources": _imported_sources(),
    }
    (arguments.out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    print(f"{len(names)} scenarios: {duration_s:.1f} s")


def _imported_sources() -> list[str]:
    """The project's files that this process has imported, relative to its root."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    # Some of torch's modules name files that are not there.
    paths = {Path(file).resolve() for file in files if file and Path(file).is_file()}
    installed = Path(sys.prefix).resolve()  # an environment may lie within the project's folder
    ours = (path for path in paths if path.is_relative_to(ROOT) and not path.is_relative_to(installed))
    return sorted(path.relative_to(ROOT).as_posix() for path in ours)


if __name__ == "__main__":
    main()
