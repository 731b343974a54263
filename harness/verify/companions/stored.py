"""Whether two stored tensors are the same bytes, read in pieces. Knows nothing of numbers."""

from __future__ import annotations

from harness.checkpoints.safetensors_file import TensorEntry
from harness.errors import ArtifactError
from harness.verify.companions.folder import CHUNK_BYTES, reason


def same_bytes(first: TensorEntry, second: TensorEntry) -> bool:
    """Whether both have one dtype, one shape and the same bytes. Reads 1 MiB of each at a time, until they differ."""
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    remaining = first.stop - first.start
    try:
        with first.path.open("rb") as one, second.path.open("rb") as other:
            one.seek(first.start)
            other.seek(second.start)
            while remaining:
                chunk = one.read(min(CHUNK_BYTES, remaining))
                if not chunk:
                    raise ArtifactError("file ends inside this tensor", where=f"{first.path}: {first.name}")
                if chunk != other.read(len(chunk)):
                    return False
                remaining -= len(chunk)
    except OSError as error:
        raise ArtifactError(f"cannot be read: {reason(error)}", where=f"{first.path} or {second.path}") from error
    return True
