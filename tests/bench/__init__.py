"""Tests of the measuring of speed: of its arithmetic, its declarations and its processes, and of no speed."""
