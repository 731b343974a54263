"""Mutation testing of the code that judges: what of it may be changed without a test turning red. `nox -s mutants`."""
