"""The tests of `harness.cells`."""
