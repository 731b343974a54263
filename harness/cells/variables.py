"""The environment variables of a cell's processes: offline, one thread, and nothing that was set for somebody else.

Must not know which processes these are, nor what they do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_KEPT = (
    *("PATH", "LANG", "LC_ALL", "TMPDIR"),
    "LD_LIBRARY_PATH",  # some interpreters do not start without it
    *("SYSTEMROOT", "TEMP", "TMP"),  # nor any on Windows without these
)
_XLA_FLAGS = (
    "--xla_cpu_multi_thread_eigen=false",
    # Tiny models are compiled for longer than they run. So: a tenth of the time to compile (0.8 instead of 9.7 s for a
    # training step of qwen3_moe), three times as long to run (17 instead of 6 ms). XLA refuses a flag it does not know.
    *("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false"),
    "--xla_cpu_parallel_codegen_split_count=1",
)


def cell_environment(*, scratch: Path, code: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """All the variables of a process in a cell. `code` is the folder that has our packages, and nothing else to import.

    What is not named here is not passed on: a user's PYTHONPATH, PYTEST_ADDOPTS, HF_TOKEN or CUDA setting would change
    what is tested. XLA's flags and JAX's platforms are: by no other way can JAX be told anything. Libraries keep their
    caches and settings in `scratch`, and find none of the user's.
    """
    environ = os.environ if environ is None else environ
    return {
        "LANG": "C.UTF-8",
        **{name: environ[name] for name in _KEPT if name in environ},
        "HOME": str(scratch),
        "HF_HOME": str(scratch / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # More threads make tiny models slower, and sums in another order.
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "XLA_FLAGS": " ".join([*_XLA_FLAGS, environ.get("XLA_FLAGS", "")]).strip(),  # the last word is the user's
        # The CPU, on which tolerances were measured, also where a machine has more; unless somebody says otherwise.
        "JAX_PLATFORMS": environ.get("JAX_PLATFORMS", "cpu"),
        # Each job traces its programs anew, and most have been compiled for an earlier one. Relative, so it is in the
        # folder that a process runs in: the engine gives each its own, and nothing that is compiled outlives it.
        "JAX_COMPILATION_CACHE_DIR": "compiled",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "PYTHONNOUSERSITE": "1",
        # Sets of names iterate in one order, so that what is saved is the same each time.
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(code),
    }
