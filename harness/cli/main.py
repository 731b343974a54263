"""`deltaproof`: the verbs, and the one place where errors become a line of text and an exit code.

A verb is imported when it is the one that is asked for: they are programs of their own, and the imports of all of them
take as long as `verify` takes for a gigabyte.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable
from importlib import import_module

import typer

from harness.cli.console import Interrupted, stderr
from harness.errors import DeltaproofError, EnvironmentBuildError, ExitCode

VERBS = ("verify", "run", "canary", "faults", "calibrate", "plan", "compare", "doctor", "report")
"""Each a module of this folder, with a function of its name, or an `app` of several."""


def make_app(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The command line with these verbs."""
    app = typer.Typer(
        help="Proof that what you trained is what you saved.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(lambda: None)  # so that one verb alone is still called by its name
    for verb in verbs:
        module = import_module(f"harness.cli.{verb}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb)
        else:
            app.command(verb)(getattr(module, verb))
    return app


def main() -> None:
    """Run a verb and exit with its code."""
    asked = [verb for verb in VERBS if verb == next(iter(sys.argv[1:]), "")]
    try:
        code = make_app(asked or VERBS)(standalone_mode=False)
        if code == ExitCode.INTERRUPTED:
            raise KeyboardInterrupt  # which typer makes this code of, without a word
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort, Interrupted) as stop:
        kept = str(stop) or "what was finished is kept, and the same command goes on from there"
        stderr().print(f"interrupted: {kept}", markup=False, highlight=False)
        code = ExitCode.INTERRUPTED
    except DeltaproofError as error:
        stderr().print(f"deltaproof: {error}", style="red", markup=False, highlight=False)
        if isinstance(error, EnvironmentBuildError):
            stderr().print(error.log, markup=False, highlight=False)
        code = error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    except Exception as error:
        if not hasattr(error, "exit_code"):  # a usage error of typer's own says so by this attribute
            raise
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        text = f"deltaproof: {message.rstrip('.')}. `deltaproof --help` lists the verbs."
        stderr().print(text, markup=False, highlight=False)
        code = ExitCode.USAGE
    gc.freeze()  # or Python would look through all that there is, several times, before it ends
    sys.exit(int(code or 0))


if __name__ == "__main__":
    main()
