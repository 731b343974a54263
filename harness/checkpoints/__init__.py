"""Checkpoints on disk: their files, the names of their tensors, and base checkpoints written from a seed.

Used outside and inside the cells alike, so it imports numpy and the standard library only. Knows nothing of adapters,
of models in memory, or of verdicts.
"""
