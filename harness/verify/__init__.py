"""Is what an adapter says really in a merged checkpoint? Three directories, streamed and compared; no model code.

Knows numpy, and nothing of cells, runs or stacks.
"""
