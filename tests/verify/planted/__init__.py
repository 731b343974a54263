"""Planted damage: tiny checkpoints, a merge of our own, and every way that we know to spoil it."""
