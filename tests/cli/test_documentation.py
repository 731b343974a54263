"""What people can type is in the README, and what the README says can be typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli.main import make_app
from harness.errors import ExitCode

README = Path(__file__).parents[2] / "README.md"


@cache
def readme() -> str:
    """The README."""
    return README.read_text(encoding="utf-8")


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every verb that can be typed, with its command: "plan", "report html", …"""
    for word, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from verbs(inner, f"{name}{word} ")
        else:
            yield f"{name}{word}", inner


VERBS = dict(verbs(typer.main.get_command(make_app())))
OPTIONS = sorted({tuple(each.opts) for command in VERBS.values() for each in command.params if each.opts[0][0] == "-"})
"""Each with all its spellings."""


def test_there_are_verbs_and_options() -> None:
    """The two lists that the tests below walk are not empty."""
    views = {"report html", "report json", "report junit", "report md"}
    assert {"verify", "run", "canary", "faults", "calibrate", "plan", "compare", "doctor"} | views == set(VERBS)
    known = {spelling for spellings in OPTIONS for spelling in spellings}
    assert {"--base", "--html", "--cells", "--here", "-k", "--quick", "--json", "--out", "--file"} <= known


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_documented(verb: str) -> None:
    """As it is typed, or (of a report's views) in the list of them."""
    first, *view = verb.split()
    assert f"deltaproof {first}" in readme()
    assert all(re.search(rf"\b{word}\b", readme()) for word in view)


@pytest.mark.parametrize("spellings", OPTIONS, ids="/".join)
def test_every_option_is_documented(spellings: tuple[str, ...]) -> None:
    """By one of its spellings."""
    assert any(re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", readme()) for option in spellings)


def test_every_exit_code_is_documented() -> None:
    """CI jobs read these numbers."""
    for code in ExitCode:
        assert re.search(rf"\b{int(code)}\b", readme())


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_and_option_says_what_it_is(verb: str) -> None:
    """In --help."""
    command = VERBS[verb]
    assert command.help
    assert all(getattr(parameter, "help", None) for parameter in command.params if parameter.name != "help")


def test_what_the_readme_says_can_be_typed() -> None:
    """Each `deltaproof VERB` in its code exists, and each `--option` after one is that verb's."""
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", readme(), flags=re.DOTALL))
    typed = re.findall(r"(?:^|`|&& |\$ )deltaproof +([a-z]+)([^\n`|#&]*)", code, flags=re.MULTILINE)
    assert typed
    options: dict[str, set[str]] = {}
    for name, command in VERBS.items():
        spellings = {option for parameter in command.params for option in parameter.opts}
        options.setdefault(name.split()[0], {"--help"}).update(spellings)
    for verb, rest in typed:
        assert verb in options
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", rest)) <= options[verb]
