"""Changes the code that judges, one place at a time, and runs the tests that reach it: `nox -s mutants [-- PATHS]`.

What is mutated, and which tests are run, is in pyproject.toml (tool.mutmut). mutmut works in `mutants/`, and goes on
there where it was interrupted. It sees that code changed, and not that tests did: name the paths to have theirs
checked again, or remove the folder to have all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from harness.errors import ExitCode
from tests.mutation.results import Change, Fate, Mutant, load_listed, result_of

ROOT = Path(__file__).parents[2]
FATES: dict[str, Fate] = {
    "killed": "killed", "segfault": "killed", "timeout": "timeout", "survived": "survived", "no tests": "no tests",
}  # fmt: skip
"""mutmut's words to ours; any other is of one that was not checked."""


def main(paths: Sequence[str]) -> int:
    """Run the mutants of `paths` (files and folders; those of all without a result if there are none) and tell."""
    if unknown := [path for path in paths if not (ROOT / path).exists()]:
        print(f"{', '.join(unknown)}: expected files or folders of harness", file=sys.stderr)
        return ExitCode.USAGE
    wanted = [Path(path).as_posix().removesuffix(".py") for path in paths]
    names = [f"{path.replace('/', '.')}.*" for path in wanted]
    os.chdir(ROOT)  # where mutmut looks for everything
    done = subprocess.run([Path(sys.executable).with_name("mutmut"), "run", *names], check=False)
    if done.returncode != 0:
        return done.returncode
    mutants = [mutant for mutant in _mutants() if _is_wanted(mutant, wanted)]
    result = result_of(mutants, load_listed(), is_all=not wanted)
    print("\n".join(result.lines), file=sys.stderr)
    return ExitCode.OK if result.is_good else ExitCode.FAILED


def _is_wanted(mutant: Mutant, wanted: Sequence[str]) -> bool:
    module = mutant.change.module.removesuffix(".py")
    return not wanted or any(module == path or module.startswith(f"{path}/") for path in wanted)


def _mutants() -> Iterator[Mutant]:
    """What mutmut left of the files that are meant."""
    for path in walk_mutatable_files():
        meta = Path("mutants", f"{path}.meta")
        for name, exit_code in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            fate = FATES.get(status_by_exit_code[exit_code], "unchecked")
            yield Mutant(_change(Path(path).as_posix(), name, with_lines=fate in ("survived", "no tests")), fate)


def _change(module: str, name: str, *, with_lines: bool) -> Change:
    """Lines of survivors alone: to find them takes long."""
    function, owner = orig_function_and_class_names_from_key(name)
    diff = get_diff_for_mutant(name, path=module).splitlines()[2:] if with_lines else []
    was, now = (" ".join(line[1:].strip() for line in diff if line.startswith(sign)) for sign in "-+")
    return Change(module, f"{owner}.{function}" if owner else function, was, now)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
