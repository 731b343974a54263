"""Reads the events file of a batch as it grows. Owns its lines; must not know what they lead to."""

from __future__ import annotations

import json
from pathlib import Path

from harness import codec
from harness.errors import ArtifactError
from harness.records.jobs import Event


class Events:
    """The events of one process, each given once."""

    def __init__(self, path: Path, *, known: frozenset[str]) -> None:
        self.path = path
        self.known = known
        self._offset = 0

    def new(self) -> list[Event]:
        """Events since the last call. Raises ArtifactError on a line that is none, or is about a job of nobody."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]  # what a killed process left after the last newline is not an event
        self._offset += len(whole)
        return [self._event(line) for line in whole.splitlines()]

    def _event(self, line: bytes) -> Event:
        where = f"{self.path.name}: an event"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ArtifactError("is not JSON", where=where, got=repr(line[:80])) from error
        event = codec.decode(Event, value, where=where)
        if event.job not in self.known:
            raise ArtifactError("is about no job of the batch", where=where, got=event.job)
        return event
