"""Tests of the judge, its table of gates, the names of causes, and dispositions."""
