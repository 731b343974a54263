"""The sessions: what people and CI run. No versions here: rows are in `cases/matrix.toml`, tools in `pyproject.toml`.

nox knows the exit codes 0 and 1 only; the finer ones are those of the command `deltaproof`.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
ROWS = [row["name"] for row in tomllib.loads((ROOT / "cases" / "matrix.toml").read_text(encoding="utf-8"))["cells"]]

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint"]


@nox.session
def matrix(session: nox.Session) -> None:
    """Train, save, reload and judge every row of the matrix, with the grid between them, and write the report."""
    _install(session)
    session.run("deltaproof", "run", *session.posargs)


def _add_row(row: str) -> None:
    def one_row(session: nox.Session) -> None:
        _install(session)
        session.run("deltaproof", "run", "--cells", row, *session.posargs)

    one_row.__doc__ = f"The matrix's row {row} alone."
    nox.session(name=f"matrix-{row}")(one_row)


for _row in ROWS:
    _add_row(_row)


@nox.session
def tests(session: nox.Session) -> None:
    """The tests of the harness itself, on all cores: a file's tests share what its first has made."""
    _install(session, "test")
    # Files in their order: by their numbers of tests, those few that build environments would come last, on one core.
    options = ("--numprocesses=auto", "--maxprocesses=8", "--dist=loadfile", "--no-loadscope-reorder")
    session.run("pytest", *options, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, types, import rules and workflows."""
    _install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")
    workflows = [str(path.relative_to(ROOT)) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    # Its package fetches a binary from GitHub when it is installed, which not every machine can reach: so it is no
    # requirement here, and the pull request's workflow brings it.
    if shutil.which("actionlint"):
        session.run("actionlint", *workflows, external=True)
    else:
        session.warn("actionlint is not on PATH: the workflows were checked against their schema only")


@nox.session
def faults(session: nox.Session) -> None:
    """Put every known bug in on purpose, and run two hundred clean trainings beside: who catches and names which."""
    _install(session)
    session.run("deltaproof", "faults", *(session.posargs or ["--controls", "200"]))


@nox.session
def canaries(session: nox.Session) -> None:
    """Execute the guards of every watched package's newest release; `-- --package P --version V` of another."""
    _install(session)
    session.run("deltaproof", "canary", *(session.posargs or ["--newest"]))


@nox.session
def rewrites(session: nox.Session) -> None:
    """Rewrite every guard of every watched package in ways that change nothing: none may sing. `-- PACKAGES` some."""
    _install(session)
    session.run("python", "-m", "tests.canaries.rewrites", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Verify ten thousand damaged checkpoints; `-- --seed N --count 1` is one of them again."""
    _install(session)
    session.run("python", "-m", "tests.verify.fuzz", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the code that judges in one place at a time: which changes does no test see? `-- PATHS` are some of it."""
    _install(session, "mutants")
    session.run("python", "-m", "tests.mutation", *session.posargs)


@nox.session
def merges(session: nox.Session) -> None:
    """Verify every merge that `nox -s matrix` has left in reports/out."""
    _install(session)
    session.run("python", "-m", "tests.end_to_end.merges", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure and print what the project promises about speed."""
    _install(session)
    session.run("python", "-m", "bench.main", *session.posargs)


def _install(session: nox.Session, *groups: str) -> None:
    """The project, and the tools of `groups`.

    Editable, because uv takes a build of this folder from its cache until pyproject.toml changes: an old one, that is.
    """
    session.install("-e", ".", *nox.project.dependency_groups(PYPROJECT, *groups))
