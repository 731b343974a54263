"""Faults of training, sampling and everything around them."""
