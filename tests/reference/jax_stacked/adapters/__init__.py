"""Adapters on disk: our writer and reader against each other, and against stock PEFT."""
