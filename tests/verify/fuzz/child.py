"""The process that verifies: a line `SEED ONLY` in, a line of JSON out, until the input ends.

Apart from the one that watches, because a hang, a signal or a full memory ends it. It limits its own address space.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from harness.verify import verify
from harness.verify.expressions import first_hits
from harness.verify.loops import NAMES
from harness.verify.native import entry
from harness.verify.report import VerifyReport
from tests.verify.fuzz.cases import make
from tests.verify.fuzz.directories import put_down
from tests.verify.fuzz.running import as_json, run
from tests.verify.fuzz.triples import VARIANTS, pristine
from tests.verify.fuzz.watching import READY

MAX_MORE_BYTES = 4 * 2**30
"""Of addresses, above what the process has when all is loaded: a huge array is an error, and not the machine's end."""
EXPRESSIONS_S = 0.5
"""What expressions get: the twenty seconds of every day, waited for hundreds of times, would teach nothing."""


def main() -> None:
    """Answer the lines of the input; the folder to work in is the one argument."""
    place = Path(sys.argv[1])
    limit_expressions()
    for name in NAMES:
        entry(name)  # compiling takes more time and memory than any case may
    for variant in VARIANTS:
        paths = put_down(pristine(variant), place)
        report = verify(paths["base"], paths["adapter"], paths["merged"])
        assert report.verdict == "CONTAINS", report.findings
    _limit_addresses()
    print(READY, flush=True)
    for line in sys.stdin:
        seed, _, only = line.strip().partition(" ")
        print(as_json(run(make(int(seed), only), _verify, place)), flush=True)


def limit_expressions() -> None:
    """Give a stranger's expressions less time than they have every day."""
    assert first_hits.__kwdefaults__ is not None
    first_hits.__kwdefaults__["limit_s"] = EXPRESSIONS_S


def _verify(base: Path, adapter: Path, merged: Path | None) -> VerifyReport:
    return verify(base, adapter, merged, num_threads=2)


def _limit_addresses() -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return
    limit_bytes = pages * resource.getpagesize() + MAX_MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


if __name__ == "__main__":
    main()
