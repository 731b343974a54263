"""The second reference: decoder models with stacked layers in flax nnx. README.md here says in which order to read."""

from __future__ import annotations

from harness.records.cases import Stack

STACK: Stack = "jax_stacked"
