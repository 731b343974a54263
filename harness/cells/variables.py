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


def cell_environment(*, scratch: Path, code: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """All the variables of a process in a cell. `code` is the folder that has our packages, and nothing else to import.

    What is not named here is not passed on: a user's PYTHONPATH, PYTEST_ADDOPTS, HF_TOKEN or CUDA setting would change
    what is tested. Libraries keep their caches and settings in `scratch`, and find none of the user's.
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
        "PYTHONNOUSERSITE": "1",
        # Sets of names iterate in one order, so that what is saved is the same each time.
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(code),
    }
