"""Everything beside the weights: configurations, tokenizer, index of the shards, ties; what a reload reads with them.

Owns which differences between the files of two checkpoints a reload would feel, and how to read a stranger's directory.
Knows nothing of adapters and deltas, and of tensors only whether ties and duplicates are the same bytes.
"""

from harness.verify.companions.checkpoint import Checkpoint, Role, open_checkpoint
from harness.verify.companions.compare import compare_checkpoints, compare_companions
from harness.verify.companions.stored import same_bytes
from harness.verify.companions.ties import TiedPair, compare_ties, is_tied, tied_weights

__all__ = [
    "Checkpoint",
    "Role",
    "TiedPair",
    "compare_checkpoints",
    "compare_companions",
    "compare_ties",
    "is_tied",
    "open_checkpoint",
    "same_bytes",
    "tied_weights",
]
