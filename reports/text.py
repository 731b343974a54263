"""Text and numbers made fit for people: control characters out, lengths bounded, few digits. Knows no output format."""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

REPLACEMENT = "\ufffd"

_ESCAPE_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
# Control characters but tab and newline; the marks that turn the direction of writing, with which a text can pretend to
# be another; and code points that neither XML nor UTF-8 can hold.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def printable(text: str) -> str:
    """`text` with terminal colours removed, line ends made one kind, and every other control character replaced."""
    text = _ESCAPE_SEQUENCES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub(REPLACEMENT, text)


def one_line(text: str, limit: int = 0) -> str:
    """`text`, printable, with all white space collapsed; cut to `limit` characters if that is not 0."""
    text = " ".join(printable(text).split())
    return clip(text, limit) if limit else text


def clip(text: str, limit: int) -> str:
    """The first `limit` characters of `text`, saying how many are left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"


def tail(text: str, limit: int) -> str:
    """The last `limit` characters of `text`, printable: of a traceback or a log, the end says what happened."""
    text = printable(text).strip("\n")
    if len(text) <= limit:
        return text
    return f"({len(text) - limit} earlier characters)…\n{text[-limit:]}"


def number(value: float) -> str:
    """A number with the digits that matter: 18432, 0.9996, 1.6e-5."""
    if value == 0:
        return "0"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if float(value).is_integer() and abs(value) < 1e7:
        return str(int(value))
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def times(factor: float) -> str:
    """A factor as people say it: 3.4×, 120×, 2.1e6×."""
    if math.isinf(factor):
        return "∞×"
    return f"{factor:.2g}×" if factor < 10 else f"{factor:.0f}×" if factor < 1e5 else f"{number(factor)}×"


def duration(seconds: float) -> str:
    """A duration: 0.4 s, 12 s, 4 min 05 s, 1 h 02 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(count: int, noun: str) -> str:
    """`count` and its noun in the right number: 1 route, 2 routes."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def safe_link(url: str) -> str:
    """`url` if it is a plain web address, else the empty string: a report must not carry `javascript:` to a click."""
    url = url.strip()
    if printable(url) != url or any(character.isspace() for character in url):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.netloc else ""
