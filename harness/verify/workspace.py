"""What one thread reads and computes in, used again for every weight."""

from __future__ import annotations

from harness.verify.blocks import Buffers, Files
from harness.verify.loops import Counters

MAX_WIDTHS = 16
"""Whose rows of scratch a thread keeps."""


class Workspace:
    """What one thread reads and computes in."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.buffers = Buffers()
        self._counters: dict[int, Counters] = {}

    def counters(self, columns: int) -> Counters:
        """For a weight of this width, at their beginning."""
        if columns not in self._counters:
            if len(self._counters) >= MAX_WIDTHS:
                self._counters.clear()
            self._counters[columns] = Counters(columns)
        self._counters[columns].clear()
        return self._counters[columns]
