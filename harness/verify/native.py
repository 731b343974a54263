"""The loops as machine code: compiled by numba once on a machine, and loaded without it ever after.

Importing numba takes longer than comparing a gigabyte, so what it compiled is kept as an object file, in the user's own
cache, under a name that changes with the source, the compiler and the processor. Owns that file and the calls into it;
what the loops do is in `kernels.py`.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import llvmlite.binding as llvm
import numpy as np

NUM_ARGUMENTS = {"merge": 18, "tally": 11, "explain": 12, "columns": 5}
"""Of each kind of loop in `kernels.py`."""
SOURCES = tuple(f"harness.verify.{module}" for module in ("kernels", "products", "lanes", "roundings", "native"))
"""Of which the machine code is made."""
DIGEST_BYTES = hashlib.sha256().digest_size
"""Before the code in its file: half a file must not be run."""
_EXITS = (
    "NRT_Free", "NRT_MemInfo_call_dtor", "numba_do_raise", "numba_gil_ensure", "numba_gil_release",
    "numba_runtime_build_excinfo_struct", "numba_unpickle",
)  # fmt: skip
"""What numba would call to raise an exception, and is not there without it: these loops raise none."""
_OF_NUMBA = ("numba_", "NRT_")
_DECLARED = re.compile(r'^declare .*@"?([\w.]+)', re.MULTILINE)
COMPILING = "compiling for this processor, once"
COMPILED = "compiled"
LOG = logging.getLogger(__name__)
"""Says COMPILING before some seconds of it, and COMPILED after them."""
_LOCK = Lock()
_LOADED: dict[str, Callable[..., int]] = {}
_ENGINES: list[Any] = []
"""Kept, because the code goes with them."""


def entry(name: str) -> Callable[..., int]:
    """A loop by its name: takes addresses and integers (`kernels.loop`), and lets other threads run meanwhile."""
    loaded = _LOADED.get(name)
    if loaded is None:
        with _LOCK:
            loaded = _LOADED[name] = _LOADED.get(name) or _load(name)
    return loaded


def address(array: np.ndarray) -> int:
    """Where an array's numbers begin."""
    first: int = array.__array_interface__["data"][0]
    return first


def cache_folder() -> Path:
    """Where compiled code is kept: DELTAPROOF_CACHE, or the user's cache."""
    chosen = os.environ.get("DELTAPROOF_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(chosen or Path.home() / ".cache") / "deltaproof"


def _load(name: str) -> Callable[..., int]:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    place = cache_folder() / f"{name}-{_digest()}.o"
    code = _kept(place)
    if code is None:
        LOG.info(COMPILING)
        code = _compile(name)
        LOG.info(COMPILED)
        _keep(place, code)
    return _linked(name, code)


def _digest() -> str:
    """Of all that decides what the machine code is."""
    parts = [
        *(_source(module) for module in SOURCES),
        version("numba"),
        version("llvmlite"),
        sys.version,
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _source(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _kept(place: Path) -> bytes | None:
    """The code, if it is there, whole, and nobody else could have written it: it will be run."""
    try:
        with place.open("rb") as file:
            status = os.fstat(file.fileno())
            is_ours = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
            content = file.read() if is_ours else b""
    except OSError:
        return None
    digest, code = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return code if digest == hashlib.sha256(code).digest() else None


def _keep(place: Path, code: bytes) -> None:
    """Without it the next process compiles again, which is slower and no worse."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(file.name, place)
    except OSError:
        return


def _compile(name: str) -> bytes:
    from numba import cfunc

    from harness.verify import kernels

    signature, python = kernels.loop(name)
    function = cfunc(signature, error_model="numpy")(python)
    code = function.inspect_llvm().replace(function.native_name, name)
    needed = {symbol for symbol in _DECLARED.findall(code) if symbol.startswith(_OF_NUMBA)} - set(_EXITS)
    assert not needed, f"{name} calls numba's library, which is not there later: {', '.join(sorted(needed))}"
    module = llvm.parse_assembly(code)
    machine_code: bytes = _machine().emit_object(module)
    return machine_code


def _machine() -> Any:
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)


def _linked(name: str, code: bytes) -> Callable[..., int]:
    for symbol in _EXITS:
        if not llvm.address_of_symbol(symbol):
            llvm.add_symbol(symbol, ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    num_arguments = NUM_ARGUMENTS[name.partition("_")[0]]
    function: Callable[..., int] = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * num_arguments)(
        engine.get_function_address(name)
    )
    return function
