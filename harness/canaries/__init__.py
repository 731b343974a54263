"""Canaries: do upstream's own guards still guard? They are executed, apart from everything, and never imported here."""
