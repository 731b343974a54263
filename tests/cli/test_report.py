"""`deltaproof report` and `compare`, on sample reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.errors import ExitCode
from reports import html, json_report, junit, markdown
from reports.json_report import write_report
from tests.cli.conftest import Said
from tests.reports.conftest import broken, make_report, make_result

Command = Callable[..., Said]
RENDER = {"html": html.render, "json": json_report.render, "junit": junit.render, "md": markdown.render}


@pytest.fixture
def out() -> Path:
    """An output folder with two runs: a clean one, and a later one that lost a delta."""
    clean = make_result()
    for run_id, result in (("20261120T01-aa", clean), ("20261121T01-bb", broken(clean, "delta_missing experts 1/48"))):
        report = make_report([result], run_id=run_id, full_count=())
        write_report(report, Path("out/runs") / run_id / "report.json")
    return Path("out")


@pytest.mark.parametrize("view", RENDER)
def test_each_view_is_what_its_renderer_makes(deltaproof: Command, out: Path, view: str) -> None:
    """On stdout, alone, and the same in a file; exit 0 also for a run that failed."""
    report = json_report.read_report(out / "runs" / "20261121T01-bb" / "report.json")
    expected = RENDER[view](report)
    said = deltaproof("report", view, "latest", "--out", out)
    assert (ExitCode.OK, expected.rstrip("\n"), "") == (said.code, said.out.rstrip("\n"), said.err)
    written = deltaproof("report", view, "20261121", "--file", "views/page", "--out", out)
    assert (ExitCode.OK, "") == (written.code, written.out)
    assert expected == Path("views/page").read_text(encoding="utf-8")
    assert "wrote views/page" in written.err


def test_views_are_what_they_are_called(deltaproof: Command, out: Path) -> None:
    """JSON parses, JUnit is XML, HTML is a page, Markdown has a heading."""
    said = {view: deltaproof("report", view, "--out", out).out for view in RENDER}
    assert "20261121T01-bb" == json.loads(said["json"])["run_id"]
    assert "testsuites" == ElementTree.fromstring(said["junit"]).tag
    assert said["html"].lower().startswith("<!doctype html>")
    assert said["md"].startswith("#")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"{", "is not JSON", id="cut short"),
        pytest.param(b"[]", "is not a report", id="no object"),
        pytest.param(b'{"schema_version": "9.9"}', "another schema", id="another schema"),
        pytest.param(b"\xff\xfe", "is not JSON", id="no text"),
        pytest.param(b'{"schema_version": "1.0"}', "is missing", id="keys missing"),
    ],
)
@pytest.mark.parametrize("verb", [("report", "html"), ("compare", "latest")], ids=["report", "compare"])
def test_a_report_that_cannot_be_read_is_one_line(
    deltaproof: Command, out: Path, verb: tuple[str, ...], content: bytes, words: str
) -> None:
    """Exit 2, the file's name, no traceback, and nothing on stdout."""
    Path("bad.json").write_bytes(content)
    said = deltaproof(*verb, "bad.json", "--out", out)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    assert "bad.json" in said.err
    assert words in said.err


@pytest.mark.parametrize(
    ("earlier", "later", "code"),
    [
        pytest.param("20261120", "latest", ExitCode.FAILED, id="worse"),
        pytest.param("latest", "20261120", ExitCode.OK, id="better"),
        pytest.param("latest", "latest", ExitCode.OK, id="the same"),
    ],
)
def test_compare_fails_if_anything_got_worse(
    deltaproof: Command, out: Path, earlier: str, later: str, code: ExitCode
) -> None:
    """1 for what is worse and counts, 0 for what is better or the same; words on stderr."""
    said = deltaproof("compare", earlier, later, "--out", out)
    assert (code, "") == (said.code, said.out)
    assert said.err.strip()


def test_compare_gives_json_alone_on_stdout(deltaproof: Command, out: Path) -> None:
    """The whole comparison, with the same exit code."""
    said = deltaproof("compare", "20261120", "20261121", "--json", "--out", out)
    comparison = json.loads(said.out)
    assert ExitCode.FAILED == said.code
    assert ["worse"] == [change["change"] for change in comparison["results"]]
    assert ("20261120T01-aa", "20261121T01-bb") == (comparison["earlier_run"], comparison["later_run"])
