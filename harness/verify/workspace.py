"""What one thread reads and computes in, used again for every weight."""

from __future__ import annotations

from harness.verify.blocks import Buffers, Files
from harness.verify.loops import Counters


class Workspace:
    """What one thread reads and computes in."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.buffers = Buffers()
        self.counters = Counters()
