"""JUnit: one test case a result; what counts is red, what is known is green and says so."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

from harness.history.standing import Standing, standing
from harness.records.results import Report, Result
from reports import junit


def _parse(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(junit.render(report))


def test_every_result_has_its_case(any_report: Report) -> None:
    """The XML is well formed whatever the texts hold, and has one case a result and one an unbuilt cell."""
    root = _parse(any_report)
    cases = root.findall("testsuite/testcase")
    unbuilt = [cell for cell in any_report.cells if cell.error]
    assert len(any_report.results) + len(unbuilt) == len(cases)
    assert str(len(cases)) == root.get("tests")


def test_totals_follow_what_counts(any_report: Report) -> None:
    """Failures and errors together are the results that count and the unbuilt cells: known ones are in neither."""
    root = _parse(any_report)
    counting = sum(standing(result).counts for result in any_report.results)
    unbuilt = sum(bool(cell.error) for cell in any_report.cells)
    assert counting + unbuilt == int(root.get("failures", "")) + int(root.get("errors", ""))
    skipped = sum(standing(result) is Standing.SKIPPED for result in any_report.results)
    assert str(skipped) == root.get("skipped")


def _case(report: Report, id_: str) -> ElementTree.Element:
    return next(case for case in _parse(report).iter("testcase") if case.get("name") == id_)


def test_a_known_break_passes_and_says_why(sample: Callable[[str], Report]) -> None:
    """A known break has no failure, but a property with its name and an output with its reason."""
    result = next(result for result in sample("failing").results if result.disposition == "known")
    case = _case(sample("failing"), result.id)
    assert case.find("failure") is None and case.find("error") is None
    properties = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert result.known == properties["known"]
    assert result.known_reason in (case.findtext("system-out") or "")


def test_each_verdict_has_its_element(sample: Callable[[str], Report]) -> None:
    """INCONCLUSIVE is a failure of that type; a declared break that passes now is a failure too."""
    report = sample("failing")
    untold = next(result for result in report.results if result.judgement.verdict == "INCONCLUSIVE")
    fixed = next(result for result in report.results if result.disposition == "fixed")
    failure = _case(report, untold.id).find("failure")
    assert failure is not None and failure.get("type") == "inconclusive"
    assert _case(report, fixed.id).find("failure") is not None


def test_a_suite_names_its_cells_packages_alone(sample: Callable[[str], Report]) -> None:
    """Those of its stack; and a route's case is named by its id, dialect and all."""
    root = _parse(sample("two_stacks"))
    suites = {suite.get("name"): suite for suite in root}
    names = {
        name: {each.get("name") for each in suite.findall("properties/property")} for name, suite in suites.items()
    }
    assert {"jax", "jaxlib", "flax", "optax", "lock_digest"} == names["jax"]
    assert {"transformers", "peft", "trl", "lock_digest"} == names["r1"]
    assert "qwen3_moe-float32-loop@jax>lora-swapped>r1" in {case.get("name") for case in suites["r1"].iter("testcase")}


def test_a_crash_is_an_error(
    make_report: Callable[..., Report], make_result: Callable[..., Result], broken: Callable[..., Result]
) -> None:
    """ERROR is an error element that ends with the traceback's last line and tells how to rerun."""
    result = broken(make_result(), "load_refused RuntimeError size mismatch")
    error = _case(make_report([result]), result.id).find("error")
    assert error is not None and error.text is not None
    assert error.text.endswith(result.crash.splitlines()[-1])
    assert result.rerun in error.text
