"""The shape of the block in which a product grows: for what makes room for it, and for what is compiled. Data alone."""

from __future__ import annotations

ROWS = 6
"""With LANES they fill the registers of AVX2 and of Neon, and leave some for the factors."""
LANES = 16
"""Columns."""
