"""Faults of loading what was saved."""
