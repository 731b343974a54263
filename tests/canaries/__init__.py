"""Tests of the canaries: rules, sources, extraction, judgement, and what is written."""
