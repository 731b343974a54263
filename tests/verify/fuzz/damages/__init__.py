"""The damages, by what they spoil. Importing this fills the list in `tests.verify.fuzz.damage`."""

from tests.verify.fuzz.damages import (
    adapter_configs,
    adapter_weights,
    configs,
    edits,
    files,
    headers,
    indices,
    layouts,
    spellings,
    tensors,
    values,
)

__all__ = [
    "adapter_configs",
    "adapter_weights",
    "configs",
    "edits",
    "files",
    "headers",
    "indices",
    "layouts",
    "spellings",
    "tensors",
    "values",
]
