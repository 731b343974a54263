"""Faults of adapters: how they are made, saved and read."""
