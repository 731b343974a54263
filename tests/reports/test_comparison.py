"""Two runs compared, and the comparison told: what got worse, which number moved, which package is behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from harness.codec import decode, encode
from harness.history.compare import Comparison, compare
from harness.records.results import Disposition, Measured, Missing, PackageDelta, Report, Result
from reports import comparison

Make = Callable[..., Result]


def _with_peft(report: Report, cell: str, version: str) -> Report:
    cells = tuple(
        dataclasses.replace(each, versions={**each.versions, "peft": version}, lock_digest="changed" * 8)
        if each.name == cell
        else each
        for each in report.cells
    )
    return dataclasses.replace(report, cells=cells, run_id="later")


def test_a_run_does_not_differ_from_itself(any_report: Report) -> None:
    """Equal reports have no change of any kind, and everything was compared."""
    found = compare(any_report, any_report)
    assert (found.results, found.measurements, found.cells) == ((), (), ())
    assert len(any_report.results) == found.num_compared
    assert not found.got_worse


def test_a_new_failure_is_worse_and_names_the_package(
    make_report: Callable[..., Report], make_result: Make, broken: Make
) -> None:
    """A result that broke stands first, with the packages that moved in its two cells and in no other."""
    routes = [make_result(writer="r1", reader="r3"), make_result(writer="r4", reader="r4")]
    earlier = make_report(routes)
    later = _with_peft(make_report([broken(routes[0], "delta_missing experts 48/48"), routes[1]]), "r1", "0.20.0")
    found = compare(earlier, later)
    (change,) = found.results
    assert ("worse", "PASS", "FAIL") == (change.change, change.earlier, change.later)
    assert (PackageDelta(cell="r1", package="peft", earlier="0.19.1", later="0.20.0"),) == change.packages
    assert found.got_worse
    assert "better" == compare(later, earlier).results[0].change


@pytest.mark.parametrize(("disposition", "expected"), [("known", "better"), ("new", None), ("expired", "other")])
def test_the_disposition_counts(
    make_report: Callable[..., Report], make_result: Make, broken: Make, disposition: Disposition, expected: str | None
) -> None:
    """Declaring a failure is an improvement; a declaration that runs out is not."""
    failed = broken(make_result(), "delta_missing experts 48/48")
    later = dataclasses.replace(failed, disposition=disposition)
    changes = compare(make_report([failed]), make_report([later])).results
    assert expected == (changes[0].change if changes else None)


def test_a_known_break_is_worse_and_does_not_count(
    make_report: Callable[..., Report], make_result: Make, broken: Make
) -> None:
    """A result that now breaks as declared is told as worse, and does not count against the later run."""
    later = broken(make_result(), "delta_missing experts 48/48", disposition="known")
    found = compare(make_report([make_result()]), make_report([later]))
    assert ["worse"] == [each.change for each in found.results]
    assert not found.got_worse


def test_results_appear_and_disappear(make_report: Callable[..., Report], make_result: Make) -> None:
    """A result that only one run has is named, from either side."""
    one, other = make_result(), make_result(writer="r2")
    assert [("appeared", other.id)] == [
        (each.change, each.id) for each in compare(make_report([one]), make_report([one, other])).results
    ]
    assert [("disappeared", other.id)] == [
        (each.change, each.id) for each in compare(make_report([one, other]), make_report([one])).results
    ]


@pytest.mark.parametrize(
    ("metric", "earlier", "later", "factor"),
    [
        ("kl_trained_reloaded_max", 2e-13, 9e-13, None),
        ("kl_trained_reloaded_max", 2e-13, 9e-11, None),
        ("kl_trained_reloaded_max", 2e-7, 4e-6, 20.0),
        ("kl_trained_reloaded_max", 4e-6, 2e-7, 20.0),
        ("delta_error_ratio_max", 5e-8, 9e-7, None),
        ("delta_error_ratio_max", 5e-8, 5e-6, 100.0),
        ("delta_error_ratio_max", 1e-6, 5e-6, None),
    ],
)
def test_numbers_count_above_noise_only(
    make_report: Callable[..., Report],
    make_result: Make,
    metric: str,
    earlier: float,
    later: float,
    factor: float | None,
) -> None:
    """A number has moved from ten times on, in either direction, and only where it is above the noise."""

    def report(value: float) -> Report:
        measured = Measured(metric=metric, value=value, unit="1", num_compared=7)
        return make_report([make_result(measurements=(measured,))])

    found = compare(report(earlier), report(later)).measurements
    assert factor == pytest.approx(found[0].factor) if found else factor is None


def test_a_number_that_is_no_longer_measured_is_a_change(make_report: Callable[..., Report], make_result: Make) -> None:
    """From measured to missing is named, with the reason."""
    measured = Measured(metric="kl_ratio", value=1e-12, unit="1", num_compared=7)
    missing = Missing(metric="kl_ratio", reason="no logits")
    found = compare(
        make_report([make_result(measurements=(measured,))]), make_report([make_result(measurements=(missing,))])
    )
    assert [(measured, missing, None)] == [(each.earlier, each.later, each.factor) for each in found.measurements]
    assert "1e-12 → not measured (no logits)" in comparison.terminal(found).plain


def test_a_cell_that_cannot_be_built_any_more_is_named(sample: Callable[[str], Report]) -> None:
    """Its packages are not listed as gone: it could not be built, and that is the news."""
    found = compare(sample("failing"), sample("unbuilt"))
    (cell,) = found.cells
    assert ("r4", ()) == (cell.cell, cell.packages)
    assert "could be built, and now cannot" in comparison.terminal(found).plain


def test_a_comparison_crosses_as_json(sample: Callable[[str], Report]) -> None:
    """`compare --json` writes the record, and the record reads back equal."""
    found = compare(sample("green"), sample("failing"))
    assert found == decode(Comparison, encode(found), where="test")


def test_both_texts_tell_the_same(sample: Callable[[str], Report]) -> None:
    """Markdown and terminal both name the worse results with their causes."""
    found = compare(sample("green"), sample("failing"))
    for text in (comparison.markdown(found), comparison.terminal(found).plain):
        assert "Got worse (110)" in text
        assert "config\\_changed" in text or "config_changed rope_theta" in text
        assert "670 results in both" in text
        assert text.index("PASS → FAIL") < text.index("PASS → ERROR known")


def test_hostile_comparisons_are_inert(sample: Callable[[str], Report]) -> None:
    """Texts of a stranger's report are neither markup nor control characters here."""
    found = compare(sample("small"), sample("hostile"))
    text = comparison.markdown(found)
    assert "\x1b" not in text + comparison.terminal(found).plain
    assert not [line for line in text.split("\n") if line.startswith(("# ", "- "))]
