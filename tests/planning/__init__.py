"""Tests of what people write under `cases/`, and of the plans that follow from it."""
