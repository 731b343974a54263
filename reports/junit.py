"""The report as JUnit XML, for the CI systems that count test cases: one suite a cell, one test case a result.

A known break passes, and says in a property and in its output that it is known and why: a CI stays green on it. An
environment that was not built is an error of its own, so that what could not run is never invisible.
"""

from __future__ import annotations

from xml.etree import ElementTree

from harness.history.standing import Standing, standing
from harness.records.results import CellReport, Report, Result
from reports import view
from reports.text import one_line, printable, tail

MAX_TEXT = 20_000
"""Characters of a failure's body: some CI systems refuse a file for one long text."""


def render(report: Report) -> str:
    """The XML text. The suite of a result is the cell that ran it: the reader of a route, the writer of a write."""
    root = ElementTree.Element("testsuites", name="deltaproof", time=f"{report.duration_s:.3f}")
    built = {cell.name: cell for cell in report.cells}
    for name in view.cell_names(report):
        results = [result for result in report.results if (result.reader or result.writer) == name]
        cell = built.get(name)
        if results or (cell and cell.error):
            root.append(_suite(report, name, cell, results))
    for kind in ("tests", "failures", "errors", "skipped"):
        root.set(kind, str(sum(int(suite.get(kind, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(report: Report, name: str, cell: CellReport | None, results: list[Result]) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=printable(name), timestamp=printable(report.started_at))
    if cell is not None:
        properties = ElementTree.SubElement(suite, "properties")
        for package, version in view.principal_versions(cell).items():
            _property(properties, package, version)
        _property(properties, "lock_digest", cell.lock_digest)
        if cell.error:
            case = ElementTree.SubElement(suite, "testcase", classname=printable(name), name="environment", time="0")
            message = f"the environment of {one_line(name)} could not be built"
            problem = ElementTree.SubElement(case, "error", type="environment", message=message)
            problem.text = tail(cell.error, MAX_TEXT)
    for result in results:
        suite.append(_test_case(result))
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    return suite


def _test_case(result: Result) -> ElementTree.Element:
    seconds = result.timings_s.get("total", sum(result.timings_s.values()))
    case = ElementTree.Element(
        "testcase", classname=one_line(result.case, 200), name=one_line(result.id, 400), time=f"{seconds:.3f}"
    )
    properties = ElementTree.SubElement(case, "properties")
    _property(properties, "verdict", result.judgement.verdict)
    _property(properties, "disposition", result.disposition)
    _property(properties, "rerun", one_line(result.rerun))
    match standing(result):
        case Standing.KNOWN:
            _property(properties, "known", result.known)
            _property(properties, "cause", result.judgement.cause)
            output = ElementTree.SubElement(case, "system-out")
            output.text = printable(_why_known(result))
        case Standing.SKIPPED:
            reason = view.what_failed(result) or result.what_to_do or "the case says why"
            ElementTree.SubElement(case, "skipped", message=one_line(reason, 1000))
        case Standing.FAILED | Standing.INCONCLUSIVE as stands:
            _property(properties, "cause", view.cause_of(result))
            tag = "error" if result.judgement.verdict == "ERROR" and result.disposition != "expired" else "failure"
            kind = "inconclusive" if stands is Standing.INCONCLUSIVE else one_line(view.cause_of(result), 200)
            problem = ElementTree.SubElement(case, tag, type=kind, message=one_line(view.what_failed(result), 1000))
            problem.text = _body(result)
    return case


def _why_known(result: Result) -> str:
    until = f", until {result.known_expires}" if result.known_expires else ""
    return f"known{until}: {result.known}\n{result.known_reason}\n{result.known_link}\n{view.what_failed(result)}"


def _body(result: Result) -> str:
    lines = [view.cause_of(result), view.what_failed(result)]
    lines += [view.check_sentence(check) for check in result.judgement.checks if check.verdict != "PASS"]
    if result.first_diverging:
        lines.append(f"first to diverge: {result.first_diverging}")
    lines += [
        f"{finding.kind}: layer {finding.where.layer}, expert {finding.where.expert}, tensor {finding.where.tensor}"
        for finding in result.judgement.findings[:20]
    ]
    lines += [f"what to do: {result.what_to_do}"] if result.what_to_do else []
    lines.append(f"run it again: {result.rerun}")
    body = "\n".join(one_line(line, 2000) for line in lines)
    return body + ("\n\n" + tail(result.crash, MAX_TEXT // 2) if result.crash else "")


def _property(properties: ElementTree.Element, name: str, value: str) -> None:
    ElementTree.SubElement(properties, "property", name=printable(name), value=one_line(value, 2000))
