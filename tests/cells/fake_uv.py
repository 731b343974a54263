"""Stands for uv: resolves every requirement to itself or 1.0, and installs a distribution by writing its metadata.

Files beside the program rule it: `fail_compile`, `fail_venv`, `fail_sync` hold words to fail with; `delay_s` the time
that installing one distribution takes; `forget` a distribution that is not installed; `lock` a lock to give whatever is
asked.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Do what one call of uv asks for."""
    beside = Path(sys.argv[1]).parent
    words = sys.argv[2:]
    with (beside / "calls").open("a") as log:
        log.write("\t".join(words) + "\n")
    verb = words[1] if words[0] == "pip" else words[0]
    if setting := _setting(beside, f"fail_{verb}"):
        print(setting, file=sys.stderr)
        sys.exit(1)
    if verb == "compile":
        print(_setting(beside, "lock") or _lock(sys.stdin.read()), end="")
    elif verb == "venv":
        _make(Path(words[-1]))
    else:
        _sync(Path(words[2]), Path(words[words.index("--python") + 1]).parent.parent, beside)


def _lock(requirements: str) -> str:
    pins = []
    for line in requirements.splitlines():
        name, _, version = line.partition("==")
        pins.append(f"{name}=={version or '1.0'} \\\n    --hash=sha256:{'0' * 64}\n")
    return "".join(pins)


def _make(directory: Path) -> None:
    (directory / "bin").mkdir(parents=True)
    os.symlink(sys.executable, directory / "bin" / "python")
    (directory / "lib" / "python3" / "site-packages").mkdir(parents=True)


def _sync(lock: Path, environment: Path, beside: Path) -> None:
    for line in lock.read_text().splitlines():
        if line[0] in " #":
            continue
        name, version = line.split()[0].split("==")
        if name == _setting(beside, "forget"):
            continue
        time.sleep(float(_setting(beside, "delay_s") or 0))
        place = environment / "lib" / "python3" / "site-packages" / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def _setting(beside: Path, name: str) -> str:
    path = beside / name
    return path.read_text() if path.exists() else ""


main()
