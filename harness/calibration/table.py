"""The table of tolerances as a file: every number measured, with a digest, so that an edit by hand is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from harness.calibration.placing import Placed
from harness.calibration.policy import Policy
from harness.judging.gates import DIGEST_KEY, digest_of_text

HEADER = """\
# The table of tolerances. Made by `deltaproof calibrate`, and never edited: what each metric is for is in
# harness/calibration/policy.toml, and every number here was measured. A gate stands between the worst clean result
# (noise) and the nearest fault that the metric can tell. Those that it cannot tell are listed with what catches them.
"""


def render(
    gates: Sequence[tuple[Policy, Placed]],
    *,
    device: str,
    measured_on: str,
    command: str,
    versions: Mapping[str, Mapping[str, str]],
) -> str:
    """The file's text."""
    document: dict[str, Any] = {
        "device": device,
        "measured_on": measured_on,
        "command": command,
        "versions": {row: dict(packages) for row, packages in versions.items()},
        "gates": [_gate(policy, placed) for policy, placed in gates],
    }
    body = HEADER + "\n" + tomli_w.dumps(document)
    return f'{body}\n[{DIGEST_KEY}]\nsha256 = "{digest_of_text(body)}"\n'


def _gate(policy: Policy, placed: Placed) -> dict[str, Any]:
    row: dict[str, Any] = {
        "metric": policy.metric,
        "kinds": list(policy.kinds),
        "dtypes": list(policy.dtypes),
        "reaches": list(policy.reaches),
        "forms": list(policy.forms),
        "relation": policy.relation,
        "bound": placed.bound,
        "carries": placed.carries,
        "optional": policy.optional,
        "power": policy.power,
        "of_signal": policy.of_signal,
        "noise": placed.noise,
        "num_clean": placed.num_clean,
        "nearest": placed.nearest,
        "nearest_fault": placed.nearest_fault,
        "unseen": list(placed.unseen),
        "evidence": policy.evidence,
    }
    return {key: value for key, value in row.items() if value is not None}
