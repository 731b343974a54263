"""The engine with fake workers, in a process of its own: to be killed, interrupted, and started again.

Reads settings (JSON) from its first argument. Prints a line for each job that starts; last, the outcomes as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from harness.errors import DeltaproofError
from harness.execution.code import Code
from harness.execution.engine import execute
from harness.execution.outcome import Outcome, Phase, Silence
from harness.execution.store import Store
from tests.execution import kill_points
from tests.execution.plans import WORK_DIGESTS, fake_cells, fake_command, plan, write_fake_base


class Saying(Silence):
    """Says when a job starts."""

    def job_started(self, phase: Phase, cell: str, job: str) -> None:
        """One line."""
        print(f"started {job}", flush=True)


def main(settings: dict[str, Any]) -> int:
    """Run the engine as the settings say."""
    writes, reads = plan(settings["cells"], settings["cases"])
    if settings["kill_at"]:
        kill_points.install(settings["kill_at"])
    try:
        execution = execute(
            writes,
            reads,
            fake_cells(settings["cells"], settings["environment"]),
            store=Store(Path(settings["out"])),
            run_id=settings["run_id"],
            code=Code(Path(settings["code"]), "all", WORK_DIGESTS, {}),
            write_base=write_fake_base,
            command=fake_command,
            progress=Saying(),
        )
    except DeltaproofError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 130
    outcomes = {**execution.writes, **execution.reads}
    print(json.dumps({name: _summary(outcome) for name, outcome in outcomes.items()}))
    return 0


def _summary(outcome: Outcome) -> dict[str, Any]:
    return {"error": outcome.error, "reused": outcome.reused, "directory": str(outcome.directory)}


if __name__ == "__main__":
    # Whoever runs the tests in the background of a shell without job control hands down an ignored Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(json.loads(sys.argv[1])))
