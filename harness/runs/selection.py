"""`-k EXPR`: which results a run is about. Words, `and`, `or`, `not` and parentheses, over result ids. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.errors import UsageError

Predicate = Callable[[str], bool]
TOKEN = re.compile(r"[()]|[^\s()]+")


def parse(expression: str) -> Predicate:
    """A predicate on ids. A word matches an id that contains it; a whole id (with its `@`) matches itself exactly.

    `-k 'qwen3_moe and not bfloat16'`, `-k 'case@r1>merged>r3'`. Raises UsageError where it cannot be read.
    """
    tokens = TOKEN.findall(expression)
    if not tokens:
        return lambda _identity: True
    predicate = _Parser(tokens, expression)
    return predicate.parse()


class _Parser:
    """Recursive descent over three precedences: or, and, not."""

    def __init__(self, tokens: list[str], expression: str) -> None:
        self.tokens = tokens
        self.expression = expression
        self.position = 0

    def parse(self) -> Predicate:
        predicate = self._or()
        if self._peek() is not None:
            raise self._error("unexpected")
        return predicate

    def _or(self) -> Predicate:
        left = self._and()
        while self._take("or"):
            left = _either(left, self._and())
        return left

    def _and(self) -> Predicate:
        left = self._not()
        while self._take("and"):
            left = _both(left, self._not())
        return left

    def _not(self) -> Predicate:
        if self._take("not"):
            inner = self._not()
            return lambda identity: not inner(identity)
        if self._take("("):
            inner = self._or()
            if not self._take(")"):
                raise self._error("a closing parenthesis is missing before")
            return inner
        word = self._peek()
        if word is None or word in ("and", "or", ")"):
            raise self._error("a word is missing before")
        self.position += 1
        return _word(word)

    def _peek(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _take(self, token: str) -> bool:
        if self._peek() == token:
            self.position += 1
            return True
        return False

    def _error(self, what: str) -> UsageError:
        return UsageError(
            f"-k cannot be read: {what} {self._peek() or 'the end'!r}",
            where=self.expression,
            expected="words joined by and, or, not and parentheses",
        )


def _word(word: str) -> Predicate:
    # "case@r1" would otherwise also match "case@r10" and every route of that write.
    return (lambda identity: identity == word) if "@" in word else (lambda identity: word in identity)


def _either(left: Predicate, right: Predicate) -> Predicate:
    return lambda identity: left(identity) or right(identity)


def _both(left: Predicate, right: Predicate) -> Predicate:
    return lambda identity: left(identity) and right(identity)
