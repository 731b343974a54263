"""Tests of the faults: the catalogue, how they are planned and put in, and what counts as caught and named."""
