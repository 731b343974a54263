"""Archives of strangers: what is read of them, and which are refused."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from harness.canaries import archives
from harness.canaries.archives import Read, read_archive, read_files
from harness.errors import ArtifactError
from tests.canaries.making import sdist, wheel


def read_folder(directory: Path) -> Read:
    """All of its Python files."""
    return read_files(directory, directory.rglob("*.py"))


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
        ("MAX_UNPACKED_BYTES", 1000, "bytes, unpacked"),
        ("MAX_TOTAL_BYTES", 8, "bytes of Python"),
    ],
)
def test_there_are_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, words: str) -> None:
    """Of the archive, its members, each file, and all of them; what was refused is named."""
    monkeypatch.setattr(archives, limit, most)
    archives_of = [sdist(tmp_path / "g.tar.gz", FILES)]
    if limit != "MAX_UNPACKED_BYTES":  # a wheel says itself where each member is
        archives_of.append(wheel(tmp_path / "g.whl", FILES))
    for path in archives_of:
        with pytest.raises(ArtifactError, match=words) as refused:
            read_archive(path)
        assert path.name in str(refused.value)


def test_what_is_too_large_is_left_out_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that nobody may need refuses no others; whoever needs it is told why it is not there."""
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 6)
    members = {**FILES, "guarded/large.py": b"a = 1234\n"}
    for name, content in members.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    for read in (
        read_archive(wheel(tmp_path / "g.whl", members)),
        read_archive(sdist(tmp_path / "g.tar.gz", {f"g-1/{name}": content for name, content in members.items()})),
        read_folder(tmp_path / "folder"),
    ):
        assert FILES == read.files
        assert {"guarded/large.py": "has 9 bytes, and at most 6 are read"} == read.left_out


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Nor is one that says that it is small: no more is read than that."""
    path = wheel(tmp_path / "g.whl", {"guarded/bomb.py": bytes(archives.MAX_FILE_BYTES + 1)})
    assert path.stat().st_size < 100_000
    assert ["guarded/bomb.py"] == list(read_archive(path).left_out)
    size = (archives.MAX_FILE_BYTES + 1).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(ArtifactError, match="no archive that can be read"):
        read_archive(path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_what_stands_around_members_is_limited(tmp_path: Path, kind: bytes) -> None:
    """A header of 64 MB takes no such memory: it is refused before it is read."""
    path = tmp_path / "g.tar.gz"
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 64 * 2**20
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(b"a" * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError, match="bytes around a member"):
            read_archive(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_less_than_no_content_is_not_all_of_it(tmp_path: Path) -> None:
    """A number below zero means everything to whoever reads a file."""
    path = tmp_path / "g.tar.gz"
    member = tarfile.TarInfo("g/a.py")
    member.size = -1
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**20))
    with pytest.raises(ArtifactError, match="no archive that can be read"):
        read_archive(path)


def test_headers_that_come_again_and_again_are_forgotten(tmp_path: Path) -> None:
    """Those for all members that follow, too."""
    path = tmp_path / "g.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for number in range(200):
            archive.fileobj.write(tarfile.TarInfo.create_pax_global_header({f"k{number}": "v" * 100_000}))  # type: ignore[union-attr]
            archive.addfile(tarfile.TarInfo(f"g/{number}.py"))
    tracemalloc.start()
    try:
        assert 200 == len(read_archive(path).files)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_members_are_counted_before_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of them takes a thousand times what it takes in the archive."""
    path = wheel(tmp_path / "g.whl", {f"{number}.txt": b"" for number in range(30)})
    monkeypatch.setattr(archives, "MAX_MEMBERS", 20)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was listed"))
    with pytest.raises(ArtifactError, match="20 members"):
        read_archive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_wheel_is_deflated_or_stored(tmp_path: Path, method: int) -> None:
    """Others are refused: one of them says itself how much memory it takes."""
    path = tmp_path / "g.whl"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("guarded/a.py", b"a = 1\n")
    with pytest.raises(ArtifactError, match="neither deflated nor stored"):
        read_archive(path)


@pytest.mark.parametrize("error", [struct.error, MemoryError, RecursionError])
def test_whatever_a_library_raises_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Is one clear line."""

    def fail(*_: object) -> None:
        raise error("of its own")

    monkeypatch.setattr(zipfile.ZipFile, "infolist", fail)
    with pytest.raises(ArtifactError, match="no archive that can be read: of its own"):
        read_archive(wheel(tmp_path / "g.whl", FILES))


def test_names_that_cannot_be_printed(tmp_path: Path) -> None:
    """Are left out, and told in a way that can be: they may be no text, or tell a terminal what to do."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.py").write_bytes(b"1")
    (tmp_path / "folder" / os.fsdecode(b"\xff.py")).write_bytes(b"2")
    (tmp_path / "folder" / "\x1b[31m.py").write_bytes(b"3")
    odd = {"g/a.py": b"1", "g/\udcff.py": b"2", "g/\x1b[31m.py": b"3"}
    for read in (read_folder(tmp_path / "folder"), read_archive(sdist(tmp_path / "g.tar.gz", odd))):
        assert {"a.py": b"1"} == read.files
        assert dict.fromkeys(["\\udcff.py", "\\x1b[31m.py"], "has a name that cannot be printed") == read.left_out


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
