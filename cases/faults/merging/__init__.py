"""Faults of merging."""
