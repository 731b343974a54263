"""Tests of the metrics, on arrays small enough to check by hand."""
