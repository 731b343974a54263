"""`deltaproof canary`: what it asks and leaves, how a mistake is told; and a small package of ours, really executed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from harness.canaries import sources
from harness.canaries.request import CanaryRequest, Progress
from harness.canaries.rules import load_rules
from harness.canaries.trees import Tree
from harness.canaries.workflow import Rules
from harness.cli.console import stderr
from harness.errors import ExitCode
from harness.records.canaries import CanaryReport
from reports import schema
from reports.canaries import html, json_document, markdown, sarif
from tests.cli.conftest import Said
from tests.reports.canaries.builders import REPORTS

Command = Callable[..., Said]
REPORT = REPORTS["states"]
RULE = """
[[rules]]
name = "{0}"
why = "Without it nothing is doubled."
thread = "https://example.org/thread"
expected = ">=2.0"
where = "tiny/work.py"
symbols = {{ guard = "{0}" }}
given = {{ n = [2, 99] }}
bad = [{{ name = "none", source = "def {0}(n): return n" }}]
[[rules.calls]]
name = "a number"
call = "guard(n) - n"
returns = "$n"
[[rules.calls]]
name = "nothing"
call = "guard(None)"
raises = "TypeError"
"""
RULES = {"tiny": ("twice", "doubled"), "other": ("twice",)}
TWICE = "def twice(n):\n    if n is None:\n        raise TypeError\n    return 2 * n\n"
DOUBLED = "def doubled(n):\n    return 3 * n\n"


@dataclass
class Workflow:
    """Stands for the workflow."""

    answer: CanaryReport | BaseException = REPORT
    asked: list[CanaryRequest] = field(default_factory=list)
    packages: list[list[str]] = field(default_factory=list)

    def __call__(
        self, request: CanaryRequest, rules: Rules, _matrix: object, *, progress: Progress, **_options: object
    ) -> CanaryReport:
        self.asked.append(request)
        self.packages.append(list(rules))
        progress.started(2)
        progress.looking("tiny 2.0")
        progress.checked("twice")
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """The workflow's place, taken."""
    taken = Workflow()
    monkeypatch.setattr("harness.cli.canary.run_canaries", taken)
    return taken


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package of ours, which two rules watch: one guard holds, the other does not."""
    rules = tmp_path / "rules"
    rules.mkdir()
    for package, names in RULES.items():
        text = "".join(map(RULE.format, names))
        (rules / f"{package}.toml").write_text(f'package = "{package}"\n{text}', encoding="utf-8")
    monkeypatch.setattr("harness.cli.canary.load_rules", partial(load_rules, rules))
    folder = tmp_path / "checkout"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "__init__.py").write_text("raise SystemExit\n")
    (folder / "tiny" / "work.py").write_text(TWICE + DOUBLED)
    return folder


@pytest.fixture
def unreachable(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that has no release."""

    def no_tree(_self: object, package: str, version: str, source: str) -> Tree:
        raise sources.Unreachable(f"the registry has no {source} of {package} {version}")

    def no_versions(_self: object, package: str, _since: str, _until: str) -> list[str]:
        raise sources.Unreachable(f"the registry has no release of {package}")

    monkeypatch.setattr(sources.Releases, "tree", no_tree)
    monkeypatch.setattr(sources.Releases, "versions", no_versions)


def test_what_is_asked_reaches_the_workflow(deltaproof: Command, workflow: Workflow) -> None:
    """Packages, source, expression, seed, folder, and the command as typed."""
    deltaproof("canary", "--package", "peft", "--version", "0.19.1", "-k", "layout or key", "--seed", "4", "--out", "o")
    deltaproof("canary", "--package", "peft", "--since", "0.18.0", "--until", "0.21.2")
    deltaproof("canary", "--newest", "--package", "peft", "--package", "trl")
    deltaproof("canary")
    one, many, newest, here = workflow.asked
    assert [["peft"], ["peft"], ["peft", "trl"], list(load_rules())] == workflow.packages
    assert ("0.19.1", "layout or key", "4", Path("o")) == (one.version, one.expression, one.seed, one.out)
    assert "deltaproof canary --package peft --version 0.19.1 -k 'layout or key' --seed 4 --out o" == one.command
    assert ("0.18.0", "0.21.2") == (many.since, many.until)
    assert newest.newest
    assert (False, "", "", None, "", Path("reports/out")) == (
        here.newest, here.version, here.since, here.path, here.expression, here.out,
    )  # fmt: skip


@pytest.mark.usefixtures("workflow")
def test_documents_are_left_in_the_runs_folder(deltaproof: Command) -> None:
    """JSON alone on stdout if it is asked for, word for word what is in the file; the exit code is the report's."""
    said = deltaproof("canary", "--json", "--out", "o")
    folder = Path("o/runs") / REPORT.run_id
    assert (ExitCode.FAILED, json_document.render(REPORT)) == (said.code, said.out)
    assert said.out == (folder / "canaries.json").read_text("utf-8")
    assert markdown.render(REPORT) == (folder / "canaries.md").read_text("utf-8")
    assert sarif.render(REPORT) == (folder / "canaries.sarif").read_text("utf-8")
    assert f"{REPORT.run_id}\n" == Path("o/latest-canaries").read_text("utf-8")
    assert f"report: {folder}/canaries.html" in said.err
    assert "✕ layout_by_shape: broken" in said.err
    assert "" == deltaproof("canary", "--out", "o").out


def test_views_are_written_where_they_were_asked_for(deltaproof: Command, workflow: Workflow) -> None:
    """Also in a folder that is not there yet; exit 0 where all holds."""
    workflow.answer = REPORTS["good"]
    said = deltaproof("canary", "--html", "deep/er/page.html", "--sarif", "deep/er/alerts.sarif")
    assert (ExitCode.OK, "") == (said.code, said.out)
    assert "page: deep/er/page.html" in said.err
    assert "sarif: deep/er/alerts.sarif" in said.err
    assert html.render(REPORTS["good"]) == Path("deep/er/page.html").read_text("utf-8")
    assert sarif.render(REPORTS["good"]) == Path("deep/er/alerts.sarif").read_text("utf-8")
    assert {"page.html", "alerts.sarif"} == {path.name for path in Path("deep/er").iterdir()}


@pytest.mark.usefixtures("workflow")
def test_a_bar_is_for_terminals_alone(deltaproof: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards of all releases are counted there; elsewhere nothing moves, and NO_COLOR takes the colours."""
    plain = deltaproof("canary").err
    assert "\x1b" not in plain
    assert "1/2" not in plain
    stderr.cache_clear()
    shown = deltaproof("canary", terminal=True).err
    assert "1/2" in shown
    assert "tiny 2.0 twice" in shown
    coloured = "\x1b[31m"
    assert coloured in shown
    monkeypatch.setenv("NO_COLOR", "1")
    stderr.cache_clear()
    assert coloured not in deltaproof("canary", terminal=True).err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--version", "1.0", "--newest", "--package", "tiny"), ["--version and --newest", "different"],
                     id="two sources"),
        pytest.param(("--path", "folder", "--since", "1.0", "--package", "tiny"), ["--path and --since"], id="more"),
        pytest.param(("--version", "1.0"), ["--version", "of which package?"], id="a version of everything"),
        pytest.param(("--since", "1.0"), ["--since", "of which package?"], id="a timeline of everything"),
        pytest.param(("--path", "folder", "--package", "a", "--package", "b"), ["of which"], id="two packages"),
        pytest.param(("--version", "new", "--package", "tiny"), ["--version new", "is no version"], id="no version"),
        pytest.param(("--version", "../..", "--package", "tiny"), ["--version ../..", "is no version"], id="a path"),
        pytest.param(("--since", "x", "--package", "tiny"), ["--since x", "is no version"], id="since no version"),
        pytest.param(("--until", "1.0.", "--package", "tiny"), ["--until 1.0.", "is no version"], id="until none"),
        pytest.param(("--since", "2.0", "--until", "1.9", "--package", "tiny"), ["--since 2.0", "after --until", "1.9"],
                     id="backwards"),
        pytest.param(("--path", "nowhere", "--package", "tiny"), ["--path nowhere", "is no folder"], id="no folder"),
        pytest.param(("--path", "taken", "--package", "tiny"), ["--path taken", "is no folder"], id="a file"),
        pytest.param(("--html", "folder"), ["--html folder", "is a directory"], id="a page that is a folder"),
        pytest.param(("--sarif", "folder"), ["--sarif folder", "is a directory"], id="alerts that are a folder"),
        pytest.param(("--sarif", "taken/x"), ["--sarif taken/x", "cannot be written"], id="below a file"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_the_work(
    deltaproof: Command, workflow: Workflow, arguments: tuple[str, ...], words: list[str]
) -> None:
    """Exit 2, on stderr, with the option; nothing was begun."""
    Path("folder").mkdir()
    Path("taken").write_text("a file")
    said = deltaproof("canary", *arguments)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    assert said.err.startswith("deltaproof: ")
    for word in words:
        assert word in said.err
    assert [] == workflow.asked
    assert not Path("reports").exists()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--package", "unknown"), ["unknown", "no canaries watch it", "one of other, tiny"], id="package"),
        pytest.param(("-k", "nobody"), ["no canary matches -k", "such as twice", "got nobody"], id="none"),
        pytest.param(("-k", "twice and"), ["-k cannot be read", "twice and"], id="half an expression"),
        pytest.param(("--package", "tiny", "--path", "empty"), ["empty", "holds no such package", "tiny"], id="folder"),
    ],
)
def test_a_mistake_that_the_real_workflow_finds_is_one_line(
    deltaproof: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: list[str]
) -> None:
    """Exit 2, before anything is fetched, built or executed."""
    monkeypatch.delattr("harness.canaries.workflow._environments")
    Path("empty").mkdir()
    said = deltaproof("canary", *arguments)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    for word in words:
        assert word in said.err
    assert not Path("reports").exists()


def test_a_folder_is_looked_at_and_what_is_wrong_is_said(deltaproof: Command, tiny: Path) -> None:
    """Really executed: one guard holds, the other does not; the report satisfies its schema; exit 1."""
    said = deltaproof("canary", "--package", "tiny", "--path", tiny, "--seed", "s", "--json", "--html", "page.html")
    value = json.loads(said.out)
    jsonschema.Draft202012Validator(schema.schema_of(schema.CANARIES)).validate(value)
    assert ExitCode.FAILED == said.code
    [release] = value["releases"]
    first, second = release["verdicts"]
    assert ("twice", "held", "tiny/work.py", 1) == (first["rule"], first["state"], first["path"], first["line"])
    assert ("doubled", "broken", 5) == (second["rule"], second["state"], second["line"])
    assert re.search(r"^\[ +\d+\.\d s\] tiny folder$", said.err, re.MULTILINE), "a line a release, as there is no bar"
    assert "● twice: held" in said.err
    assert "✕ doubled: broken" in said.err
    assert f"again: deltaproof canary --package tiny --path {tiny} --seed s" in said.err
    assert "doubled in tiny/work.py, line 5" in Path("page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("expression", "names", "code"),
    [
        ("twice", ["twice"], ExitCode.OK),
        ("doubled@tiny", ["doubled"], ExitCode.FAILED),
        ("not twice", ["doubled"], ExitCode.FAILED),
        ("twice or doubled", ["twice", "doubled"], ExitCode.FAILED),
        ("tiny and not doubled", ["twice"], ExitCode.OK),
    ],
)
def test_guards_are_chosen_by_an_expression(
    deltaproof: Command, tiny: Path, expression: str, names: list[str], code: ExitCode
) -> None:
    """Over names and packages, as in the other verbs; the report says that it is not of all."""
    said = deltaproof("canary", "--package", "tiny", "--path", tiny, "-k", expression, "--json")
    value = json.loads(said.out)
    assert (names, code, expression) == (
        [each["rule"] for each in value["releases"][0]["verdicts"]], said.code, value["expression"],
    )  # fmt: skip


@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize(
    ("arguments", "words", "rerun"),
    [
        (("--version", "9999.1"), "the registry has no wheel of tiny 9999.1", "--version 9999.1"),
        (("--version", "1.0"), "the registry has no wheel of tiny 1.0", "--version 1.0"),
        (("--newest",), "the registry has no release of tiny", "--newest"),
        (("--since", "1.0", "--until", "2.0"), "the registry has no release of tiny", "--since 1.0 --until 2.0"),
    ],
)
def test_what_cannot_be_had_cannot_be_told(
    deltaproof: Command, arguments: tuple[str, ...], words: str, rerun: str
) -> None:
    """Exit 3 with the registry's words, of a version too that need not have the guards: nobody has seen it."""
    said = deltaproof("canary", "--package", "tiny", *arguments, "--seed", "s")
    assert ExitCode.INCONCLUSIVE == said.code
    assert f"? twice: cannot-tell · {words}" in said.err
    assert f"again: deltaproof canary --package tiny {rerun} --seed s" in said.err
    assert "2 cannot-tell of 2 guards" in said.err


def test_interrupted_it_leaves_no_document(deltaproof: Command, workflow: Workflow) -> None:
    """Half a report is none."""
    workflow.answer = KeyboardInterrupt()
    said = deltaproof("canary", "--json", "--html", "page.html")
    assert (ExitCode.INTERRUPTED, "") == (said.code, said.out)
    assert "interrupted: no report was written" in said.err
    assert not Path("page.html").exists()
    assert not Path("reports").exists()
