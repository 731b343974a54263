"""What is executed again, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.canaries.remembering import Remembering
from harness.sandbox.client import How, Limits, Outcome

REQUEST = {"modules": {"guarded": "a = 1"}, "calls": ["a"]}


class Counting:
    """An executor that answers with how often it was asked."""

    def __init__(self, how: How = "answered") -> None:
        self.how = how
        self.num_asked = 0

    def run(self, request: Any, *, limits: Limits, visible: tuple[Path, ...] = ()) -> Outcome:
        """Another answer each time."""
        self.num_asked += 1
        return Outcome(how=self.how, value=[self.num_asked, request, limits, visible])


def test_the_same_is_executed_once() -> None:
    """And its answer is the first."""
    remembering = Remembering(Counting())
    first = remembering.run(REQUEST, limits=Limits(), visible=(Path("/a"),))
    assert first == remembering.run({**REQUEST}, limits=Limits(), visible=(Path("/a"),))


@pytest.mark.parametrize(
    ("request_", "limits", "visible"),
    [
        ({**REQUEST, "modules": {"guarded": "a = 2"}}, Limits(), ()),
        ({**REQUEST, "calls": ["a", "a"]}, Limits(), ()),
        (REQUEST, Limits(time_s=1.0), ()),
        (REQUEST, Limits(), (Path("/a"),)),
    ],
)
def test_another_is_executed(request_: Any, limits: Limits, visible: tuple[Path, ...]) -> None:
    """If code, calls, limits or folders are not the same."""
    remembering = Remembering(Counting())
    first = remembering.run(REQUEST, limits=Limits())
    assert first.value != remembering.run(request_, limits=limits, visible=visible).value


@pytest.mark.parametrize("how", ["ended", "timeout", "too_much", "unreadable", "impossible"])
def test_what_did_not_answer_is_tried_again(how: How) -> None:
    """It may have been the machine."""
    remembering = Remembering(Counting(how))
    assert [1, 2] == [remembering.run(REQUEST, limits=Limits()).value[0] for _ in range(2)]
