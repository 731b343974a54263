"""The outside world of deltaproof: plans, runs, judges and remembers. Imports no torch, jax, transformers or peft."""
