"""Tests of reading a stranger's files: plain, bounded, strict, and never from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import ArtifactError
from harness.verify.companions.folder import LARGE, MAX_DEPTH, SMALL, Limit, open_folder, same_content

TINY = Limit(size_bytes=1024 * 1024, num_values=100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "a key is there twice"),
        (b'{"a": {"b": 1, "b": 1}}', "a key is there twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "larger than any number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"a": ' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", "brackets in brackets"),
        (b'{"a": ' + b"[" * 90 + b"]" * 90 + b"}", "brackets in brackets"),
        (b'{"a": [' + b"1," * 100 + b"1]}", "too many values"),
        (b'"' + b" " * 2**20 + b'"', "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_json_that_is_not_sound_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """Each is one error that names the file."""
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=words) as raised:
        open_folder(tmp_path).table("x.json", TINY)
    assert str(tmp_path / "x.json") in str(raised.value)


def test_a_deep_file_is_refused_without_a_crash(tmp_path: Path) -> None:
    """Brackets by the hundred thousand end in the same clear error."""
    (tmp_path / "x.json").write_bytes(b"[" * 200_000)
    with pytest.raises(ArtifactError, match="not valid JSON"):
        open_folder(tmp_path).json("x.json")


def test_sound_json_is_read(tmp_path: Path) -> None:
    """As deep and as large as it may be; a file that is not there is an empty table."""
    (tmp_path / "x.json").write_bytes(b'{"a": ' + b"[" * (MAX_DEPTH - 2) + b"]" * (MAX_DEPTH - 2) + b', "b": 1e308}')
    assert 1e308 == open_folder(tmp_path).table("x.json", SMALL)["b"]
    assert {} == open_folder(tmp_path).table("y.json", LARGE)


@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "broken", "outside", "folder"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: str) -> None:
    """No pipe is waited for, no device read, no link followed out of the directory or round in circles."""
    inner = tmp_path / "inner"
    inner.mkdir()
    path = inner / "x.json"
    (tmp_path / "secret.json").write_text("{}", encoding="utf-8")
    targets = {"device": "/dev/zero", "loop": "x.json", "broken": "nothing", "outside": "../secret.json"}
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(targets[kind])
    with pytest.raises(ArtifactError, match=r"x\.json"):
        open_folder(inner).table("x.json")


def test_a_folder_within_may_not_lead_out_either(tmp_path: Path) -> None:
    """A link to a folder is followed inside the directory alone."""
    inner = tmp_path / "inner"
    (inner / "real").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (inner / "good").symlink_to("real")
    (inner / "bad").symlink_to("../outside")
    folder = open_folder(inner)
    assert folder.child("good") is not None
    assert folder.child("nothing") is None
    with pytest.raises(ArtifactError, match="leads out"):
        folder.child("bad")


def test_text_has_one_kind_of_line_end(tmp_path: Path) -> None:
    """As Python's text mode reads it; what is not UTF-8 is refused."""
    (tmp_path / "x").write_bytes(b"a\r\nb\rc\n")
    assert "a\nb\nc\n" == open_folder(tmp_path).text("x")
    (tmp_path / "x").write_bytes(b"\xff")
    with pytest.raises(ArtifactError, match="UTF-8"):
        open_folder(tmp_path).text("x")


def test_contents_are_compared_to_the_last_byte(tmp_path: Path) -> None:
    """Files that agree in all but their end are not the same."""
    for name, content in (("a", b"x" * 2**21), ("b", b"x" * 2**21), ("c", b"x" * 2**21 + b"y")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(content)
    first, second, third = (open_folder(tmp_path / name) for name in "abc")
    assert same_content(first, second, "f")
    assert not same_content(first, third, "f")
