"""Tests of a run's small steps, each alone."""
