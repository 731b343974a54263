"""Is what an adapter says really in a merged checkpoint? Three directories, streamed and compared; no model code.

Knows numpy, and nothing of cells, runs or stacks.
"""

from harness.verify.records import Finding
from harness.verify.report import Verdict, VerifyReport
from harness.verify.survey import Progress
from harness.verify.verify import verify

__all__ = ["Finding", "Progress", "Verdict", "VerifyReport", "verify"]
