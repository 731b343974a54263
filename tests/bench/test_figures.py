"""What is printed of a figure."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.figures import Figure, Part, Unmeasured, table_of


@pytest.mark.parametrize(
    ("promised", "value", "expected"),
    [
        pytest.param({}, 7.0, ("", False), id="none"),
        pytest.param({"at_least": 6.0}, 6.0, ("at least 6 times", False), id="just enough"),
        pytest.param({"at_least": 6.0}, 5.9, ("at least 6 times (below)", True), id="too little"),
        pytest.param({"at_most": 1.3}, 1.3, ("at most 1.3 times", False), id="just within"),
        pytest.param({"at_most": 1.3}, 1.31, ("at most 1.3 times (over)", True), id="too much"),
    ],
)
def test_a_promise_is_shown_and_marked_if_it_is_missed(
    promised: dict[str, float], value: float, expected: tuple[str, bool]
) -> None:
    """A figure at the limit keeps it."""
    figure = Figure(part=Part.JAX, what="x", value=value, unit="times", **promised)
    assert expected == (figure.promise, figure.missed)


def test_the_table_has_every_figure_and_what_could_not_be_measured() -> None:
    """With the spread or the best of its rounds, and the promise beside it."""
    figures = [
        Figure(part=Part.JAX, what="ratio", value=6.5, unit="times", at_least=6.0, spread=(5.25, 7.125)),
        Figure(part=Part.WARM, what="speed", value=1234.5, unit="tokens/s", best=1300.0),
        Unmeasured(part=Part.JAX, what="lost", reason="it broke"),
    ]
    console = Console(width=120, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table_of(figures))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().splitlines() if "│" in line]
    assert [
        ["jax", "ratio", "6.50 times", "5.25 to 7.12", "at least 6 times"],
        ["warm", "speed", "1234 tokens/s", "best 1300", ""],
        ["jax", "lost", "not measured", "", ""],
    ] == lines
