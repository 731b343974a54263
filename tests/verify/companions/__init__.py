"""Tests of what lies beside the weights, one module a module of `harness/verify/companions`."""
