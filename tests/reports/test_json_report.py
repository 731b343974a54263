"""The JSON report: written whole, read back equal, refused by name where it is not one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import ArtifactError, StorageError
from harness.records.results import Report
from reports import files, json_report


def test_a_report_survives_the_file(any_report: Report, tmp_path: Path) -> None:
    """What is read is equal to what was written, lone surrogates and control characters included."""
    path = json_report.write_report(any_report, tmp_path / "runs" / "report.json")
    assert any_report == json_report.read_report(path)
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\udcff", "is not JSON"),
        ("[]", "is not a report; expected an object; got list"),
        ("{}", "expected schema_version '1.0'; got None"),
        ('{"schema_version": "99"}', "got '99'"),
        ('{"schema_version": "1.0"}', "is missing"),
        ('{"schema_version": "1.0", "duration_s": NaN}', "NaN is not a JSON number"),
        ('{"schema_version": "1.0", "duration_s": 1e999}', "too large"),
        ('{"schema_version": "1.0", "exit_code": ' + "9" * 400 + "}", "too large"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_not_a_report_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A malformed file is one clear line that names the file: exit 2, never a traceback, never a pass."""
    path = tmp_path / "report.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match=r"report\.json: ") as caught:
        json_report.read_report(path)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A report that is not there is named."""
    with pytest.raises(ArtifactError, match=r"absent\.json: cannot be read"):
        json_report.read_report(tmp_path / "absent.json")


def test_an_unknown_key_is_refused_by_name(sample: Callable[[str], Report], tmp_path: Path) -> None:
    """A key that the records do not have is an error that names it."""
    value = json.loads(json_report.render(sample("small")))
    value["results"][0]["colour"] = "green"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(value), "utf-8")
    with pytest.raises(ArtifactError, match="unknown key 'colour'"):
        json_report.read_report(path)


def test_a_failed_write_leaves_the_earlier_report(
    sample: Callable[[str], Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old file stays whole, nothing lies beside it, and the error is one line."""
    path = json_report.write_report(sample("small"), tmp_path / "report.json")
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        files.write_text(path, "other")
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
