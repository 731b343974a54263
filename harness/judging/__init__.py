"""Measurements to verdicts: the table of tolerances, the one pure judge, and what is made of a verdict."""
