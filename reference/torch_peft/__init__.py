"""The PyTorch stack: transformers trains, PEFT adapts and merges, both save and reload. Nothing here patches either."""

from __future__ import annotations

from harness.records.cases import Stack

STACK: Stack = "torch_peft"
