"""Where sources come from, and what is said when they cannot be had."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.canaries import sources
from harness.canaries.sources import Releases, Unreachable, folder, installed, installed_release, is_installed
from harness.errors import UsageError
from tests.canaries.making import GUARD, WHERE, sdist, wheel


class Registry:
    """Stands for a registry, and counts what it is asked."""

    def __init__(self, archives: Mapping[str, bytes], *, digests: bool = True, is_there: bool = True) -> None:
        self.archives = archives
        self.digests = digests
        self.is_there = is_there
        self.num_fetched = 0
        self.session = self

    def find_all_packages(self, package: str) -> list[Any]:
        """One for each archive, named as on a registry: name-version."""
        if not self.is_there:
            raise OSError("no route to host")
        return [self._package(name) for name in self.archives if name.startswith(package)]

    def _package(self, name: str) -> Any:
        version = name.split("-")[1].removesuffix(".tar.gz")
        digest = hashlib.sha256(self.archives[name]).hexdigest() if self.digests is True else "0" * 64
        link = SimpleNamespace(
            is_wheel=name.endswith(".whl"), yank_reason=None, is_yanked="yanked" in name, filename=name,
            normalized=f"https://example.org/{name}", hash_name="sha256", hash=digest,
        )  # fmt: skip
        return SimpleNamespace(version=version, link=link)

    @contextmanager
    def get_stream(self, url: str) -> Iterator[Any]:
        """An archive, in two parts."""
        if not self.is_there:
            raise OSError("no route to host")
        self.num_fetched += 1
        content = self.archives[url.rpartition("/")[2]]
        parts = [content[:9], content[9:]]
        yield SimpleNamespace(iter_bytes=lambda _: iter(parts), raise_for_status=lambda: None)


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, bytes]:
    """Two wheels, a release candidate, a source archive and a yanked release."""
    made = wheel(tmp_path / "a.whl", {WHERE: GUARD.encode(), "beside/more.py": b"1"}).read_bytes()
    source = sdist(tmp_path / "a.tar.gz", {f"guarded-2.0/{WHERE}": GUARD.encode()}).read_bytes()
    names = ("guarded-1.0-py3.whl", "guarded-10.0-py3.whl", "guarded-2.0-py3.whl", "guarded-11.0rc1-py3.whl",
             "guarded-12.0-yanked.whl", "guarded-odd-py3.whl")  # fmt: skip
    return {**dict.fromkeys(names, made), "guarded-2.0.tar.gz": source}


def releases(tmp_path: Path, registry: Registry) -> Releases:
    """Kept in a folder, from a registry."""
    made = Releases(tmp_path / "sources")
    made.__dict__["_finder"] = registry
    return made


def test_versions_are_those_of_final_wheels(tmp_path: Path, archives: dict[str, bytes]) -> None:
    """Oldest first, as versions and not as texts; between two, both included."""
    of = releases(tmp_path, Registry(archives))
    assert ["1.0", "2.0", "10.0"] == of.versions("guarded")
    assert ["2.0", "10.0"] == of.versions("guarded", since="2.0")
    assert ["1.0", "2.0"] == of.versions("guarded", until="2.0")
    with pytest.raises(Unreachable, match="no release of guarded since 20"):
        of.versions("guarded", since="20")
    with pytest.raises(Unreachable, match="no release of other"):
        of.versions("other")


def test_a_release_is_fetched_once(tmp_path: Path, archives: dict[str, bytes]) -> None:
    """And is there without a registry; wheel and source are two."""
    registry = Registry(archives)
    first = releases(tmp_path, registry).tree("guarded", "2.0", "wheel")
    assert ("2.0", {WHERE, "beside/more.py"}) == (first.version, set(first.files))
    assert "guarded-2.0-py3.whl" in first.origin
    assert [WHERE] == list(releases(tmp_path, registry).tree("guarded", "2.0", "sdist").files)
    gone = releases(tmp_path, Registry({}, is_there=False))
    assert first.files == gone.tree("guarded", "2.0", "wheel").files
    assert 2 == registry.num_fetched


@pytest.mark.parametrize(
    ("registry", "words"),
    [
        ({"is_there": False}, "cannot be listed: no route to host"),
        ({"digests": False}, "another file than the registry says"),
    ],
)
def test_what_cannot_be_had(tmp_path: Path, archives: dict[str, bytes], registry: dict[str, Any], words: str) -> None:
    """Is said, and nothing is kept."""
    with pytest.raises(Unreachable, match=words):
        releases(tmp_path, Registry(archives, **registry)).tree("guarded", "2.0", "wheel")
    assert not list((tmp_path / "sources").glob("*/*"))


def test_an_endless_archive_is_not_read_to_its_end(
    tmp_path: Path, archives: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a registry sends."""
    monkeypatch.setattr(sources, "MAX_ARCHIVE_BYTES", 8)
    with pytest.raises(Unreachable, match="has more than 8 bytes"):
        releases(tmp_path, Registry(archives)).tree("guarded", "2.0", "wheel")
    assert not list((tmp_path / "sources").glob("*/*"))


def test_a_release_that_is_not_there(tmp_path: Path, archives: dict[str, bytes]) -> None:
    """With its name."""
    with pytest.raises(Unreachable, match=r"no wheel of guarded 3\.0"):
        releases(tmp_path, Registry(archives)).tree("guarded", "3.0", "wheel")
    with pytest.raises(Unreachable, match=r"no sdist of guarded 1\.0"):
        releases(tmp_path, Registry(archives)).tree("guarded", "1.0", "sdist")


def test_what_is_kept_is_what_was_fetched(tmp_path: Path, archives: dict[str, bytes]) -> None:
    """A file that somebody changed since is refused."""
    of = releases(tmp_path, Registry(archives))
    of.tree("guarded", "2.0", "wheel")
    [kept] = (tmp_path / "sources").rglob("*.whl")
    kept.write_bytes(archives["guarded-2.0.tar.gz"] and wheel(tmp_path / "b.whl", {"a.py": b"2"}).read_bytes())
    with pytest.raises(Unreachable, match="not what was fetched: delete it"):
        of.tree("guarded", "2.0", "wheel")


def test_what_is_installed() -> None:
    """Beside this Python, with its version."""
    found = installed("packaging", ["packaging"], "wheel")
    assert "packaging/version.py" in found.files
    assert is_installed("packaging")
    assert not is_installed("no-such-package")
    with pytest.raises(Unreachable, match="no-such-package is not installed"):
        installed("no-such-package", ["none"], "wheel")


def install(
    site: Path, *, files: Mapping[str, str], more: Mapping[str, str] | None = None, version: str = "7.1"
) -> None:
    """As pip does: the files, and a list of them."""
    about = f"Metadata-Version: 2.1\nName: guarded\n{version and f'Version: {version}'}\n"
    info = {"guarded-7.1.dist-info/METADATA": about, **(more or {})}
    listed = "".join(f"{name},,\n" for name in (*files, *info, "../bin/guarded.py", "guarded-7.1.dist-info/RECORD"))
    for name, text in {**files, **info, "guarded-7.1.dist-info/RECORD": listed}.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages are installed."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_all_that_a_distribution_installed(site: Path) -> None:
    """Its other folders too, and nothing of other distributions; what is in its own folder besides is imported too."""
    files = {WHERE: GUARD, "guarded_downloads/__init__.py": "a = 1\n", "alone.py": "b = 1\n"}
    install(site, files=files)
    (site / "guarded" / "since.py").write_text("c = 1\n", encoding="utf-8")
    (site / "other").mkdir()
    (site / "other" / "__init__.py").write_text("", encoding="utf-8")
    (site.parent / "bin").mkdir()
    (site.parent / "bin" / "guarded.py").write_text("", encoding="utf-8")
    found = installed("guarded", ["guarded"], "wheel")
    assert {*files, "guarded/since.py"} == set(found.files)
    assert ("7.1", f"installed in {site}") == (found.version, found.origin)


def test_an_editable_installation_is_followed(site: Path, tmp_path: Path) -> None:
    """To its folder, which is newer than every release; where that is not there any more, it is said."""
    checkout = tmp_path / "a checkout"
    (checkout / "src" / "guarded").mkdir(parents=True)
    (checkout / "src" / WHERE).write_text(GUARD, encoding="utf-8")
    about = json.dumps({"url": checkout.as_uri(), "dir_info": {"editable": True}})
    install(site, files={"guarded.pth": str(checkout)}, more={"guarded-7.1.dist-info/direct_url.json": about})
    found = installed("guarded", ["guarded"], "wheel")
    assert ({WHERE}, "folder") == (set(found.files), found.version)
    assert str(checkout) in found.origin
    shutil.rmtree(checkout)
    with pytest.raises(Unreachable, match="holds no such package"):
        installed("guarded", ["guarded"], "wheel")


@pytest.mark.parametrize(
    "about",
    [
        "",
        "no JSON",
        "[1]",
        '{"url": 3}',
        '{"url": "file:///tmp", "dir_info": {}}',
        '{"url": "https://example.org/a", "dir_info": {"editable": true}}',
    ],
)
def test_an_installation_without_the_package(site: Path, about: str) -> None:
    """Is not one without its guards: it is said what to do."""
    install(site, files={"guarded.pth": "x"}, more={"guarded-7.1.dist-info/direct_url.json": about} if about else {})
    with pytest.raises(Unreachable, match=r"none of the files of guarded lie in .* --path"):
        installed("guarded", ["guarded"], "wheel")


def test_an_installation_without_a_version(site: Path) -> None:
    """Nobody knows what may be asked of it."""
    install(site, files={WHERE: GUARD}, version="")
    with pytest.raises(Unreachable, match="does not say its version"):
        installed("guarded", ["guarded"], "wheel")


@pytest.mark.parametrize(
    ("version", "more", "expected"),
    [
        ("7.1", {}, "7.1"),
        ("7.1.dev3", {}, ""),
        ("7.1+local", {}, ""),
        ("", {}, ""),
        ("7.1", {"guarded-7.1.dist-info/direct_url.json": "{}"}, ""),
    ],
)
def test_what_is_installed_may_be_a_release(site: Path, version: str, more: dict[str, str], expected: str) -> None:
    """If it was had from a registry, and says which."""
    install(site, files={WHERE: GUARD}, version=version, more=more)
    assert expected == installed_release("guarded")
    assert not installed_release("not_installed")


def test_what_a_source_archive_alone_has(site: Path, tmp_path: Path) -> None:
    """Tests are not installed, and not in every folder: there they are not absent."""
    install(site, files={WHERE: GUARD, "guarded/tests/test_a.py": ""})
    with pytest.raises(Unreachable, match="no tests"):
        installed("guarded", ["guarded", "tests"], "sdist")
    with pytest.raises(Unreachable, match="no tests"):
        folder("guarded", site, ["guarded", "tests"], "sdist")
    (site / "tests").mkdir()
    (site / "tests" / "test_a.py").write_text("", encoding="utf-8")
    assert "tests/test_a.py" in folder("guarded", site, ["guarded", "tests"], "sdist").files
    with pytest.raises(Unreachable, match="no tests"):
        installed("guarded", ["guarded", "tests"], "sdist")


def test_the_folder_of_a_package_is_its_own(tmp_path: Path) -> None:
    """Its tests alone are none, nor is a link to another folder."""
    (tmp_path / "tests").mkdir()
    with pytest.raises(UsageError, match="expected a folder guarded in it"):
        folder("guarded", tmp_path, ["tests", "guarded"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "saving.py").write_text(GUARD, encoding="utf-8")
    (tmp_path / "guarded").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="holds no such package"):
        folder("guarded", tmp_path, ["tests", "guarded"])


def test_a_folder_with_names_that_are_no_text(tmp_path: Path) -> None:
    """Is read, but for these; and is a checkout all the same."""
    (tmp_path / "guarded").mkdir()
    (tmp_path / WHERE).write_text(GUARD, encoding="utf-8")
    (tmp_path / "guarded" / os.fsdecode(b"\xff.py")).write_bytes(b"")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    found = folder("guarded", tmp_path, ["guarded"])
    assert [WHERE] == list(found.files)
    assert ["guarded/\\udcff.py"] == list(found.left_out)
    assert re.fullmatch("g[0-9a-f]{12}", found.version)


@pytest.mark.parametrize("below", ["", "src"])
def test_a_folder(tmp_path: Path, below: str) -> None:
    """Or its `src`, with its tests, and what lies beside."""
    for name in (WHERE, "guarded/__init__.py", "beside/__init__.py", "tests/test_a.py", "docs/a.py"):
        path = tmp_path / below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\n", encoding="utf-8")
    found = folder("guarded", tmp_path, ["guarded"])
    assert {WHERE, "guarded/__init__.py", "beside/__init__.py", "tests/test_a.py"} == set(found.files)
    assert "folder" == found.version
    with pytest.raises(UsageError, match="holds no such package"):
        folder("other", tmp_path, ["other"])


def test_a_checkout_is_called_by_its_commit(tmp_path: Path) -> None:
    """With a mark where files were changed since."""
    (tmp_path / "guarded").mkdir()
    (tmp_path / WHERE).write_text(GUARD, encoding="utf-8")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    clean = folder("guarded", tmp_path, ["guarded"])
    assert re.fullmatch("g[0-9a-f]{12}", clean.version)
    assert f"commit {clean.version[1:]}" in clean.origin
    (tmp_path / WHERE).write_text("", encoding="utf-8")
    changed = folder("guarded", tmp_path, ["guarded"])
    assert f"{clean.version}-dirty" == changed.version
    assert clean.digest != changed.digest


def test_a_checkout_runs_nothing(tmp_path: Path) -> None:
    """Whatever its settings say that git should run."""
    ran = tmp_path / "ran"
    command = f"touch {ran}; cat"
    checkout = tmp_path / "checkout"
    (checkout / "guarded").mkdir(parents=True)
    (checkout / WHERE).write_text(GUARD, encoding="utf-8")
    (checkout / ".gitattributes").write_text("*.py filter=hostile\n", encoding="utf-8")
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    for name in ("core.fsmonitor", "filter.hostile.clean", "filter.hostile.process", "core.pager", "diff.external"):
        subprocess.run([*git, "config", name, command], check=True)
    (checkout / WHERE).write_text("", encoding="utf-8")
    assert folder("guarded", checkout, ["guarded"]).version.endswith("-dirty")
    assert not ran.exists()
    subprocess.run([*git, "status"], check=False, capture_output=True)
    assert ran.exists(), "git itself would have run it: this test can fail"


def test_a_registry_is_the_one_that_pip_is_set_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of it is ours but the default."""
    settings = {"index-url": "https://example.org/simple", "extra-index-url": "https://a.example https://b.example"}
    monkeypatch.setattr(sources, "pip_setting", lambda name: settings.get(name, ""))
    finder = Releases(tmp_path)._finder
    urls = [source["url"] for source in finder.sources if source["type"] == "index"]
    assert ["https://example.org/simple", "https://a.example", "https://b.example"] == urls
    monkeypatch.setattr(sources, "pip_setting", lambda name: "")
    assert [sources.DEFAULT_INDEX] == [source["url"] for source in Releases(tmp_path)._finder.sources]
