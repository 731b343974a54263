"""Where a package's source comes from: a release of the registry, what is installed, or a folder. Nothing is built.

Archives are kept under their digest, and looked for there first. Owns the network; must not know what a canary is.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.artifacts import creating
from harness.canaries.archives import KEPT, MAX_ARCHIVE_BYTES, Read, read_archive, read_files
from harness.canaries.trees import Tree
from harness.cells.pip_settings import pip_setting
from harness.errors import UsageError
from harness.records.canaries import Source

if TYPE_CHECKING:
    from unearth import PackageFinder

DEFAULT_INDEX = "https://pypi.org/simple"
_DIGEST_LENGTH = 64
_TESTS = "tests"


class Unreachable(Exception):
    """A source cannot be had, now: there is no network, or no such release."""


class Offered(NamedTuple):
    """An archive that the registry offers."""

    version: str
    source: Source
    name: str
    url: str
    sha256: str
    """Empty if the registry does not say it."""


class Releases:
    """The releases of packages, from the registry that pip is set to, and kept in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def versions(self, package: str, since: str = "", until: str = "") -> list[str]:
        """The final releases from `since` to `until`, both included, oldest first. Raises Unreachable."""
        found = {Version(each.version) for each in self._offered(package) if each.source == "wheel"}
        wanted = [
            each
            for each in sorted(found)
            if not each.is_prerelease
            and (not since or each >= Version(since))
            and (not until or each <= Version(until))
        ]
        if not wanted:
            raise Unreachable(f"the registry has no release of {package} {_range(since, until)}")
        return [str(each) for each in wanted]

    def tree(self, package: str, version: str, source: Source) -> Tree:
        """The Python files of a release. Raises Unreachable."""
        path = self._kept(package, version, source) or self._fetch(package, version, source)
        read = read_archive(path)
        if read.digest != path.parent.name[-_DIGEST_LENGTH:]:
            raise Unreachable(f"{path} is not what was fetched: delete it")
        origin = f"{source} {path.name}, sha256 {read.digest[:16]}"
        return Tree(package, version, read.files, origin, read.digest, read.left_out)

    def _kept(self, package: str, version: str, source: Source) -> Path | None:
        pattern = f"{version}-{source}-{'[0-9a-f]' * _DIGEST_LENGTH}/*"
        return next(iter(sorted((self._folder / canonicalize_name(package)).glob(pattern))), None)

    def _fetch(self, package: str, version: str, source: Source) -> Path:
        offered = [
            each
            for each in self._offered(package)
            if (Version(each.version), each.source) == (Version(version), source)
        ]
        if not offered:
            raise Unreachable(f"the registry has no {source} of {package} {version}")
        first = offered[0]
        try:
            with self._finder.session.get_stream(first.url) as response:
                response.raise_for_status()
                content = _limited(response.iter_bytes(2**20), first.name)
        except Unreachable:
            raise
        except Exception as error:
            raise Unreachable(f"{first.name} cannot be fetched: {_first_line(error)}") from error
        digest = hashlib.sha256(content).hexdigest()
        if first.sha256 and digest != first.sha256:
            raise Unreachable(f"{first.name} is another file than the registry says: sha256 {digest}")
        directory = self._folder / canonicalize_name(package) / f"{version}-{source}-{digest}"
        if not directory.exists():
            with creating(directory) as partial:
                (partial / first.name).write_bytes(content)
        return directory / first.name

    @functools.cached_property
    def _finder(self) -> PackageFinder:
        from unearth import PackageFinder  # takes as long as a guard; what is kept is not asked for

        indexes = [pip_setting("index-url") or DEFAULT_INDEX, *pip_setting("extra-index-url").split()]
        return PackageFinder(
            index_urls=indexes, find_links=pip_setting("find-links").split(), ignore_compatibility=True,
            trusted_hosts=pip_setting("trusted-host").split(),
        )  # fmt: skip

    @functools.cache  # noqa: B019 - one a run
    def _offered(self, package: str) -> tuple[Offered, ...]:
        try:
            return tuple(_offers(self._finder.find_all_packages(package)))
        except Exception as error:
            raise Unreachable(f"the releases of {package} cannot be listed: {_first_line(error)}") from error


def _limited(chunks: Iterable[bytes], name: str) -> bytes:
    """All of them, unless they are too much: no more is taken then."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MAX_ARCHIVE_BYTES:
            raise Unreachable(f"{name} has more than {MAX_ARCHIVE_BYTES} bytes, of which none are kept")
    return bytes(content)


def _offers(packages: Iterable[object]) -> Iterable[Offered]:
    for package in packages:
        version, link = str(getattr(package, "version", "")), getattr(package, "link")  # noqa: B009 - untyped
        try:
            Version(version)
        except InvalidVersion:
            continue
        if link.yank_reason is not None or link.is_yanked:
            continue
        source: Source = "wheel" if link.is_wheel else "sdist"
        sha256 = str(link.hash or "") if link.hash_name == "sha256" else ""
        yield Offered(version, source, link.filename, link.normalized, sha256)


def is_installed(package: str) -> bool:
    """Whether something of that name is installed beside this Python."""
    return _distribution(package) is not None


def installed(package: str, roots: Collection[str], source: Source) -> Tree:
    """What is installed beside this Python; of an editable installation, the folder that it names. Raises Unreachable.

    Of the folders `roots` all that lies in them can be imported; of others, what the distribution put there.
    """
    if (distribution := _distribution(package)) is None:
        raise Unreachable(f"{package} is not installed")
    site = Path(str(distribution.locate_file("")))
    own = _kept_in(site, _own(package, roots))
    if not own:
        return _editable(package, distribution, roots, source)
    if not (version := _version_of(distribution)):
        raise Unreachable(f"what is installed of {package} in {site} does not say its version: install it again")
    inside = [each for each in distribution.files or () if not each.is_absolute() and ".." not in each.parts]
    listed = [site / each for each in inside if each.suffix in KEPT]
    return _as_tree(package, version, read_files(site, {*own, *listed}), f"installed in {site}", source)


def installed_release(package: str) -> str:
    """Of what is installed, the release of the registry that it is by its version; empty if it may be none.

    What is installed of it has no tests: its source archive has.
    """
    distribution = _distribution(package)
    if distribution is None or distribution.read_text("direct_url.json"):
        return ""
    try:
        version = Version(_version_of(distribution))
    except InvalidVersion:
        return ""
    return "" if version.is_devrelease or version.local else str(version)


def _distribution(package: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _version_of(distribution: importlib.metadata.Distribution) -> str:
    """As it says; empty if it does not."""
    return str((distribution.metadata.get_all("Version") or [""])[0])


def _editable(
    package: str, distribution: importlib.metadata.Distribution, roots: Collection[str], source: Source
) -> Tree:
    try:
        about = json.loads(distribution.read_text("direct_url.json") or "")
        url = urlsplit(about["url"])
        is_editable = about["dir_info"]["editable"] is True and url.scheme == "file"
    except (ValueError, LookupError, TypeError, AttributeError):
        is_editable = False
    if not is_editable:
        raise Unreachable(
            f"none of the files of {package} lie in {distribution.locate_file('')}, where it is "
            "installed: name its folder with --path, or a release with --version"
        )
    try:
        return folder(package, Path(url2pathname(url.path)), roots, source)
    except UsageError as error:
        raise Unreachable(f"{package} is installed from a folder: {error}") from error


def folder(package: str, directory: Path, roots: Collection[str], source: Source = "wheel") -> Tree:
    """A folder that somebody has, or a git checkout: itself or its `src` holds the package, and no link to it does.

    Raises UsageError; and Unreachable if it has not what a source archive has.
    """
    root = root_of(package, directory, roots)
    beside = [path.parent.name for path in root.glob("*/__init__.py")]
    read = read_files(root, _kept_in(root, {*roots, *beside, _TESTS}))
    commit = _commit(root, read.files)
    origin = f"folder {directory}" + (f", commit {commit}" if commit else "")
    return _as_tree(package, f"g{commit}" if commit else "folder", read, origin, source)


def _as_tree(package: str, version: str, read: Read, origin: str, source: Source) -> Tree:
    if source == "sdist" and not any(path.startswith(f"{_TESTS}/") for path in read.files):
        raise Unreachable(
            f"{origin}: there are no tests, which source archives and checkouts have: name one with --version or --path"
        )
    return Tree(package, version, read.files, origin, read.digest, read.left_out)


def root_of(package: str, directory: Path, roots: Collection[str]) -> Path:
    """Where in `directory` a package with the folders `roots` lies. Raises UsageError where it does not."""
    own = _own(package, roots)
    for root in (directory, directory / "src"):
        if any(_is_folder(root / name) for name in own):
            return root
    raise UsageError(
        "holds no such package",
        where=str(directory),
        expected=f"a folder {' or '.join(sorted(own))} in it, and no link",
    )


def _own(package: str, roots: Collection[str]) -> set[str]:
    """The folders that are the package's alone."""
    return set(roots) - {_TESTS} or {package.replace("-", "_")}


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _kept_in(root: Path, names: Collection[str]) -> set[Path]:
    folders = [root / name for name in names if _is_folder(root / name)]
    return {path for each in folders for suffix in KEPT for path in each.rglob(f"*{suffix}")}


def _commit(root: Path, files: Mapping[str, bytes]) -> str:
    """What is checked out there, short, with a mark if files are others than in it; empty of what is no checkout."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD").strip()
    if not commit:
        return ""
    lines = _git(root, "ls-tree", "-r", "-z", "HEAD").split("\0")
    committed = {path: words.split()[-1] for words, _, path in (line.partition("\t") for line in lines if line)}
    is_clean = all(_blob(content, committed.get(path, "")) == committed.get(path) for path, content in files.items())
    return commit if is_clean else f"{commit}-dirty"


def _blob(content: bytes, like: str) -> str:
    """The name that git gives a file's content; `like` another's, because a repository's names may be long or short."""
    named = b"blob %d\0%b" % (len(content), content)
    return (hashlib.sha256(named) if len(like) == _DIGEST_LENGTH else hashlib.sha1(named)).hexdigest()


def _git(directory: Path, *words: str) -> str:
    """What git says, of commands alone that run nothing which a repository's settings name (`status`, `diff` and
    `describe --dirty` would: filters, monitors); empty if it says no."""
    environment = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        ended = subprocess.run(
            ["git", "-C", str(directory), *words],
            capture_output=True, encoding=sys.getfilesystemencoding(), errors=sys.getfilesystemencodeerrors(),
            timeout=20, check=False, env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout if ended.returncode == 0 else ""


def _range(since: str, until: str) -> str:
    return " ".join(part for part in (f"since {since}" if since else "", f"until {until}" if until else "") if part)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
