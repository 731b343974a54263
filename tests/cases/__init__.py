"""Tests of what runs inside a cell, as far as it needs none: which stack does the jobs, and which jobs there are."""
