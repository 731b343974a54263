"""Tests of calibration: where gates are placed, and the table that holds them."""
