"""Where the CPU build of torch comes from, and the refusal of every other build.

The plain registry serves the CUDA build, gigabytes of it. Owns the search of a local alternative, and the check
of a lock. Must not know about locks' files or environments.
"""

from __future__ import annotations

import functools
import re
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.specifiers import SpecifierSet
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from harness.cells.pip_settings import pip_setting
from harness.cells.records import TorchSource
from harness.errors import EnvironmentBuildError

_PAGE_TIMEOUT_S = 30
_LINK = re.compile(r"""href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_CUDA = re.compile(r"nvidia-|cuda-|triton$|pytorch-triton")


def find_links() -> tuple[str, ...]:
    """The locations that pip is told to look at."""
    return tuple(pip_setting("find-links").split())


def find_torch(specifier: str, locations: Iterable[str]) -> TorchSource:
    """The `locations` that have the newest CPU wheel of torch that `specifier` allows; uv's index if none has one."""
    allowed = SpecifierSet(specifier)
    offers: dict[Version, list[str]] = {}
    for location in locations:
        for version in {_cpu_version(name) for name in _file_names(location)} - {None}:
            if version is not None and allowed.contains(version, prereleases=False):
                offers.setdefault(version, []).append(location)
    if not offers:
        return TorchSource()
    newest = max(offers)
    return TorchSource(find_links=tuple(offers[newest]), version=str(newest))


def refuse_cuda(versions: Mapping[str, str], *, where: str, system: str = sys.platform) -> None:
    """Raise EnvironmentBuildError if `versions`, those of a lock, hold any but the CPU build of torch."""
    if "torch" not in versions:
        return
    cuda = sorted(name for name in versions if _CUDA.match(name))
    # Elsewhere than on Linux the registry's own build is the CPU build, and has no local version.
    is_cpu = versions["torch"].endswith("+cpu") or system != "linux"
    if is_cpu and not cuda:
        return
    raise EnvironmentBuildError(
        "the lock holds a torch that is not the CPU build",
        where=where,
        log="\n".join(f"{name}=={versions[name]}" for name in ("torch", *cuda)),
        next_step="Point pip's find-links at a folder that has a +cpu wheel of this torch, or let uv reach "
        "the CPU index of torch.",
    )


def _file_names(location: str) -> list[str]:
    """The names of the files that `location` (a folder, a page of links, or the address of one) offers."""
    address = urlsplit(location)
    if address.scheme in ("http", "https"):
        try:
            with urllib.request.urlopen(location, timeout=_PAGE_TIMEOUT_S) as page:
                return _linked_names(page.read().decode(errors="replace"))
        except OSError:
            return []  # uv's own index is next; if that fails, uv says so
    path = Path(unquote(address.path)) if address.scheme == "file" else Path(location).expanduser()
    try:
        return [entry.name for entry in path.iterdir()] if path.is_dir() else _linked_names(path.read_text())
    except (OSError, UnicodeDecodeError):
        return []


def _linked_names(page: str) -> list[str]:
    return [unquote(urlsplit(link).path).rsplit("/", 1)[-1] for link in _LINK.findall(page)]


def _cpu_version(file_name: str) -> Version | None:
    """The version of `file_name` if it is a CPU wheel of torch that this interpreter can install."""
    if not file_name.startswith("torch-"):
        return None
    try:
        _, version, _, tags = parse_wheel_filename(file_name)
    except InvalidWheelFilename:
        return None
    return version if version.local == "cpu" and not tags.isdisjoint(_supported_tags()) else None


@functools.cache
def _supported_tags() -> frozenset[object]:
    return frozenset(sys_tags())
