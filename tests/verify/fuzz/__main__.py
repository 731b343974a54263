"""Runs generated damages and says which answers were wrong; exit code 1 if one was. `nox -s fuzz` calls it."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from tests.verify.fuzz.damage import REGISTRY
from tests.verify.fuzz.results import complaint, is_good, summary
from tests.verify.fuzz.running import Result, as_json
from tests.verify.fuzz.watching import Watched

MEMORY = Path("/dev/shm")
"""Where files cost nothing, if the system has it."""
SHOWN_S = 30.0


def main(
    seed: Annotated[int, typer.Option(help="Of the first case; each is made from its own number alone.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many cases.")] = 10_000,
    only: Annotated[str, typer.Option(help="A damage by name, and nothing else.")] = "",
    in_json: Annotated[bool, typer.Option("--json", help="Every result as a line on stdout.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="The damages, by kind and name.")] = False,
) -> None:
    """Run `count` damages, and show those that were answered wrongly."""
    if listed:
        for each in REGISTRY.values():
            print(f"{each.kind:9}  {each.name}")
        return
    if only and only not in REGISTRY:
        raise typer.BadParameter(f"{only!r}: --list shows what there is", param_hint="--only")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as place:
        results = _run(range(seed, seed + count), only, Path(place), in_json=in_json)
    print(summary(results), file=sys.stderr)
    if not is_good(results):
        raise typer.Exit(1)


def _run(seeds: range, only: str, place: Path, *, in_json: bool) -> list[Result]:
    results: list[Result] = []
    shown = time.monotonic()
    with Watched(place) as watched:
        for seed in seeds:
            result = watched.run(seed, only)
            results.append(result)
            if in_json:
                print(as_json(result))
            if result.complaints:
                print(complaint(result, only), file=sys.stderr)
            if time.monotonic() > shown + SHOWN_S:
                shown = time.monotonic()
                print(f"{len(results)} of {len(seeds)}", file=sys.stderr)
    return results


if __name__ == "__main__":
    typer.run(main)
