"""The tests of `harness.execution`."""
