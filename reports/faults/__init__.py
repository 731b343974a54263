"""Views of the kill matrix: which fault was caught by which check."""
