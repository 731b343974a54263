"""The cases: data first (matrix, families, round trips, known outcomes), and the two pytest modules that run in a cell."""
