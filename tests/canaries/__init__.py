"""Canaries: what they say of guards that hold, that were rewritten, that were broken, and that are hostile."""
