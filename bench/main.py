"""Measures what the project promises about speed, and prints it beside the promise: `nox -s bench`.

Every part works in a fresh output folder, which is removed at the end. Judges nothing: a figure that misses its promise
is marked, and a machine that is slow or busy is no failure. What cannot be measured at all is one.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench import canaries, matrix, stacks, verify
from bench.comparisons import comparisons
from bench.figures import Figure, Part, Unmeasured, table_of
from harness.cli.console import DEFAULT_OUT, stderr, write_stdout
from harness.errors import EnvironmentBuildError, ExitCode
from harness.runs.request import load_catalogue


def main(
    only: Annotated[str, typer.Option(help=f"Parts, with commas: {', '.join(Part)}; all if left out.")] = "",
    cells: Annotated[str, typer.Option(help="Rows of cases/matrix.toml, with commas; all if left out.")] = "",
    expression: Annotated[str, typer.Option("-k", help="What a warm run is of.")] = f"not {matrix.FULL_COUNT}",
    compare: Annotated[
        str, typer.Option(help="Words, with commas: in the part jax, the comparisons with one of them in their names.")
    ] = "",
    python: Annotated[
        list[str] | None,
        typer.Option(metavar="ROW=PATH", help="An interpreter for a row of jax or verify, so that it is not built."),
    ] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Build with uv's cache empty: downloads everything.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON on stdout.")] = False,
    out: Annotated[Path, typer.Option(help="Where the folder to work in is made.")] = DEFAULT_OUT,
) -> None:
    """Measure and print."""
    try:
        parts = [Part(name) for name in _words(only)] or list(Part)
    except ValueError as error:
        raise typer.BadParameter(f"{error}: expected some of {', '.join(Part)}", param_hint="--only") from error
    names = [each.what for each in comparisons()]
    if unknown := [word for word in _words(compare) if not any(word in name for name in names)]:
        expected = f"parts of {', '.join(names)}"
        raise typer.BadParameter(f"{', '.join(unknown)}: expected {expected}", param_hint="--compare")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=out.absolute()) as folder:
        measured = measure(
            parts, Path(folder), _words(cells), expression, _words(compare), cold, _interpreters(python or [])
        )
        figures = list(measured)
    show(figures, as_json=as_json)


def measure(
    parts: Sequence[Part],
    out: Path,
    names: Sequence[str],
    expression: str,
    words: Sequence[str],
    cold: bool,
    pythons: Mapping[str, Path],
) -> Iterator[Figure | Unmeasured]:
    """The figures of `parts`. Those of the matrix are for the rows `names` (all if there are none)."""
    catalogue = load_catalogue()
    if set(parts) - {Part.JAX, Part.VERIFY, Part.CANARIES}:
        figures, built = matrix.build(catalogue, names, out, cold=cold)
        if Part.BUILD in parts:
            yield from figures
        yield from matrix.measure(parts, catalogue, built, expression, out)
    needed = [*(stacks.ROWS if Part.JAX in parts else ()), *((verify.ROW,) if Part.VERIFY in parts else ())]
    if missing := [row for row in dict.fromkeys(needed) if row not in pythons]:
        _, built = matrix.build(catalogue, missing, out, cold=cold)
        pythons = {**pythons, **{row: cell.python for row, cell in built.items()}}
    if Part.JAX in parts:
        yield from stacks.measure(pythons, catalogue.families, out / "stacks", words)
    if Part.VERIFY in parts:
        yield from verify.measure(pythons[verify.ROW], out / "verify")
    if Part.CANARIES in parts:
        yield from canaries.measure(out)


def show(figures: Sequence[Figure | Unmeasured], *, as_json: bool) -> None:
    """Print the figures. Exits with an error if there is one that could not be measured."""
    stderr().print(table_of(figures))
    unmeasured = [figure for figure in figures if isinstance(figure, Unmeasured)]
    for each in unmeasured:
        stderr().print(f"{each.what}: {each.reason}", style="red", markup=False, highlight=False)
    if as_json:
        write_stdout(json.dumps([asdict(figure) for figure in figures], indent=1, allow_nan=False))
    if unmeasured:
        raise typer.Exit(ExitCode.FAILED)


def _interpreters(options: Sequence[str]) -> dict[str, Path]:
    pythons = {}
    for option in options:
        row, _, path = option.partition("=")
        if row not in stacks.ROWS or not Path(path).is_file():
            expected = f"ROW=PATH with one of {', '.join(stacks.ROWS)} and a file"
            raise typer.BadParameter(f"{option!r}: expected {expected}", param_hint="--python")
        pythons[row] = Path(path).absolute()
    return pythons


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


if __name__ == "__main__":
    try:
        typer.run(main)
    except EnvironmentBuildError as error:
        stderr().print(f"{error}\n{error.log}", style="red", markup=False, highlight=False)
        sys.exit(ExitCode.ENVIRONMENT)
