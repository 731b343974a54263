"""Where `harness.cells.torch_source` looks for torch, and which builds it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cells.records import TorchSource
from harness.cells.torch_source import find_links, find_torch, refuse_cuda
from harness.errors import EnvironmentBuildError

WHEEL = "torch-2.13.0+cpu-py3-none-any.whl"


def test_the_environment_variable_goes_before_the_configuration(
    pip_listing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PIP_FIND_LINKS, of several locations, replaces what pip's files say, as it does in pip."""
    pip_listing("global.find-links='/configured'")
    monkeypatch.setenv("PIP_FIND_LINKS", "/one  https://example.org/two\n/three")

    assert ("/one", "https://example.org/two", "/three") == find_links()


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param("global.timeout='9'\nglobal.find-links='/one /two'", ("/one", "/two"), id="several"),
        pytest.param("global.find-links='\\n/one\\n/two'", ("/one", "/two"), id="on lines"),
        pytest.param("global.find-links='/one'\ninstall.find-links='/two'", ("/two",), id="for install"),
        pytest.param("a line that is no setting\nglobal.x=[", (), id="unreadable"),
    ],
)
def test_pips_configuration_is_read(
    pip_listing: Callable[[str], None], listing: str, expected: tuple[str, ...]
) -> None:
    """Locations come from what `pip config list` prints, one or several."""
    pip_listing(listing)

    assert expected == find_links()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("torch-2.13.0-py3-none-any.whl", id="no local version"),
        pytest.param("torch-2.13.0+cu130-py3-none-any.whl", id="cuda"),
        pytest.param("torch-2.12.0+cpu-py3-none-any.whl", id="another version"),
        pytest.param("torch-2.13.0+cpu-cp27-cp27m-win32.whl", id="another platform"),
        pytest.param("torch-2.13.0+cpu.tar.gz", id="no wheel"),
        pytest.param("torch-2.13.0+cpu.whl", id="bad name"),
        pytest.param("torchvision-2.13.0+cpu-py3-none-any.whl", id="another package"),
    ],
)
def test_other_files_are_not_a_cpu_wheel(tmp_path: Path, name: str) -> None:
    """A folder without a matching CPU wheel of torch leaves torch to uv's CPU index; one with it does not."""
    (tmp_path / name).touch()
    assert TorchSource() == find_torch("==2.13.0", [str(tmp_path)])

    (tmp_path / WHEEL).touch()
    assert "2.13.0+cpu" == find_torch("==2.13.0", [str(tmp_path)]).version


def test_only_locations_that_have_the_wheel_are_passed_on(tmp_path: Path) -> None:
    """Folders, file addresses and local pages of links all serve; those without the newest match are left out."""
    folder, older, page = tmp_path / "folder", tmp_path / "older", tmp_path / "page.html"
    folder.mkdir()
    older.mkdir()
    (folder / WHEEL).touch()
    (older / "torch-2.12.0+cpu-py3-none-any.whl").touch()
    page.write_text(f'<a href="../wheels/{WHEEL.replace("+", "%2B")}#sha256=00">torch</a>')
    locations = [str(older), str(folder), folder.as_uri(), str(page), str(tmp_path / "missing")]

    found = find_torch("", locations)

    assert TorchSource(find_links=(str(folder), folder.as_uri(), str(page)), version="2.13.0+cpu") == found


@pytest.mark.parametrize(
    ("system", "versions"),
    [
        pytest.param("linux", {"torch": "2.13.0"}, id="the registry's build on Linux"),
        pytest.param("linux", {"torch": "2.13.0+cu130"}, id="a cuda build"),
        pytest.param("linux", {"torch": "2.13.0+cpu", "nvidia-cublas": "13"}, id="cuda libraries beside it"),
        pytest.param("darwin", {"torch": "2.13.0", "cuda-toolkit": "13"}, id="cuda libraries elsewhere"),
    ],
)
def test_other_builds_are_refused(system: str, versions: dict[str, str]) -> None:
    """Anything but the CPU build is an EnvironmentBuildError that names what was found."""
    with pytest.raises(EnvironmentBuildError) as raised:
        refuse_cuda(versions, where="row", system=system)

    assert f"torch=={versions['torch']}" in raised.value.log


@pytest.mark.parametrize(
    ("system", "versions"),
    [
        pytest.param("linux", {"torch": "2.13.0+cpu", "numpy": "2"}, id="the CPU build"),
        pytest.param("darwin", {"torch": "2.13.0"}, id="the registry's build elsewhere"),
        pytest.param("linux", {"numpy": "2"}, id="no torch"),
    ],
)
def test_the_cpu_build_is_accepted(system: str, versions: dict[str, str]) -> None:
    """The CPU build passes, as does a lock without torch."""
    refuse_cuda(versions, where="row", system=system)
