"""Tests of the verifier: what is read, where weights lie, what is found, what is said."""
