"""`deltaproof verify`: is what an adapter says in a merged checkpoint?"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import Interrupted, stderr, write_stdout
from harness.cli.places import check_place
from harness.cli.verify_progress import VerifyProgress
from harness.errors import UsageError
from reports.files import write_text


def verify(
    base: Annotated[Path, typer.Option(metavar="DIR", help="The checkpoint that the adapter was trained on.")],
    adapter: Annotated[Path, typer.Option(metavar="DIR", help="The adapter, as PEFT saved it.")],
    merged: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What the merge wrote; without it the adapter is checked against base alone."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report with its pictures there.")] = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Threads; one a processor if left out.")] = None,
) -> None:
    """Say whether all of the adapter is in the merged checkpoint, and nothing else changed; if not, where and why."""
    if html is not None:
        _check_place(html, (base, adapter, *([merged] if merged else [])))
    command = shlex.join(["deltaproof", *sys.argv[1:]])
    try:
        # Imported where it is needed: no other verb should pay for it.
        from harness.verify import verify as verify_directories
        from reports.verification import json_document, terminal

        with VerifyProgress(stderr()) as progress:
            report = verify_directories(base, adapter, merged, num_threads=jobs, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted("nothing was written") from None
    stderr().print(terminal.summary(report, command=command))
    if html is not None:
        from reports.verification import html as page

        write_text(html, page.render(report, command=command))
        stderr().print(f"page: {html}", markup=False, highlight=False)
    if as_json:
        write_stdout(json_document.render(report))
    raise typer.Exit(report.exit_code)


def _check_place(html: Path, read: tuple[Path, ...]) -> None:
    """Raise if the page cannot be written, before an hour's work is spent on it, or would stand in for what is read."""
    place = Path(os.path.realpath(html))
    is_read = any(place.is_relative_to(os.path.realpath(directory)) for directory in read)
    if is_read and html.is_file() and html.suffix != ".html":
        raise UsageError("is a file of what is to be verified", where=f"--html {html}", next_step="Name another.")
    check_place("--html", html)
