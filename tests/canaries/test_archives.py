"""Archives of strangers: what is read of them, and which are refused."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.canaries import archives
from harness.canaries.archives import read_archive, read_folder
from harness.errors import ArtifactError
from tests.canaries.making import sdist, wheel

FILES = {"guarded/a.py": b"a = 1\n", "guarded/b.py": b"b = 2\n"}


def test_python_files_of_a_wheel(tmp_path: Path) -> None:
    """By path, sorted, and nothing else; with the archive's own digest."""
    path = wheel(tmp_path / "g.whl", {"guarded/b.py": b"b = 2\n", "guarded/kernel.so": b"\x7fELF", **FILES})
    read = read_archive(path)
    assert list(FILES.items()) == list(read.files.items())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == read.digest


def test_the_one_folder_of_a_source_archive_is_left_off(tmp_path: Path) -> None:
    """As a checkout has no such folder."""
    path = sdist(tmp_path / "g-1.0.tar.gz", {f"g-1.0/{name}": content for name, content in FILES.items()})
    assert FILES == read_archive(path).files


@pytest.mark.parametrize(
    "name", ["../outside.py", "/absolute.py", "guarded/../../outside.py", "C:/windows.py", "..\\outside.py"]
)
def test_no_path_leads_out(tmp_path: Path, name: str) -> None:
    """Neither of a wheel nor of a source archive."""
    with pytest.raises(ArtifactError, match="leads out"):
        read_archive(wheel(tmp_path / "g.whl", {name: b""}))
    with pytest.raises(ArtifactError, match="leads out"):
        read_archive(sdist(tmp_path / "g.tar.gz", {name: b""}))


def test_links_are_not_followed(tmp_path: Path) -> None:
    """What a link means is not read."""
    link = tarfile.TarInfo("g/secret.py")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert {"a.py": b"1"} == read_archive(sdist(tmp_path / "g.tar.gz", {"g/a.py": b"1", "g/secret.py": link})).files


@pytest.mark.parametrize(
    ("limit", "most", "words"),
    [
        ("MAX_ARCHIVE_BYTES", 10, "bytes"),
        ("MAX_MEMBERS", 1, "members"),
        ("MAX_FILE_BYTES", 5, "bytes in"),
        ("MAX_TOTAL_BYTES", 8, "bytes of Python"),
    ],
)
def test_there_are_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, words: str) -> None:
    """Of the archive, its members, each file, and all of them; what was refused is named."""
    monkeypatch.setattr(archives, limit, most)
    for path in (wheel(tmp_path / "g.whl", FILES), sdist(tmp_path / "g.tar.gz", FILES)):
        with pytest.raises(ArtifactError, match=words) as refused:
            read_archive(path)
        assert path.name in str(refused.value)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A file that says that it is small, and is not, is read as far as the limit goes."""
    path = wheel(tmp_path / "g.whl", {"guarded/bomb.py": bytes(archives.MAX_FILE_BYTES + 1)})
    assert path.stat().st_size < 100_000
    with pytest.raises(ArtifactError, match="too large"):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x1f\x8b nothing"])
@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_what_is_no_archive(tmp_path: Path, content: bytes, suffix: str) -> None:
    """One clear line."""
    path = tmp_path / f"g{suffix}"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="no archive that can be read"):
        read_archive(path)


def test_a_damaged_member(tmp_path: Path) -> None:
    """Its checksum tells."""
    path = wheel(tmp_path / "g.whl", {"guarded/a.py": b"a = 1\n" * 1000})
    content = bytearray(path.read_bytes())
    content[45] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="no archive that can be read"):
        read_archive(path)


def test_two_members_of_one_path(tmp_path: Path) -> None:
    """Which of them would be installed is anybody's guess."""
    path = wheel(tmp_path / "g.whl", {"guarded/a.py": b"1"})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("guarded/a.py", b"2")
    with pytest.raises(ArtifactError, match="two members"):
        read_archive(path)


def test_a_folder(tmp_path: Path) -> None:
    """Without links and hidden folders; another digest for another content."""
    for name, content in {"a.py": b"1", "sub/b.py": b"2", ".git/c.py": b"3", "d.txt": b"4"}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    first = read_folder(tmp_path)
    assert {"a.py": b"1", "sub/b.py": b"2"} == first.files
    (tmp_path / "a.py").write_bytes(b"5")
    assert first.digest != read_folder(tmp_path).digest
